/** What a copy keeps: everything, on each file system, by each method. */
import { assertEquals, assertTrue } from "../../../src/base/testing.ts";
import { METHODS } from "../../../src/copy/policy.ts";
import { Sandbox, succeeds } from "../sandbox.ts";
import { noise } from "../trees.ts";
import { assertCopies, copies, ofKind, skip, told, tool } from "./command.ts";
import { type FileSystem, makeDisk } from "./disks.ts";
import { assertRsyncAgrees, assertSame, makeEverything } from "./trees.ts";

const MIB = 1024 * 1024;

for (const kind of ["tmpfs", "ext4", "xfs", "btrfs"] as const) {
  Deno.test(`copy keeps everything on ${kind}, by rsync's judgement and ours`, async () => {
    await using sandbox = await Sandbox.create();
    const disk = await diskOf(sandbox, kind);
    if (disk === undefined) return;
    const from = await makeEverything(`${disk}/from`);
    await assertCopies(sandbox, [from, `${disk}/to`]);
    await assertSame(`${disk}/to`, from);
    await assertRsyncAgrees(`${disk}/to`, from);
    const again = await assertCopies(sandbox, ["--sync", "--delete", from, `${disk}/to`]);
    assertEquals([again.files, again.bytes, again.deleted], [0, 0, 0]);
    await assertSame(`${disk}/to`, from);
  });
}

Deno.test("copy keeps everything from one file system to another", async () => {
  await using sandbox = await Sandbox.create();
  const disk = await diskOf(sandbox, "ext4");
  if (disk === undefined) return;
  const from = await makeEverything(sandbox.path("from"));
  await assertCopies(sandbox, ["--verify", "--fsync", "each", from, `${disk}/to`]);
  await assertSame(`${disk}/to`, from);
});

for (const method of METHODS.filter((method) => method !== "auto")) {
  Deno.test(`--method ${method} keeps everything, or says plainly that it cannot`, async () => {
    await using sandbox = await Sandbox.create();
    const disk = await diskOf(sandbox, method === "reflink" ? "xfs" : "ext4");
    if (disk === undefined) return;
    const from = await makeEverything(`${disk}/from`);
    await assertCopies(sandbox, ["--method", method, from, `${disk}/to`]);
    await assertSame(`${disk}/to`, from);
    if (method !== "reflink") return;
    const refused = await copies(sandbox, [
      "--method",
      "reflink",
      `${from}/large`,
      sandbox.path("elsewhere"),
    ]);
    assertTrue([6, 7].includes(refused.code), told(refused));
    assertEquals(await Deno.lstat(sandbox.path("elsewhere")).catch(() => "none"), "none");
  });
}

for (const kind of ["xfs", "btrfs"] as const) {
  Deno.test(`copy shares the bytes of a file on ${kind}, and moves none`, async () => {
    await using sandbox = await Sandbox.create();
    const disk = await diskOf(sandbox, kind);
    if (disk === undefined) return;
    await Deno.writeFile(`${disk}/from`, noise(64 * MIB));
    await tool("sync", ["-f", disk]);
    const before = await freeBytes(disk);
    const { methods } = await assertCopies(sandbox, [`${disk}/from`, `${disk}/to`]);
    assertEquals(methods.reflink, 1);
    await tool("sync", ["-f", disk]);
    assertTrue(before - await freeBytes(disk) < 8 * MIB, "the copy took room of its own");
    assertEquals(await succeeds("cmp", [`${disk}/from`, `${disk}/to`]), true);
  });
}

Deno.test("--sparse makes holes of zeros, --no-sparse fills holes, without either they stay", async () => {
  await using sandbox = await Sandbox.create();
  const path = sandbox.path("from");
  await Deno.writeFile(path, new Uint8Array(4 * MIB));
  await Deno.truncate(path, 8 * MIB);
  const rows = [[[], 4], [["--sparse"], 0], [["--no-sparse"], 8], [
    ["--no-sparse", "--preallocate"],
    8,
  ]] as const;
  for (const [flags, mib] of rows) {
    const to = sandbox.path(`to${flags.join("")}`);
    await assertCopies(sandbox, [...flags, path, to]);
    const { size, blocks } = await Deno.stat(to);
    assertEquals([size, blocks! * 512], [8 * MIB, mib * MIB], flags.join(" "));
    assertEquals(await succeeds("cmp", [path, to]), true);
  }
});

