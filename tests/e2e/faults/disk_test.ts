/** A disk that fails at any call of a transfer; for longer with `scripts/soak disk`. */
import { assertEquals, assertTrue } from "../../../src/base/testing.ts";
import { accept, assertFailed, offer } from "../harness.ts";
import { Dice } from "../hostile_manifests.ts";
import { Sandbox } from "../sandbox.ts";
import { listTree, noise, stagingFolders } from "../trees.ts";
import { type ERRORS, FaultyDisk, FaultyReceiver, SYNC } from "./disk.ts";

/** One of each error in turn, at every call of a transfer; another kind of failing at each third. */
const ERROR_NAMES = ["EIO", "ENOSPC", "EROFS", "EDQUOT"] as const;

for (const replaces of [false, true]) {
  const what = replaces ? "into a folder that is there" : "a new folder";
  Deno.test(`whichever call of the disk fails while ${what} is received, nothing is there by half`, async () => {
    await using sandbox = await Sandbox.create();
    const receiver = await FaultyReceiver.make(sandbox, new Dice(replaces ? 2 : 1));
    if (typeof receiver === "string") return skip(receiver);
    await using _ = receiver;
    const about = { replaces, journalToo: false };
    const { calls } = await receiver.run({ at: 0 }, about);
    assertTrue(calls > 50, `only ${calls} calls`);
    const codes = new Map<string | undefined, number>();
    for (let at = 1; at <= calls; at += replaces ? 2 : 1) {
      const mode = at % 3 === 0 ? (["on", "short"] as const)[at % 2]! : "once";
      const { code } = await receiver.run({ at, error: ERROR_NAMES[(at >> 1) % 4]!, mode }, about);
      codes.set(code, (codes.get(code) ?? 0) + 1);
    }
    for (const code of ["IO", "NO_SPACE", "READ_ONLY"]) {
      assertTrue((codes.get(code) ?? 0) > 3, `hardly any fault was told of: ${[...codes]}`);
    }
  });
}

Deno.test("what the disk could not keep is never called received", async () => {
  await using sandbox = await Sandbox.create();
  const receiver = await FaultyReceiver.make(sandbox, new Dice(4));
  if (typeof receiver === "string") return skip(receiver);
  await using _ = receiver;
  const about = { replaces: false, journalToo: false };
  const { calls } = await receiver.run({ at: 0, kinds: SYNC }, about);
  assertTrue(calls > 3, `only ${calls} syncs`);
  for (let at = 1; at <= calls; at++) {
    for (const error of ["EIO", "EROFS"] as const) {
      const { hits, code, failed } = await receiver.run({ at, error, kinds: SYNC }, about);
      assertTrue(
        hits === 1 && (code !== undefined || failed > 0),
        `sync ${at} gave ${error}, and nobody heard of it`,
      );
    }
  }
});

Deno.test("a journal on a disk that fails costs resume at most", async () => {
  await using sandbox = await Sandbox.create();
  const receiver = await FaultyReceiver.make(sandbox, new Dice(3));
  if (typeof receiver === "string") return skip(receiver);
  await using _ = receiver;
  const about = { replaces: false, journalToo: true };
  const { calls } = await receiver.run({ at: 0 }, about);
  for (let at = 1; at <= calls; at += 4) {
    await receiver.run({ at, error: ERROR_NAMES[(at >> 1) % 4]!, mode: at % 8 === 1 ? "once" : "on" }, about);
  }
});

const COMMANDS: readonly (readonly [keyof typeof ERRORS, RegExp])[] = [
  ["EIO", /error|I\/O/i],
  ["ENOSPC", /space/i],
  ["EROFS", /read-only/i],
  ["EDQUOT", /quota|space/i],
];

for (const [error, words] of COMMANDS) {
  Deno.test(`recv ends with 6 and one sentence at ${error}, and goes on when the disk is well again`, async () => {
    await using sandbox = await Sandbox.create();
    const into = await sandbox.folder("into");
    const disk = await FaultyDisk.make(sandbox, into);
    if (typeof disk === "string") return skip(disk);
    const file = await sandbox.file("from/file", noise(8 * 1024 * 1024));
    await disk.set({ at: 12, error, mode: "on" });
    const env = { WORMHOLE_DEBUG_IO: "linux" };
    {
      await using offered = await offer(sandbox, [file]);
      await using receiver = accept(offered, into, { receiverPrefix: disk.prefix, env });
      const ended = await receiver.ending();
      assertFailed(ended, 6, words);
      assertEquals(ended.events.filter(({ event }) => event === "error").length, 1);
      assertFailed(await offered.sender.ending(), [4, 5, 6]);
    }
    assertEquals((await listTree(into)).filter(({ path }) => path === "file"), []);
    await using offered = await offer(sandbox, [file]);
    await using receiver = accept(offered, into);
    assertEquals((await receiver.ending()).code, 0);
    assertEquals(await Deno.readFile(`${into}/file`), await Deno.readFile(file));
    assertEquals(await stagingFolders(into), []);
  });
}

function skip(reason: string): void {
  console.log(`skipped: ${reason}`);
}
