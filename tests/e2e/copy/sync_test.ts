/** `copy --sync`: what is left alone, what is deleted, and when it stops. */
import { assertEquals, assertTrue } from "../../../src/base/testing.ts";
import { Terminal } from "../../cli/terminal.ts";
import { assertFailed } from "../harness.ts";
import { run } from "../command.ts";
import { Sandbox } from "../sandbox.ts";
import { assertCopies, copies, names, ofKind, told, tool } from "./command.ts";
import { assertRsyncAgrees, assertSame, change, makeEverything, makeRandom } from "./trees.ts";

Deno.test("--sync makes a changed tree the same again, --delete takes away what is gone", async () => {
  await using sandbox = await Sandbox.create();
  const from = await makeEverything(sandbox.path("from"));
  const to = sandbox.path("to");
  await assertCopies(sandbox, ["--sync", from, to]);
  for (const seed of [1, 2, 3]) {
    await change([from], { seed });
    const ending = await copies(sandbox, ["--sync", "--delete", "--yes", from, to]);
    assertEquals(ending.code, 0, told(ending));
    await assertSame(to, from);
    await assertRsyncAgrees(to, from);
  }
});

Deno.test("--sync moves only what differs", async () => {
  await using sandbox = await Sandbox.create();
  const [from] = await makeRandom(sandbox.path("trees"), { count: 1, seed: 11 });
  for (let file = 0; file < 30; file++) await sandbox.file(`trees/0/file-${file}`, `${file}`.repeat(100));
  const to = sandbox.path("to");
  await assertCopies(sandbox, [from!, to]);
  await sandbox.file("trees/0/file-7", "another size");
  await Deno.chmod(`${from}/file-8`, 0o640);
  const { files, unchanged } = await assertCopies(sandbox, ["--sync", from!, to]);
  assertEquals(files, 1);
  assertTrue(unchanged >= 29);
  await assertSame(to, from!);
});

Deno.test("--checksum sees what size and time hide", async () => {
  await using sandbox = await Sandbox.create();
  const file = await sandbox.file("from/file", "one");
  await assertCopies(sandbox, ["--sync", sandbox.path("from"), sandbox.path("to")]);
  const { mtime } = await Deno.stat(file);
  await Deno.writeTextFile(file, "two");
  for (const path of [file, sandbox.path("to/file")]) await Deno.utime(path, mtime!, mtime!);
  await assertCopies(sandbox, ["--sync", sandbox.path("from"), sandbox.path("to")]);
  assertEquals(await Deno.readTextFile(sandbox.path("to/file")), "one");
  await assertCopies(sandbox, ["--sync", "--checksum", sandbox.path("from"), sandbox.path("to")]);
  assertEquals(await Deno.readTextFile(sandbox.path("to/file")), "two");
});

Deno.test("--dry-run changes nothing, and lists what then happens", async () => {
  await using sandbox = await Sandbox.create();
  const trees = await makeRandom(sandbox.path("trees"), { count: 1, seed: 8 });
  const [from, to, before] = [trees[0]!, sandbox.path("to"), sandbox.path("before")];
  const fresh = await copies(sandbox, ["-n", from, to]);
  assertEquals([fresh.code, await Deno.lstat(to).catch(() => "none")], [0, "none"], told(fresh));
  await assertCopies(sandbox, [from, to]);
  await sandbox.file("to/gone", "x");
  await sandbox.file("trees/0/fresh", "y");
  await Deno.utime(to, 1000, 1000);
  await tool("cp", ["-a", to, before]);
  const list = async (flags: readonly string[]) => {
    const ending = await copies(sandbox, ["--sync", "--delete", "--yes", ...flags, from, to]);
    assertEquals(ending.code, 0, told(ending));
    return ofKind(ending, "change").map(({ what, kind, path }) => `${what} ${kind} ${path}`).sort();
  };
  const planned = await list(["-n"]);
  await assertSame(to, before);
  assertTrue(
    planned.includes(`new file ${to}/fresh`) && planned.includes(`delete file ${to}/gone`),
    planned.join("\n"),
  );
  assertEquals(await list(["-v"]), planned);
  await assertSame(to, from);
});

Deno.test("the list of --dry-run is for people too, and harmless to their terminal", async () => {
  await using sandbox = await Sandbox.create();
  await sandbox.file("from/evil\x1b[31m\nname", "x");
  const person = await sandbox.person("somebody");
  const { code, stdout, stderr } = await run(["copy", "-n", sandbox.path("from"), sandbox.path("to")], {
    person,
  });
  assertEquals(code, 0, stderr);
  const lines = new TextDecoder().decode(stdout).trimEnd().split("\n");
  assertEquals(lines.map((line) => line.replace(sandbox.dir, "")).sort(), [
    "new        file      /to/evil\\x1b[31m\\nname  (1 B)",
    "new        folder    /to",
  ]);
  assertTrue(stderr.includes("Would copy 1 file"), stderr);
});

