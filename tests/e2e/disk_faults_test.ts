/** Disks that are full, read-only or change under the hand; a destination that somebody plays with. */
import { assertEquals, assertTrue } from "../../src/base/testing.ts";
import { succeeds } from "./sandbox.ts";
import { accept, assertFailed, offer, Sandbox, SLOWLY, transfer } from "./harness.ts";
import { assertUnchanged, listTree, noise, slowToPack } from "./trees.ts";

const MIB = 1024 * 1024;

/** Runs a command as this user without the right to pass over file permissions, which root has. */
const OBEDIENT = Deno.uid() === 0
  ? ["setpriv", "--bounding-set", "-dac_override,-dac_read_search,-fowner", "--inh-caps", "-all"]
  : [];

Deno.test("recv says that there is no space before anything moves", async () => {
  await using sandbox = await Sandbox.create();
  const disk = await sandbox.smallDisk("disk", 8 * MIB);
  if (!disk) return skip("mounting a small tmpfs needs root");
  const file = await sandbox.file("from/big", noise(32 * MIB));
  const { sender, receiver } = await transfer(sandbox, [file], disk);
  assertFailed(receiver, 6, /space/i);
  assertFailed(sender, [5, 6]);
  assertTrue(!receiver.events.some(({ event, bytes }) => event === "progress" && bytes > 0), "bytes moved");
  assertEquals((await listTree(disk)).length, 1);
});

Deno.test("a file with holes needs no room for them", async () => {
  await using sandbox = await Sandbox.create();
  const disk = await sandbox.smallDisk("disk", 8 * MIB);
  if (!disk) return skip("mounting a small tmpfs needs root");
  const path = await sandbox.file("from/sparse", noise(MIB));
  await Deno.truncate(path, 1024 * MIB);
  await using offered = await offer(sandbox, [path]);
  await using right = accept(offered, disk);
  assertEquals([(await right.ending()).code, (await offered.sender.ending()).code], [0, 0]);
  const { size, blocks } = await Deno.stat(`${disk}/sparse`);
  assertEquals([size, blocks! * 512], [1024 * MIB, MIB]);
});

// By each way to write.
for (const io of ["std", "linux", "uring"]) {
  Deno.test(`recv (${io}) says that the disk is full when it fills during the transfer, and tidies up`, async () => {
    await using sandbox = await Sandbox.create();
    const disk = await sandbox.smallDisk("disk", 8 * MIB);
    if (!disk) return skip("mounting a small tmpfs needs root");
    const before = await listTree(disk);
    // Standard input has no size, so that only the writing can notice.
    const stream = { stdin: noise(32 * MIB), send: ["--name", "stream"] };
    await using offered = await offer(sandbox, ["-"], stream);
    await using receiving = accept(offered, disk, { env: { WORMHOLE_DEBUG_IO: io } });
    const [sender, receiver] = await Promise.all([offered.sender.ending(), receiving.ending()]);
    const refused = receiver.events.find(({ event, code }) => event === "error" && code === "UNSUPPORTED");
    if (refused) return skip(refused.message);
    assertFailed(receiver, 6, /space/i);
    assertFailed(sender, [4, 5, 6]);
    await assertUnchanged(disk, before);
  });
}

Deno.test("recv says that the destination is read-only", async () => {
  await using sandbox = await Sandbox.create();
  const disk = await sandbox.smallDisk("disk", 8 * MIB);
  if (!disk) return skip("mounting a small tmpfs needs root");
  assertTrue(await succeeds("mount", ["-o", "remount,ro", disk]));
  const file = await sandbox.file("from/x", "x");
  const { sender, receiver } = await transfer(sandbox, [file], disk);
  assertFailed(receiver, 6, /read-only/i);
  assertFailed(sender, [5, 6]);
});

Deno.test("recv says that it may not write into the destination", async () => {
  await using sandbox = await Sandbox.create();
  const into = await sandbox.folder("into");
  await Deno.chmod(into, 0o555);
  const file = await sandbox.file("from/x", "x");
  const { sender, receiver } = await transfer(sandbox, [file], into, { receiverPrefix: OBEDIENT });
  assertFailed(receiver, 6, /permission|denied|not allowed/i);
  assertFailed(sender, [5, 6]);
  assertEquals((await listTree(into)).length, 1);
});

for (const [what, path] of [["a file", "from/x"], ["not there", "missing"]] as const) {
  Deno.test(`recv says that the destination is ${what}, and the code stays good`, async () => {
    await using sandbox = await Sandbox.create();
    const file = await sandbox.file("from/x", "x");
    const into = await sandbox.folder("into");
    await using offered = await offer(sandbox, [file]);
    await using wrong = accept(offered, sandbox.path(path));
    assertFailed(await wrong.ending(), 6, new RegExp(path));
    assertEquals(await Deno.readTextFile(file), "x");
    await using right = accept(offered, into);
    assertEquals([(await right.ending()).code, (await offered.sender.ending()).code], [0, 0]);
  });
}

