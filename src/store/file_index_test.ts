import { DatabaseSync } from "node:sqlite";
import fc from "fast-check";
import { assertEquals, assertThrows, assertTrue } from "../base/testing.ts";
import type { ChunkList } from "./chunk_list.ts";
import { FileIndex, type KnownFile } from "./file_index.ts";
import { isSettledWhenPlaced, STAMP_BYTES, wasSettledWhenRead } from "./file_stamp.ts";

const MINUTE = 60_000;
const CHANGED = 1_700_000_000_000;

Deno.test("find() gives the chunk list of a file whose stamp is the same and settled", () => {
  using index = memoryIndex();
  const file = known({ inode: 1, chunks: [1, 2, 3] });
  index.remember([file]);
  assertEquals(index.find(file.stamp, CHUNK), file.chunks);
  assertEquals(index.find(file.stamp, "cdc"), undefined, "another way of cutting");
  assertEquals(
    index.find(stamp({ inode: 1, size: 3 * CHUNK, changedMs: CHANGED + MINUTE }), CHUNK),
    undefined,
    "it changed",
  );
  assertEquals(index.find(stamp({ inode: 2, size: 3 * CHUNK }), CHUNK), undefined, "another file");
});

Deno.test("find() gives nothing for a file whose stamp is no proof", () => {
  using index = memoryIndex();
  const file = known({ inode: 1, chunks: [1], settled: false });
  index.remember([file]);
  assertEquals(index.find(file.stamp, CHUNK), undefined);
  assertEquals(index.lookup(file.chunks.ids)[0]?.settled, false);
  index.remember([{ ...file, settled: true }]);
  assertEquals([index.find(file.stamp, CHUNK), index.totals().files], [file.chunks, 1]);
});

Deno.test("wasSettledWhenRead() wants both times 2 s older, isSettledWhenPlaced() the mtime", () => {
  const [old, late] = [CHANGED - 3000, CHANGED - 1000];
  const stamps = [[old, old], [old, late], [late, old]].map(([changedMs, ctimeMs]) =>
    stamp({ inode: 1, size: 1, changedMs, ctimeMs })
  );
  assertEquals(stamps.map((each) => wasSettledWhenRead(each, CHANGED)), [true, false, false]);
  assertEquals(stamps.map((each) => isSettledWhenPlaced(each, CHANGED)), [true, true, false]);
});

Deno.test("ofVersion() gives the file that a sender calls so, until something else is known of it", () => {
  using index = memoryIndex();
  const [peer, version] = [bytes(32, 7), bytes(8, 9)];
  const file = known({ inode: 1, chunks: [1, 2] });
  index.remember([{ ...file, version: { peer, version } }]);
  const named = (size = 2 * CHUNK, of = { peer, version }) =>
    text(index.ofVersion(of, size)?.path ?? bytes(0, 0));
  assertEquals(named(), "/1");
  assertEquals(named(CHUNK), "", "another size");
  assertEquals(named(2 * CHUNK, { peer: bytes(32, 8), version }), "", "another sender");
  assertEquals(named(2 * CHUNK, { peer, version: bytes(8, 8) }), "", "another version");
  index.remember([{ ...file, path: new TextEncoder().encode("/moved") }]);
  assertEquals(named(), "/moved", "the same content keeps its versions");
  index.remember([{ ...known({ inode: 1, chunks: [1, 3] }) }]);
  assertEquals(named(), "", "other content of the same inode");
  index.remember([{ ...known({ inode: 2, chunks: [5] }), version: { peer, version } }]);
  index.forget(stamp({ inode: 2, size: CHUNK }));
  index.remember([known({ inode: 3, chunks: [6] })]);
  assertEquals(named(CHUNK), "", "a row that took the number of one that is forgotten");
});

