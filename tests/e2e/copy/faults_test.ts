/** Disks that are full or broken, sources that change under the hand: told of file by file, and nothing by half. */
import { assertEquals, assertTrue } from "../../../src/base/testing.ts";
import { FaultyDisk } from "../faults/disk.ts";
import { someFiles, writeFiles } from "../faults/small_tree.ts";
import { assertFailed } from "../harness.ts";
import { Dice } from "../hostile_manifests.ts";
import { run } from "../command.ts";
import { Sandbox } from "../sandbox.ts";
import { noise } from "../trees.ts";
import { assertCopies, assertTidy, copies, ofKind, skip, tool } from "./command.ts";
import { type Copied, copyHere, CopyProcess } from "./in_process.ts";
import { assertSame, assertWhole } from "./trees.ts";

const KIB = 1024;
const MIB = 1024 * KIB;

/** Codes with which a copy may tell of a disk that fails. */
const HONEST = ["IO", "NO_SPACE", "READ_ONLY", "DESTINATION_EXISTS"];

Deno.test("however little room there is, what has its name is complete, and with more room it goes on", async () => {
  await using sandbox = await Sandbox.create();
  const disk = await sandbox.smallDisk("disk", 4 * KIB);
  if (!disk) return skip("mounting a small tmpfs needs root");
  const files = someFiles(new Dice(3), 500 * KIB);
  const source = await writeFiles(sandbox, "from", files);
  let full = 0;
  for (let kib = 4; kib <= 640; kib += kib < 64 ? 4 : 20) {
    await tool("mount", ["-o", `remount,size=${kib}k`, disk]);
    const copied = await copyHere({ paths: [`${source}/`, `${disk}/to`], fsync: "none", retries: 0 });
    const what = `${kib} KiB: ${JSON.stringify(copied.failed.slice(0, 2))} ${JSON.stringify(copied.error)}`;
    for (const code of codesOf(copied)) assertTrue(code === "NO_SPACE", what);
    if (codesOf(copied).length > 0) full++;
    await assertWhole(source, `${disk}/to`, what);
    await assertTidy(disk);
    await tool("mount", ["-o", "remount,size=8m", disk]);
    const again = await copyHere({ paths: [`${source}/`, `${disk}/to`], existing: "differs", fsync: "none" });
    assertEquals([again.failed, again.error], [[], undefined], what);
    if (kib % 3 === 0) await assertSame(`${disk}/to`, source);
    await Deno.remove(`${disk}/to`, { recursive: true });
  }
  assertTrue(full > 20, `the disk was full ${full} times only`);
});

