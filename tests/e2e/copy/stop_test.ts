/** Copies that are stopped: by kill -9 at any instant, by Ctrl-C; and what is said meanwhile. */
import { assertEquals, assertTrue } from "../../../src/base/testing.ts";
import { Terminal } from "../../cli/terminal.ts";
import { run, start } from "../command.ts";
import { COPY } from "../faults/copy.ts";
import { FaultyDisk } from "../faults/disk.ts";
import { holds } from "../faults/scenario.ts";
import { Sandbox } from "../sandbox.ts";
import { noise } from "../trees.ts";
import { assertCopies, assertTidy, copies, ofKind, skip, told } from "./command.ts";
import { assertSame, assertWhole } from "./trees.ts";

const MIB = 1024 * 1024;

Deno.test("after kill -9 at any instant nothing incomplete has a final name, and --resume goes on", async () => {
  const tally = await holds(COPY, { runs: 12, seed: 1 });
  assertTrue(tally!.of("kills in the middle") > 5, `most kills came too early or too late: ${tally}`);
});

Deno.test("Ctrl-C ends a copy in order, with a word how to go on, and --resume copies the rest only", async () => {
  await using sandbox = await Sandbox.create();
  await sandbox.file("from/first", noise(MIB));
  for (let file = 0; file < 400; file++) await sandbox.file(`from/${file % 7}/file-${file}`, `${file}`);
  const [from, to] = [sandbox.path("from"), await sandbox.folder("to")];
  const disk = await FaultyDisk.make(sandbox, to);
  if (typeof disk === "string") return skip(disk);
  // A slow disk, so that it is under way for certain.
  await disk.set({ at: 60, mode: "slow" });
  const person = await sandbox.person("somebody");
  for (const json of [true, false]) {
    const flags = json ? ["--json", "-v"] : [];
    await using running = start(["copy", "--resume", ...flags, `${from}/`, to], {
      person,
      prefix: disk.prefix,
    });
    if (json) await running.event("change");
    else {while (Number((await disk.counts()).hits) < 20) {
        await new Promise((resolve) => setTimeout(resolve, 5));
      }}
    running.signal("SIGINT");
    const ending = await running.ending();
    assertEquals(ending.code, 130, told(ending));
    if (json) {
      const [copied] = ofKind(ending, "copied");
      assertEquals(copied?.interrupted, true);
      assertTrue(copied!.files < 401, "it was all done");
    } else assertTrue(/Stopped after[^]*--resume/.test(ending.stderr), ending.stderr);
    await assertTidy(to);
    await assertWhole(from, to, "after Ctrl-C");
    await disk.set({ at: 60, mode: "slow" });
  }
  const rest = await assertCopies(sandbox, ["--resume", `${from}/`, to], { person });
  assertTrue(rest.unchanged > 0, "nothing was taken over");
  assertEquals(rest.files + rest.unchanged, 401);
  await assertSame(to, from);
  const journals = await Array.fromAsync(Deno.readDir(sandbox.path("people/somebody/state/wormhole/copies")));
  assertEquals(journals, []);
});

Deno.test("copy is quiet where there is no terminal, but for its end; -q says nothing", async () => {
  await using sandbox = await Sandbox.create();
  const path = await sandbox.file("file", noise(MIB));
  const person = await sandbox.person("somebody");
  const told = await run(["copy", path, sandbox.path("to")], { person });
  assertEquals([told.code, told.stdout.length], [0, 0]);
  assertTrue(/^Copied 1 file, 1\.00 MiB in \S+, \S+ \S+\/s\.\n$/.test(told.stderr), told.stderr);
  const quiet = await run(["copy", "-q", path, sandbox.path("to2")], { person });
  assertEquals([quiet.code, quiet.stdout.length, quiet.stderr], [0, 0, ""]);
  const verbose = await run(["copy", "-v", path, sandbox.path("to3")], { person });
  const line = new TextDecoder().decode(verbose.stdout);
  assertTrue(/^new +file +\S+to3 +\(1\.00 MiB(, \w+)?\)\n$/.test(line), line);
  assertTrue(
    /(copy_file_range|read_write|io_uring|splice|reflink|mmap|direct): 1 file/.test(verbose.stderr),
    verbose.stderr,
  );
});

Deno.test("progress has files/s, bytes/s and the time left; --progress shows it in a pipe too", async () => {
  await using sandbox = await Sandbox.create();
  for (let file = 0; file < 60; file++) await sandbox.file(`from/file-${file}`, noise(50_000));
  const to = await sandbox.folder("to");
  const disk = await FaultyDisk.make(sandbox, to);
  if (typeof disk === "string") return skip(disk);
  await disk.set({ at: 1, mode: "slow" });
  const args = ["--cpu-count", "1", `${sandbox.path("from")}/`, to];
  const ending = await copies(sandbox, args, { prefix: disk.prefix });
  assertEquals(ending.code, 0, told(ending));
  const progress = ofKind(ending, "progress");
  assertTrue(progress.length > 3, `${progress.length} events of progress`);
  const { files_per_second, bytes_per_second } = progress.at(-1)!;
  assertTrue(files_per_second > 0 && bytes_per_second > 0, JSON.stringify(progress.at(-1)));
  const person = await sandbox.person("somebody");
  await using terminal = Terminal.open([
    "copy",
    ...args.slice(0, 2),
    `${sandbox.path("from")}/`,
    sandbox.path("to/again"),
  ], {
    person,
    columns: 120,
    prefix: disk.prefix,
  });
  await terminal.shows(/MiB.*\d+ files\/s/);
  assertEquals(await terminal.ending(), 0, terminal.shown);
});

Deno.test("--verify of a good copy finds nothing, and counts nothing twice", async () => {
  await using sandbox = await Sandbox.create();
  const from = sandbox.path("from");
  for (let file = 0; file < 20; file++) await sandbox.file(`from/file-${file}`, noise(100_000, file + 1));
  const { files, bytes } = await assertCopies(sandbox, ["--verify", from, sandbox.path("to")]);
  assertEquals([files, bytes], [20, 2_000_000]);
  await assertSame(sandbox.path("to"), from);
});
