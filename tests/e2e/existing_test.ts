/** What happens to what is already in the receiver's folder. */
import { assertEquals } from "../../src/base/testing.ts";
import { assertDone, assertFailed, assertTransfers, Sandbox, transfer } from "./harness.ts";
import { assertUnchanged, listTree } from "./trees.ts";

/** A sandbox whose `from/album` meets an older `into/album` with one file in common and one of its own. */
async function albums(): Promise<{ sandbox: Sandbox; source: string; into: string }> {
  const sandbox = await Sandbox.create();
  await sandbox.file("from/album/common.txt", "new");
  await sandbox.file("from/album/added.txt", "added");
  await sandbox.file("into/album/common.txt", "old");
  await sandbox.file("into/album/own.txt", "own");
  return { sandbox, source: sandbox.path("from/album"), into: sandbox.path("into") };
}

async function contents(dir: string): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const { path, kind } of await listTree(dir)) {
    if (kind === "file") found[path] = await Deno.readTextFile(`${dir}/${path}`);
  }
  return found;
}

Deno.test("recv --overwrite replaces files in place and keeps the others", async () => {
  const { sandbox, source, into } = await albums();
  await using _ = sandbox;
  await assertTransfers(sandbox, [source], into, { recv: ["--yes", "--overwrite"] });
  assertEquals(await contents(into), {
    "album/added.txt": "added",
    "album/common.txt": "new",
    "album/own.txt": "own",
  });
});

Deno.test("recv --skip keeps existing files and adds the new ones", async () => {
  const { sandbox, source, into } = await albums();
  await using _ = sandbox;
  await assertTransfers(sandbox, [source], into, { recv: ["--yes", "--skip"] });
  assertEquals(await contents(into), {
    "album/added.txt": "added",
    "album/common.txt": "old",
    "album/own.txt": "own",
  });
});

Deno.test("recv --rename keeps both", async () => {
  const { sandbox, source, into } = await albums();
  await using _ = sandbox;
  await assertTransfers(sandbox, [source], into, { recv: ["--yes", "--rename"] });
  const found = await contents(into);
  assertEquals(found["album/common.txt"], "old");
  assertEquals(found["album/own.txt"], "own");
  assertEquals(Object.values(found).sort(), ["added", "new", "old", "own"]);
});

Deno.test("recv --rename finds a free name for a file every time", async () => {
  await using sandbox = await Sandbox.create();
  const into = await sandbox.folder("into");
  for (const text of ["first", "second", "third"]) {
    const file = await sandbox.file("from/notes.txt", text);
    await assertTransfers(sandbox, [file], into, { recv: ["--yes", "--rename"] });
  }
  const found = await contents(into);
  assertEquals(found["notes.txt"], "first");
  assertEquals(Object.values(found).sort(), ["first", "second", "third"]);
});

Deno.test("recv --yes without a choice touches nothing that exists", async () => {
  const { sandbox, source, into } = await albums();
  await using _ = sandbox;
  const before = await listTree(into);
  const { receiver, sender } = await transfer(sandbox, [source], into);
  assertFailed(receiver, [2, 5, 6], /overwrite|rename|skip/);
  assertFailed(sender, 5);
  await assertUnchanged(into, before);
});

Deno.test("recv --overwrite replaces a symlink itself, never what it points to", async () => {
  await using sandbox = await Sandbox.create();
  const file = await sandbox.file("from/settings", "new");
  const precious = await sandbox.file("precious", "precious");
  const into = await sandbox.folder("into");
  await Deno.symlink(precious, `${into}/settings`);
  await assertTransfers(sandbox, [file], into, { recv: ["--yes", "--overwrite"] });
  assertEquals(await Deno.readTextFile(precious), "precious");
  assertEquals(await Deno.readTextFile(`${into}/settings`), "new");
  assertEquals((await Deno.lstat(`${into}/settings`)).isSymlink, false);
});

Deno.test("recv never writes through a symlink to a folder that stands where a folder should", async () => {
  await using sandbox = await Sandbox.create();
  await sandbox.file("from/album/photo", "photo");
  const outside = await sandbox.folder("outside");
  const into = await sandbox.folder("into");
  await Deno.symlink(outside, `${into}/album`);
  for (const choice of ["--skip", "--rename", "--overwrite"]) {
    const transferred = await transfer(sandbox, [sandbox.path("from/album")], into, {
      recv: ["--yes", choice],
    });
    assertEquals((await listTree(outside)).length, 1, `${choice} wrote outside`);
    if (transferred.receiver.code !== 0) assertFailed(transferred.receiver, [5, 6, 7, 8]);
  }
});

for (const choice of ["--overwrite", "--rename", "--skip"]) {
  Deno.test(`recv ${choice} copes with a file where a folder should be and the reverse`, async () => {
    await using sandbox = await Sandbox.create();
    await sandbox.file("from/mixed/a/inside", "inside");
    await sandbox.file("from/mixed/b", "file");
    await sandbox.file("into/mixed/a", "was a file");
    await sandbox.file("into/mixed/b/own", "own");
    const transferred = await transfer(sandbox, [sandbox.path("from/mixed")], sandbox.path("into"), {
      recv: ["--yes", choice],
    });
    const found = Object.values(await contents(sandbox.path("into")));
    if (choice !== "--overwrite") assertEquals(found.includes("was a file"), true);
    assertEquals(found.includes("own"), true, "a folder with content is never replaced");
    if (transferred.receiver.code === 0) assertDone(transferred);
    else assertFailed(transferred.receiver, [6, 7]);
  });
}