Deno.test("the brake stops a mass delete, and says how to go on", async () => {
  await using sandbox = await Sandbox.create();
  for (let file = 0; file < 10; file++) await sandbox.file(`to/file-${file}`, "x");
  for (let file = 0; file < 4; file++) await sandbox.file(`from/file-${file}`, "y");
  await sandbox.file("from/fresh", "y");
  const [from, to] = [sandbox.path("from"), sandbox.path("to")];
  const sync = (...flags: string[]) => copies(sandbox, ["--sync", "--delete", ...flags, from, to]);
  const stopped = await sync();
  assertFailed(stopped, 10, /more than half/);
  assertEquals(ofKind(stopped, "deletions").map(({ entries, of }) => [entries, of]), [[6, 10]]);
  assertEquals((await names(to)).length, 11, "the rest is done, and nothing deleted");
  assertFailed(await sync("--max-delete", "5"), 10, /--max-delete 5 allows/);
  assertFailed(await sync("--max-delete", "50%"), 10, /--max-delete 50% allows/);
  assertEquals((await names(to)).length, 11);
  const dry = await sync("-n");
  assertEquals(dry.code, 0, told(dry));
  const done = await sync("--max-delete", "6");
  assertEquals([done.code, ofKind(done, "copied")[0]?.deleted], [0, 6], told(done));
  assertEquals((await names(to)).length, 5);
});

Deno.test("an empty, unreadable or missing source deletes nothing", async () => {
  await using sandbox = await Sandbox.create();
  const from = await sandbox.folder("from");
  for (let file = 0; file < 10; file++) await sandbox.file(`to/file-${file}`, "x");
  const to = sandbox.path("to");
  const sync = () => copies(sandbox, ["--sync", "--delete", from, to]);
  assertFailed(await sync(), 10, /is empty/);
  await Deno.remove(from);
  assertFailed(await sync(), 6, /no such file/);
  assertEquals((await names(to)).length, 10);
  // A folder of the source that cannot be read may hold anything.
  for (let file = 0; file < 9; file++) await sandbox.file(`from/file-${file}`, "x");
  await sandbox.file("from/closed/inside", "x");
  await sandbox.file("to/closed/inside", "x");
  await sandbox.file("to/closed/more", "x");
  await Deno.chmod(sandbox.path("from/closed"), 0);
  const prefix = Deno.uid() === 0
    ? ["setpriv", "--bounding-set", "-dac_override,-dac_read_search", "--inh-caps", "-all"]
    : [];
  const ending = await copies(sandbox, ["--sync", "--delete", "--yes", from, to], { prefix });
  assertFailed(ending, 7);
  assertEquals(await names(sandbox.path("to/closed")), ["inside", "more"]);
  assertEquals((await names(to)).includes("file-9"), false, "what is known to be gone went");
});

Deno.test("--delete removes no folder that something excluded is in, and nothing excluded", async () => {
  await using sandbox = await Sandbox.create();
  await sandbox.file("from/keep", "x");
  await sandbox.file("to/keep", "x");
  await sandbox.file("to/mine.local", "x");
  await sandbox.file("to/also", "x");
  await assertCopies(sandbox, [
    "--sync",
    "--delete",
    "--yes",
    "--exclude",
    "*.local",
    sandbox.path("from"),
    sandbox.path("to"),
  ]);
  assertEquals(await names(sandbox.path("to")), ["keep", "mine.local"]);
});

Deno.test("at a terminal the brake asks, and no keeps everything", async () => {
  await using sandbox = await Sandbox.create();
  await sandbox.file("from/a", "x");
  for (let file = 0; file < 4; file++) await sandbox.file(`to/file-${file}`, "x");
  const person = await sandbox.person("somebody");
  for (const [answer, code, left] of [["n\r", 10, 5], ["y\r", 0, 1]] as const) {
    await using terminal = Terminal.open(
      ["copy", "--sync", "--delete", sandbox.path("from"), sandbox.path("to")],
      { person },
    );
    await terminal.shows(/Delete 4 of \d+ entries: that is more than half\? \[y\/N\]/);
    await terminal.type(answer);
    assertEquals(await terminal.ending(), code, terminal.shown);
    assertEquals((await names(sandbox.path("to"))).length, left);
  }
});

Deno.test("flags that are for others are refused alone", async () => {
  await using sandbox = await Sandbox.create();
  await sandbox.file("from/a", "x");
  for (const flags of [["--delete"], ["--checksum"], ["--sync", "--max-delete", "3"], ["--sync", "--yes"]]) {
    assertFailed(
      await copies(sandbox, [...flags, sandbox.path("from"), sandbox.path("to")]),
      2,
      /it is for --/,
    );
  }
  assertEquals(await Deno.lstat(sandbox.path("to")).catch(() => "none"), "none");
});