Deno.test("what is not wanted is not kept", async () => {
  await using sandbox = await Sandbox.create();
  const from = await sandbox.folder("from");
  const file = await sandbox.file("from/file", "x");
  await Deno.link(file, `${from}/again`);
  await tool("mkfifo", [`${from}/fifo`]);
  await Deno.chmod(file, 0o4751);
  await Deno.utime(file, 1000, 1000);
  const hasXattrs = await succeeds("setfattr", ["-n", "user.note", "-v", "hello", file]);
  const look = async (to: string) => {
    const { mode, mtime, nlink } = await Deno.stat(`${to}/file`);
    return {
      mode: (mode! & 0o7777) === 0o4751,
      times: mtime!.getTime() === 1_000_000,
      hardlinks: nlink === 2,
      specials: await succeeds("test", ["-p", `${to}/fifo`]),
      xattrs: hasXattrs && await succeeds("getfattr", ["-n", "user.note", `${to}/file`]),
    };
  };
  const all = { mode: true, times: true, hardlinks: true, specials: true, xattrs: hasXattrs };
  const none = { mode: false, times: false, hardlinks: false, specials: false, xattrs: false };
  const rows: readonly [readonly string[], typeof all][] = [
    [[], all],
    [["--preserve=all"], all],
    [["--preserve=none"], none],
    [["--no-mode"], { ...all, mode: false }],
    [["--no-times"], { ...all, times: false }],
    [["--no-hardlinks"], { ...all, hardlinks: false }],
    [["--no-specials"], { ...all, specials: false }],
    [["--no-xattrs"], { ...all, xattrs: false }],
    [["--no-preserve-xattrs", "--no-preserve-hardlinks"], { ...all, xattrs: false, hardlinks: false }],
    [["--preserve=mode,timestamps"], { ...none, mode: true, times: true }],
    [["--preserve=mode", "--preserve-hardlinks"], { ...none, mode: true, hardlinks: true }],
  ];
  for (const [index, [flags, wanted]] of rows.entries()) {
    const to = sandbox.path(`to-${index}`);
    await assertCopies(sandbox, [...flags, from, to]);
    assertEquals(await look(to), wanted, flags.join(" "));
  }
});

Deno.test("--one-file-system stays on its file system, --exclude leaves out", async () => {
  await using sandbox = await Sandbox.create();
  await sandbox.file("from/keep/file", "1");
  await sandbox.file("from/drop.tmp", "2");
  await sandbox.file("from/keep/sub/drop.tmp", "3");
  const mounted = await sandbox.smallDisk("from/mounted", MIB);
  if (mounted) await Deno.writeTextFile(`${mounted}/inside`, "4");
  await assertCopies(sandbox, ["-x", "--exclude", "*.tmp", sandbox.path("from"), sandbox.path("to")]);
  const found = await tool("find", ["to", "-type", "f"], { cwd: sandbox.dir });
  assertEquals(found.trim().split("\n"), ["to/keep/file"]);
  assertEquals(await succeeds("test", ["-d", sandbox.path("to/mounted")]), mounted !== undefined);
});

Deno.test("what may not be read is named entry by entry, and the rest is there", async () => {
  if (Deno.uid() !== 0) return skip("files of somebody else need root");
  await using sandbox = await Sandbox.create();
  await sandbox.file("from/open", "1");
  const closed = await sandbox.file("from/closed", "2");
  await sandbox.file("from/locked/inside", "3");
  await Deno.chmod(closed, 0o600);
  await Deno.chmod(sandbox.path("from/locked"), 0o700);
  for (const path of [closed, sandbox.path("from/locked")]) await Deno.chown(path, 1234, 1234);
  // Root without its rights over other people's files.
  const prefix = [
    "setpriv",
    "--bounding-set",
    "-dac_override,-dac_read_search,-fowner",
    "--inh-caps",
    "-all",
  ];
  const ending = await copies(sandbox, [sandbox.path("from"), sandbox.path("to")], { prefix });
  assertEquals(ending.code, 7, told(ending));
  const failed = ofKind(ending, "file_failed").map(({ code, name }) =>
    `${code} ${name.replace(/.*from\//, "")}`
  );
  assertEquals(failed.sort(), ["PERMISSION_DENIED closed", "PERMISSION_DENIED locked"]);
  assertEquals(await Deno.readTextFile(sandbox.path("to/open")), "1");
  assertEquals(await Deno.lstat(sandbox.path("to/closed")).catch(() => "none"), "none");
});

async function diskOf(sandbox: Sandbox, kind: FileSystem | "tmpfs"): Promise<string | undefined> {
  if (kind === "tmpfs") return sandbox.dir;
  const disk = await makeDisk(sandbox, "disk", { kind, bytes: 512 * MIB });
  if ("path" in disk) return disk.path;
  skip(disk.missing);
  return undefined;
}

async function freeBytes(path: string): Promise<number> {
  return Number((await tool("df", ["--output=avail", "-B1", path])).trim().split("\n").at(-1));
}