Deno.test("send skips an unreadable file, says so, and both end with 7", async () => {
  await using sandbox = await Sandbox.create();
  await sandbox.file("from/tree/open", "open");
  await Deno.chmod(await sandbox.file("from/tree/closed", "closed"), 0o000);
  const into = await sandbox.folder("into");
  const ended = await transfer(sandbox, [sandbox.path("from/tree")], into, { senderPrefix: OBEDIENT });
  assertFailed(ended.sender, 7, /closed/);
  assertFailed(ended.receiver, 7);
  assertEquals(await Deno.readTextFile(`${into}/tree/open`), "open");
  assertEquals((await listTree(into)).filter(({ path }) => path.endsWith("closed")), []);
});

Deno.test("send skips a FIFO, says so, and never waits on it", async () => {
  await using sandbox = await Sandbox.create();
  await sandbox.file("from/tree/open", "open");
  assertTrue(await succeeds("mkfifo", [sandbox.path("from/tree/pipe")]));
  const into = await sandbox.folder("into");
  const { sender, receiver } = await transfer(sandbox, [sandbox.path("from/tree")], into);
  assertTrue([0, 7].includes(sender.code), `${sender.code}: ${sender.stderr}`);
  assertTrue([0, 7].includes(receiver.code), `${receiver.code}: ${receiver.stderr}`);
  assertTrue(/pipe/.test(sender.stderr + JSON.stringify(sender.events)), "the FIFO is not mentioned");
  assertEquals(await Deno.readTextFile(`${into}/tree/open`), "open");
});

for (const [what, change] of Object.entries(changes())) {
  Deno.test(`a file that ${what} while it is sent is reported and never mixed`, async () => {
    await using sandbox = await Sandbox.create();
    const size = 32 * MIB;
    const file = await sandbox.file("from/tree/big", slowToPack(size, 1));
    await sandbox.file("from/tree/small", "small");
    const into = await sandbox.folder("into");
    await using offered = await offer(sandbox, [sandbox.path("from/tree")], { send: SLOWLY });
    await using receiving = accept(offered, into);
    await receiving.event("progress", ({ bytes }) => bytes > 0);
    await change(file);
    const [sender, receiver] = await Promise.all([offered.sender.ending(), receiving.ending()]);
    assertFailed(sender, 7, /big/);
    assertFailed(receiver, 7);
    const found = (await listTree(into)).filter(({ kind }) => kind === "file").map(({ path }) => path);
    assertEquals(found, ["tree/small"], "the changed file must not arrive, the other must");
  });
}

Deno.test("recv writes nothing outside when somebody swaps its folders for symlinks", async () => {
  await using sandbox = await Sandbox.create();
  const from = await sandbox.folder("from/tree");
  for (let folder = 0; folder < 40; folder++) {
    for (let file = 0; file < 40; file++) await sandbox.file(`from/tree/${folder}/${file}`, `${file}`);
  }
  const outside = await sandbox.folder("outside");
  const into = await sandbox.folder("into");
  for (let folder = 0; folder < 40; folder++) await sandbox.folder("into/tree", `${folder}`);
  const script = `
import os, sys
into, outside = sys.argv[1:]
while True:
    for root, folders, _ in os.walk(into):
        for name in folders:
            path = os.path.join(root, name)
            if os.path.islink(path): continue
            try:
                os.rename(path, path + ".aside"); os.symlink(outside, path)
                os.unlink(path); os.rename(path + ".aside", path)
            except OSError: pass
`;
  const attacker = new Deno.Command("python3", { args: ["-c", script, into, outside] }).spawn();
  try {
    for (let round = 0; round < 3; round++) {
      const { receiver } = await transfer(sandbox, [from], into, { recv: ["--yes", "--overwrite"] });
      if (receiver.code !== 0) assertFailed(receiver, [5, 6, 7, 8]);
      assertEquals((await listTree(outside)).map(({ path }) => path), [""], "something was written outside");
    }
  } finally {
    attacker.kill("SIGKILL");
    await attacker.status;
  }
});

/** Ways in which a file of which a part is sent already can change. */
function changes(): Record<string, (path: string) => Promise<void>> {
  return {
    "grows": async (path) => await Deno.writeFile(path, new Uint8Array(10), { append: true }),
    "shrinks": async (path) => await Deno.truncate(path, 16 * MIB),
    "vanishes and is another": async (path) => {
      await Deno.remove(path);
      await Deno.writeFile(path, slowToPack(32 * MIB, 2));
    },
    "vanishes": async (path) => await Deno.remove(path),
    "is overwritten and gets its old time back": async (path) => {
      const { mtime, atime } = await Deno.stat(path);
      using file = await Deno.open(path, { write: true });
      await file.seek(24 * MIB, Deno.SeekMode.Start);
      await file.write(noise(100, 4));
      await file.utime(atime!, mtime!);
    },
    "is overwritten in place": async (path) => {
      using file = await Deno.open(path, { write: true });
      await file.seek(20 * MIB, Deno.SeekMode.Start);
      await file.write(noise(MIB, 3));
    },
  };
}

function skip(reason: string): void {
  console.log(`skipped: ${reason}`);
}