Deno.test("a full disk is one sentence for each file, a summary, and exit code 7", async () => {
  await using sandbox = await Sandbox.create();
  const disk = await sandbox.smallDisk("disk", MIB);
  if (!disk) return skip("mounting a small tmpfs needs root");
  await sandbox.file("from/fits", "small");
  await sandbox.file("from/large", noise(2 * MIB));
  const ending = await copies(sandbox, [sandbox.path("from"), `${disk}/to`]);
  assertFailed(ending, 7, /1 entry failed/);
  const [failed] = ofKind(ending, "file_failed");
  assertEquals(failed?.code, "NO_SPACE");
  assertTrue(/^Cannot .*large": .*space/.test(failed?.message), failed?.message);
  assertEquals(await Deno.readTextFile(`${disk}/to/fits`), "small");
  await assertTidy(disk);
});

Deno.test("whichever call of the disk fails, nothing is there by half, and then it converges", async () => {
  await using sandbox = await Sandbox.create();
  const source = await writeFiles(sandbox, "from", someFiles(new Dice(9), 200 * KIB));
  await Deno.symlink("large", `${source}/link`);
  await Deno.link(`${source}/large`, `${source}/again`);
  const into = await sandbox.folder("into");
  const disk = await FaultyDisk.make(sandbox, into);
  if (typeof disk === "string") return skip(disk);
  await using process = new CopyProcess(disk.prefix);
  const run = () =>
    process.run({ paths: [`${source}/`, `${into}/to`], method: "read_write", threads: 2, retries: 0 });
  await disk.set({ at: 0 });
  assertEquals(codesOf(await run()), []);
  const { calls } = await disk.counts();
  assertTrue(calls > 40, `only ${calls} calls`);
  await Deno.remove(`${into}/to`, { recursive: true });
  let told = 0;
  for (let at = 1; at <= calls; at += 3) {
    const error = (["EIO", "ENOSPC", "EROFS"] as const)[at % 3]!;
    const mode = at % 7 === 0 ? "on" : at % 11 === 0 ? "short" : "once";
    await disk.set({ at, error, mode });
    const copied = await run();
    const { hits } = await disk.counts();
    await disk.set({ at: 0 });
    const what = `${error} ${mode} at ${at} (${hits} hits): ${JSON.stringify(copied.failed)} ${
      JSON.stringify(copied.error)
    }`;
    for (const code of codesOf(copied)) assertTrue(HONEST.includes(code), `${code} at ${what}`);
    if (codesOf(copied).length > 0) told++;
    await assertWhole(source, `${into}/to`, what);
    const again = await run();
    assertEquals(codesOf(again), [], `${what}, then ${JSON.stringify(again)}`);
    if (at % 5 === 0) await assertSame(`${into}/to`, source);
    await Deno.remove(`${into}/to`, { recursive: true });
  }
  assertTrue(told > calls / 6, `hardly any fault was told of: ${told} of ${calls}`);
});

Deno.test("what the disk could not keep is never called copied", async () => {
  await using sandbox = await Sandbox.create();
  const source = await writeFiles(sandbox, "from", someFiles(new Dice(4), 100 * KIB));
  const into = await sandbox.folder("into");
  const disk = await FaultyDisk.make(sandbox, into);
  if (typeof disk === "string") return skip(disk);
  await using process = new CopyProcess(disk.prefix);
  for (const fsync of ["end", "each"] as const) {
    const run = () =>
      process.run({ paths: [`${source}/`, `${into}/to`], method: "read_write", fsync, retries: 0 });
    await disk.set({ at: 0, kinds: 2 });
    await run();
    const { calls } = await disk.counts();
    assertTrue(calls > 0, `--fsync ${fsync} brings nothing to the disk`);
    for (let at = 1; at <= calls; at++) {
      await Deno.remove(`${into}/to`, { recursive: true }).catch(() => {});
      await disk.set({ at, error: "EIO", kinds: 2 });
      const copied = await run();
      assertTrue(codesOf(copied).length > 0, `sync ${at} of --fsync ${fsync} failed, and nobody heard of it`);
      await assertWhole(source, `${into}/to`, `sync ${at}`);
    }
    await Deno.remove(`${into}/to`, { recursive: true }).catch(() => {});
  }
});

Deno.test("a source that grows is told of, or is there as it was at one moment", async () => {
  await using sandbox = await Sandbox.create();
  const growing = await sandbox.file("from/growing", noise(32 * MIB));
  await sandbox.file("from/still", "x");
  const script = "import sys,os,time\nf=open(sys.argv[1],'ab',0)\nprint('on',flush=True)\n" +
    "while os.getppid()!=1: time.sleep(0.0005), f.write(b'x'*4096)";
  await using writer = background("python3", ["-c", script, growing]);
  await writer.begun();
  for (const flags of [[], ["--verify"], ["--method", "read_write"]]) {
    const ending = await copies(sandbox, [
      "--retries",
      "1",
      ...flags,
      sandbox.path("from/"),
      sandbox.path("to"),
    ]);
    const there = await Deno.lstat(sandbox.path("to/growing")).catch(() => undefined);
    if (ending.code === 0) assertTrue(there !== undefined);
    else {
      assertFailed(ending, 7);
      assertEquals(ofKind(ending, "file_failed").map(({ code }) => code), ["SOURCE_CHANGED"]);
      assertEquals(there, undefined);
    }
    assertEquals(await Deno.readTextFile(sandbox.path("to/still")), "x");
    await assertTidy(sandbox.path("to"));
    await Deno.remove(sandbox.path("to"), { recursive: true });
  }
});

Deno.test("files that vanish while they are copied are named, and the rest is there", async () => {
  await using sandbox = await Sandbox.create();
  for (let file = 0; file < 300; file++) await sandbox.file(`from/still-${file}`, `${file}`);
  const script = `import os,sys,shutil
os.chdir(sys.argv[1])
print('on', flush=True)
while os.getppid() != 1:
    for n in range(40):
        open('gone-%d' % n, 'wb').write(b'x' * 100)
        os.makedirs('folder-%d/in' % n, exist_ok=True)
    for n in range(40):
        os.unlink('gone-%d' % n)
        shutil.rmtree('folder-%d' % n)
`;
  await using breaker = background("python3", ["-c", script, sandbox.path("from")]);
  await breaker.begun();
  let failures = 0;
  for (let round = 0; round < 40; round++) {
    const { failed, error } = await copyHere({
      paths: [sandbox.path("from"), sandbox.path("to")],
      retries: 0,
      fsync: "none",
    });
    assertEquals(error, undefined);
    for (const { code, message } of failed) {
      assertTrue(["NOT_FOUND", "SOURCE_CHANGED"].includes(code), `${code} ${message}`);
    }
    failures += failed.length;
    for (let file = 0; file < 300; file++) {
      assertEquals(await Deno.readTextFile(sandbox.path(`to/still-${file}`)), `${file}`);
    }
    await assertTidy(sandbox.path("to"));
    await Deno.remove(sandbox.path("to"), { recursive: true });
  }
  assertTrue(failures > 0, "nothing vanished in time");
});

Deno.test("many failures are shown up to a number, then counted", async () => {
  await using sandbox = await Sandbox.create();
  await sandbox.folder("from");
  for (let file = 0; file < 70; file++) {
    await sandbox.file(`from/file-${file}`, "x");
    await sandbox.folder(`to/file-${file}/inside`);
  }
  const args = ["copy", sandbox.path("from/"), sandbox.path("to")];
  const { code, stderr } = await run(args, { person: await sandbox.person("somebody") });
  assertEquals(code, 7, stderr);
  assertEquals(stderr.match(/^failed: /gm)?.length, 50);
  assertTrue(stderr.includes("20 more entries failed") && stderr.includes("70 entries failed"), stderr);
});

Deno.test("what /proc makes up as it is read is copied as it reads", async () => {
  await using sandbox = await Sandbox.create();
  await assertCopies(sandbox, ["/proc/version", sandbox.path("to")]);
  assertEquals(await Deno.readTextFile(sandbox.path("to")), await Deno.readTextFile("/proc/version"));
});

function codesOf({ failed, error }: Copied): string[] {
  return [...failed.map(({ code }) => code), ...error ? [error.code] : []];
}

function background(program: string, args: readonly string[]) {
  const child = new Deno.Command(program, { args: [...args], stdin: "null", stdout: "piped" }).spawn();
  const reader = child.stdout.getReader();
  return {
    begun: async () => void await reader.read(),
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
      await reader.cancel();
      await child.status;
    },
  };
}
