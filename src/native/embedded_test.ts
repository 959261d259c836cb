import { type EmbeddedLibrary, extractLibrary, readRange } from "./embedded.ts";
import { join } from "../base/paths.ts";
import { assertEquals, assertThrows, assertTrue } from "../base/testing.ts";

const BYTES = crypto.getRandomValues(new Uint8Array(50_000));

const LIBRARY: EmbeddedLibrary = { name: "libtest.so", bytes: () => BYTES, sha256: "0123abcd" };

/** A library whose bytes are not to be asked for. */
const UNREAD: EmbeddedLibrary = {
  ...LIBRARY,
  bytes: () => {
    throw new Error("asked for the bytes");
  },
};

async function inTemporaryFolder(run: (folder: string) => void): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    run(folder);
  } finally {
    await Deno.chmod(folder, 0o700);
    await Deno.remove(folder, { recursive: true });
  }
}

function modeOf(path: string): number {
  return Deno.lstatSync(path).mode! & 0o777;
}

Deno.test("extractLibrary() writes to a private folder named by content, once", () =>
  inTemporaryFolder((folder) => {
    const { path } = extractLibrary(LIBRARY, folder);
    assertEquals(path, join(folder, "native", LIBRARY.sha256, LIBRARY.name));
    assertEquals(Deno.readFileSync(path), BYTES);
    assertEquals(modeOf(join(folder, "native", LIBRARY.sha256)), 0o700);
    const { ino } = Deno.lstatSync(path);
    assertEquals(extractLibrary(LIBRARY, folder), { path });
    assertEquals(Deno.lstatSync(path).ino, ino);
  }));

for (
  const [what, spoil] of [
    ["another content of the same size", (path: string) => {
      const bytes = BYTES.slice();
      bytes[40_000]! ^= 1;
      Deno.writeFileSync(path, bytes);
    }],
    ["half of it", (path: string) => Deno.truncateSync(path, 25_000)],
    ["a link to another file", (path: string) => {
      Deno.renameSync(path, `${path}.moved`);
      Deno.symlinkSync(`${path}.moved`, path);
    }],
  ] as const
) {
  Deno.test(`extractLibrary() replaces ${what}`, () =>
    inTemporaryFolder((folder) => {
      const { path } = extractLibrary(LIBRARY, folder);
      spoil(path);
      assertEquals(extractLibrary(LIBRARY, folder), { path });
      assertTrue(Deno.lstatSync(path).isFile);
      assertEquals(Deno.readFileSync(path), BYTES);
    }));
}

for (
  const [what, prepare] of [
    ["others can write to", (folder: string) => {
      Deno.mkdirSync(folder, { recursive: true });
      Deno.chmodSync(folder, 0o777);
    }],
    ["is a link", (folder: string) => {
      Deno.mkdirSync(`${folder}-real`, { recursive: true });
      Deno.symlinkSync(`${folder}-real`, folder);
    }],
  ] as const
) {
  Deno.test(`extractLibrary() avoids a folder that ${what}`, () =>
    inTemporaryFolder((folder) => {
      Deno.mkdirSync(join(folder, "native"));
      prepare(join(folder, "native", LIBRARY.sha256));
      const { path, temporary } = extractLibrary(LIBRARY, folder);
      try {
        assertTrue(temporary !== undefined && !temporary.startsWith(folder), path);
        assertEquals(Deno.readFileSync(path), BYTES);
      } finally {
        Deno.removeSync(temporary!, { recursive: true });
      }
    }));
}

Deno.test("extractLibrary() looks at the bytes again only when the file is not the one it found right", () =>
  inTemporaryFolder((folder) => {
    const { path } = extractLibrary(LIBRARY, folder);
    const note = `${path}.checked`;
    extractLibrary(LIBRARY, folder);
    assertThrows(() => Deno.lstatSync(note)); // It is too new for its times to tell anything.
    noteAsFound(path, note);
    assertEquals(extractLibrary(UNREAD, folder), { path });
    const changed = BYTES.slice();
    changed[40_000]! ^= 1;
    Deno.writeFileSync(`${path}.new`, changed);
    Deno.renameSync(`${path}.new`, path);
    assertEquals(extractLibrary(LIBRARY, folder), { path });
    assertEquals(Deno.readFileSync(path), BYTES);
  }));

/** Writes what a later start writes, without waiting for the file to be old enough. */
function noteAsFound(path: string, note: string): void {
  const { dev, ino, size, mtime, ctime } = Deno.lstatSync(path);
  Deno.writeTextFileSync(note, [dev, ino, size, +mtime!, +ctime!].join(" "));
}

Deno.test("extractLibrary() works without a cache folder", () => {
  const { path, temporary } = extractLibrary(LIBRARY, undefined);
  try {
    assertEquals(modeOf(temporary!), 0o700);
    assertEquals(Deno.readFileSync(path), BYTES);
  } finally {
    Deno.removeSync(temporary!, { recursive: true });
  }
});

Deno.test("readRange() gives a part of a file, or says that it is cut off", () =>
  inTemporaryFolder((folder) => {
    const path = join(folder, "file");
    Deno.writeFileSync(path, BYTES);
    assertEquals(readRange(path, { offset: 1000, length: 49_000 }), BYTES.slice(1000));
    assertThrows(() => readRange(path, { offset: 1000, length: 49_001 }), "NATIVE_LIBRARY");
  }));