Deno.test("remember() keeps the last versions of a file, and one file for each path", () => {
  using index = memoryIndex();
  const peer = bytes(32, 7);
  const file = known({ inode: 1, chunks: [1], path: "/a" });
  for (let i = 1; i <= 20; i++) index.remember([{ ...file, version: { peer, version: bytes(8, i) } }]);
  const left = Array.from({ length: 20 }, (_, i) => i + 1)
    .filter((i) => index.ofVersion({ peer, version: bytes(8, i) }, CHUNK) !== undefined);
  assertEquals(left, [13, 14, 15, 16, 17, 18, 19, 20]);
  index.remember([known({ inode: 2, chunks: [2], path: "/a" })]);
  assertEquals([index.atPath(file.path).length, index.totals().files], [1, 1]);
  assertEquals([index.hasSize(CHUNK), index.hasSize(CHUNK + 1)], [true, false]);
});

Deno.test("a row with a flipped bit is never used", async () => {
  const dir = await Deno.makeTempDir();
  try {
    const [peer, version] = [bytes(32, 7), bytes(8, 9)];
    const file = known({ inode: 1, chunks: [1, 2, 3] });
    const path = `${dir}/index.db`;
    const damages = [
      "UPDATE files SET ids = zeroblob(96)",
      "UPDATE files SET stamp = zeroblob(40)",
      "UPDATE files SET stamp = x'00'",
      "UPDATE files SET path = x'2f78'",
      "UPDATE files SET settled = 2",
      "UPDATE files SET size = size - 1",
      "UPDATE files SET chunking = 0",
      "UPDATE files SET sum = sum + 1",
      "UPDATE versions SET file = 2",
    ];
    for (const damage of damages) {
      using index = FileIndex.open(path, { maxChunks: 1000 });
      index.clear();
      index.remember([{ ...file, version: { peer, version } }, known({ inode: 2, chunks: [4, 5, 6] })]);
      execute(path, damage);
      assertEquals(text(index.ofVersion({ peer, version }, 3 * CHUNK)?.path ?? bytes(0, 0)), "", damage);
      if (damage.startsWith("UPDATE versions")) continue;
      assertEquals(index.lookup(file.chunks.ids), [undefined, undefined, undefined], damage);
      assertEquals([index.find(file.stamp, CHUNK), [...index.all()].length], [undefined, 0], damage);
    }
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("an index of the first version is taken over", async () => {
  const dir = await Deno.makeTempDir();
  try {
    const path = `${dir}/index.db`;
    await Deno.copyFile(new URL("../../tests/fixtures/index_1.db", import.meta.url), path);
    using index = FileIndex.open(path, { maxChunks: 1000 });
    assertEquals([index.totals().files, index.check()], [0, []]);
    const file = known({ inode: 1, chunks: [1] });
    index.remember([file]);
    assertEquals(index.find(file.stamp, CHUNK), file.chunks);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("lookup() finds chunks in any file and order", () => {
  using index = memoryIndex();
  const a = known({ inode: 1, chunks: [1, 2, 3], path: "/a" });
  const b = known({ inode: 2, chunks: [4, 5], tail: 10, path: "/b" });
  index.remember([a, b]);
  const places = index.lookup(ids([5, 2, 9, 3, 4]));
  assertEquals(
    places.map((place) => place && [text(place.path), place.offset, place.length, place.settled]),
    [
      ["/b", CHUNK, 10, true],
      ["/a", CHUNK, CHUNK, true],
      undefined,
      ["/a", 2 * CHUNK, CHUNK, true],
      ["/b", 0, CHUNK, true],
    ],
  );
});

Deno.test("lookup() tells content-defined chunks apart by their sizes", () => {
  using index = memoryIndex();
  const chunks = {
    chunking: "cdc",
    size: 60,
    ids: ids([1, 2, 3]),
    sizes: new Uint32Array([10, 20, 30]),
  } as const;
  index.remember([{ ...known({ inode: 1, chunks: [] }), stamp: stamp({ inode: 1, size: 60 }), chunks }]);
  assertEquals(index.lookup(ids([3, 2])).map((place) => [place?.offset, place?.length]), [[30, 30], [
    10,
    20,
  ]]);
});

Deno.test("lookup() takes no chunk for another one whose id begins alike", () => {
  using index = memoryIndex();
  index.remember([known({ inode: 1, chunks: [7] })]);
  const other = ids([7]);
  other[31]! ^= 1;
  assertEquals(index.lookup(other), [undefined]);
});

Deno.test("a file known by half is found with zeros for the rest, and zeros are no chunk", () => {
  using index = memoryIndex();
  const file = known({ inode: 1, chunks: [1, 2, 3] });
  file.chunks.ids.fill(0, 32, 64);
  index.remember([file]);
  assertEquals(index.find(file.stamp, CHUNK)?.ids, file.chunks.ids);
  assertEquals(index.lookup(file.chunks.ids).map((place) => place?.offset), [0, undefined, 2 * CHUNK]);
  index.forget(file.stamp);
  assertEquals(index.totals().chunks, 0);
});

Deno.test("remember() replaces what was known of the same inode and passes over lists that are not whole", () => {
  using index = memoryIndex();
  index.remember([known({ inode: 1, chunks: [1, 2] })]);
  index.remember([known({ inode: 1, chunks: [3] })]);
  assertEquals(index.lookup(ids([1, 3])).map((place) => place !== undefined), [false, true]);
  const file = known({ inode: 2, chunks: [4, 5] });
  index.remember([{ ...file, chunks: { ...file.chunks, ids: ids([4]) } }]);
  assertEquals(index.totals().files, 1);
});

Deno.test("remember() keeps at most DEDUP_INDEX_SIZE chunks, those used last", () => {
  let now = 0;
  using index = FileIndex.open(":memory:", { maxChunks: 100, now: () => now });
  for (let inode = 1; inode <= 50; inode++) {
    now++;
    index.remember([known({ inode, chunks: Array.from({ length: 4 }, (_, i) => inode * 100 + i) })]);
    now++;
    index.lookup(ids([100]));
  }
  const { chunks } = index.totals();
  assertTrue(chunks <= 100 && chunks >= 80, `${chunks} chunks`);
  assertTrue(index.lookup(ids([100]))[0] !== undefined, "the one that is used stays");
  assertTrue(index.lookup(ids([200]))[0] === undefined, "the oldest goes");
  assertTrue(index.lookup(ids([5000]))[0] !== undefined, "the newest stays");
});

Deno.test("forget() and clear() leave no chunk behind", () => {
  using index = memoryIndex();
  const [a, b] = [known({ inode: 1, chunks: [1, 2] }), known({ inode: 2, chunks: [3] })];
  index.remember([a, b]);
  index.forget(a.stamp);
  assertEquals(index.lookup(ids([1, 2, 3])).map((place) => place !== undefined), [false, false, true]);
  index.clear();
  assertEquals(index.totals().chunks, 0);
  assertEquals(index.lookup(ids([3])), [undefined]);
  assertEquals(index.check(), []);
});

Deno.test("FileIndex agrees with a plain map, whatever is remembered and forgotten", () => {
  const step = fc.record({
    inode: fc.integer({ min: 1, max: 6 }),
    chunks: fc.array(fc.integer({ min: 0, max: 20 }), { maxLength: 5 }),
    forget: fc.boolean(),
  });
  fc.assert(fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
    using index = memoryIndex();
    const model = new Map<number, number[]>();
    for (const { inode, chunks, forget } of steps) {
      const file = known({ inode, chunks });
      if (forget) index.forget(file.stamp);
      else index.remember([file]);
      if (forget) model.delete(inode);
      else model.set(inode, chunks);
    }
    const present = new Set([...model.values()].flat());
    for (let chunk = 0; chunk <= 20; chunk++) {
      assertEquals(index.lookup(ids([chunk]))[0] !== undefined, present.has(chunk));
    }
    assertEquals(index.totals().chunks, [...model.values()].flat().length);
  }));
});

Deno.test("FileIndex.open() sets a damaged index aside, says so once, and refuses a newer one", async (test) => {
  const dir = await Deno.makeTempDir();
  try {
    const path = `${dir}/index.db`;
    const fill = () => {
      using index = FileIndex.open(path, { maxChunks: 1000 });
      index.remember([known({ inode: 1, chunks: Array.from({ length: 200 }, (_, i) => i) })]);
    };
    const damages: Record<string, (bytes: Uint8Array<ArrayBuffer>) => Uint8Array<ArrayBuffer>> = {
      "cut to half": (bytes) => bytes.slice(0, bytes.length / 2),
      "cut within the header": (bytes) => bytes.slice(0, 50),
      "no database at all": () => new TextEncoder().encode("hello ".repeat(1000)),
      "header overwritten": (bytes) => bytes.fill(0xaa, 0, 100),
    };
    for (const [name, damage] of Object.entries(damages)) {
      await test.step(name, async () => {
        fill();
        await Deno.writeFile(path, damage(await Deno.readFile(path)));
        const said: string[] = [];
        using index = FileIndex.open(path, { maxChunks: 1000, onReplaced: (message) => said.push(message) });
        assertEquals(said.length, 1);
        assertTrue(said[0]!.startsWith(`The index of known content "${path}" was damaged`), said[0]);
        assertEquals(index.totals().files, 0);
        assertTrue((await Deno.stat(`${path}.damaged`)).isFile);
      });
    }
    await test.step("made by a newer version", () => {
      {
        using index = FileIndex.open(path, { maxChunks: 1000 });
        assertEquals(index.check(), []);
      }
      setVersion(path, 99);
      assertThrows(() => FileIndex.open(path, { maxChunks: 1000 }), "VERSION_UNSUPPORTED", "newer version");
    });
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("two processes' indexes of one file see each other's entries", async () => {
  const dir = await Deno.makeTempDir();
  try {
    using a = FileIndex.open(`${dir}/index.db`, { maxChunks: 1000 });
    using b = FileIndex.open(`${dir}/index.db`, { maxChunks: 1000 });
    a.remember([known({ inode: 1, chunks: [1] })]);
    b.remember([known({ inode: 2, chunks: [2] })]);
    assertEquals([a, b].map((index) => index.lookup(ids([1, 2])).every(Boolean)), [true, true]);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

const CHUNK = 1 << 20;

function memoryIndex(): FileIndex {
  return FileIndex.open(":memory:", { maxChunks: 1000 });
}

function known(
  { inode, chunks, tail = CHUNK, path = `/${inode}`, settled = true }: {
    inode: number;
    chunks: number[];
    /** Bytes of the last chunk. */
    tail?: number;
    path?: string;
    settled?: boolean;
  },
): KnownFile {
  const size = chunks.length === 0 ? 0 : (chunks.length - 1) * CHUNK + tail;
  const list: ChunkList = { chunking: CHUNK, size, ids: ids(chunks) };
  return { path: new TextEncoder().encode(path), stamp: stamp({ inode, size }), settled, chunks: list };
}

function stamp(
  { inode, size, changedMs = CHANGED, ctimeMs = changedMs }: {
    inode: number;
    size: number;
    changedMs?: number;
    ctimeMs?: number;
  },
): Uint8Array<ArrayBuffer> {
  const bytes = new DataView(new ArrayBuffer(STAMP_BYTES));
  bytes.setBigUint64(0, 1n, true);
  bytes.setBigUint64(8, BigInt(inode), true);
  bytes.setBigUint64(16, BigInt(size), true);
  bytes.setBigInt64(24, BigInt(changedMs) * 1_000_000n, true);
  bytes.setBigInt64(32, BigInt(ctimeMs) * 1_000_000n, true);
  return new Uint8Array(bytes.buffer);
}

function bytes(length: number, fill: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(length).fill(fill);
}

/** Runs SQL that the index does not know of. */
function execute(path: string, sql: string): void {
  const database = new DatabaseSync(path);
  database.exec(sql);
  database.close();
}

/** Ids that differ in their first bytes, as hashes do. */
function ids(chunks: number[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(32 * chunks.length);
  chunks.forEach((chunk, i) => new DataView(bytes.buffer).setUint32(32 * i + 2, (chunk + 1) * 0x9e3779b1));
  return bytes;
}

function text(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}

function setVersion(path: string, version: number): void {
  using file = Deno.openSync(path, { read: true, write: true });
  // "user version", 4 bytes big endian at offset 60 of the header (sqlite.org/fileformat2.html §1.3).
  file.seekSync(60, Deno.SeekMode.Start);
  file.writeSync(new Uint8Array([0, 0, 0, version]));
}
