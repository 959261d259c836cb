/** Peers that die, freeze, stop or decline in the middle: the other side says so and changes nothing of what was there. */
import { assertEquals, assertTrue } from "../../src/base/testing.ts";
import type { Running } from "./command.ts";
import { accept, assertFailed, type Offer, offer, Sandbox, SLOWLY } from "./harness.ts";
import { assertUnchanged, listTree, slowToPack, type TreeEntry } from "./trees.ts";

/**
 * A dead or frozen peer must be reported within this time. The deadline is 15 s; 12 s of silence, last words and closing take 13.1 of
 * them, and a busy machine may need more than the rest to end a process. QUIC alone would notice after 20 s.
 */
const LIVENESS_MS = 19_500;

interface UnderWay extends AsyncDisposable {
  readonly offered: Offer;
  readonly sender: Running;
  readonly receiver: Running;
  readonly into: string;
  readonly before: readonly TreeEntry[];
}

/** Gives a slow transfer whose first bytes have arrived, into a folder that holds something already. */
async function underWay(send: readonly string[] = []): Promise<UnderWay> {
  const sandbox = await Sandbox.create();
  const offers: AsyncDisposable[] = [sandbox];
  const dispose = async () => {
    for (const each of offers.reverse()) await each[Symbol.asyncDispose]();
  };
  try {
    await sandbox.file("from/album/big", slowToPack(64 * 1024 * 1024));
    await sandbox.file("from/album/small", "small");
    await sandbox.file("into/album/mine", "mine");
    const into = sandbox.path("into");
    const before = await listTree(into);
    const offered = await offer(sandbox, [sandbox.path("from/album")], { send: [...SLOWLY, ...send] });
    offers.push(offered);
    const receiver = accept(offered, into, { recv: ["--yes", "--overwrite"] });
    offers.push(receiver);
    await Promise.race([
      receiver.event("progress", ({ bytes }) => bytes > 0),
      receiver.ending().then(({ code, stderr }) => {
        throw new Error(`recv ended early with ${code}: ${stderr}`);
      }),
    ]);
    return { offered, sender: offered.sender, receiver, into, before, [Symbol.asyncDispose]: dispose };
  } catch (error) {
    await dispose();
    throw error;
  }
}

for (const transport of ["tcp", "quic"] as const) {
  Deno.test(`recv reports a sender killed in the middle over ${transport} and changes nothing`, async () => {
    await using it = await underWay(["--transport", transport]);
    it.sender.signal("SIGKILL");
    assertFailed(await it.receiver.ending(LIVENESS_MS), 4);
    await assertUnchanged(it.into, it.before, { kept: true });
  });

  Deno.test(`send reports a receiver killed in the middle over ${transport}`, async () => {
    await using it = await underWay(["--transport", transport]);
    it.receiver.signal("SIGKILL");
    assertFailed(await it.sender.ending(LIVENESS_MS), 4);
  });

  Deno.test(`recv reports a sender frozen in the middle over ${transport} and changes nothing`, async () => {
    await using it = await underWay(["--transport", transport]);
    it.sender.signal("SIGSTOP");
    assertFailed(await it.receiver.ending(LIVENESS_MS), 4);
    await assertUnchanged(it.into, it.before, { kept: true });
  });

  Deno.test(`send reports a receiver frozen in the middle over ${transport}`, async () => {
    await using it = await underWay(["--transport", transport]);
    it.receiver.signal("SIGSTOP");
    assertFailed(await it.sender.ending(LIVENESS_MS), 4);
  });
}

Deno.test("a receiver killed in the middle leaves what the folder showed before", async () => {
  await using it = await underWay();
  it.receiver.signal("SIGKILL");
  await it.receiver.ending();
  // Nobody can tidy up after SIGKILL: a hidden staging folder may stay, the person's own files may not differ.
  const visible = (await listTree(it.into)).filter(({ path }) => !/(^|\/)\./.test(path));
  assertEquals(visible.slice(1).map(withoutTime), it.before.slice(1).map(withoutTime));
});

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  Deno.test(`recv ends with 130 at ${signal}, tells the sender and changes nothing`, async () => {
    await using it = await underWay();
    it.receiver.signal(signal);
    const [receiver, sender] = await Promise.all([
      it.receiver.ending(LIVENESS_MS),
      it.sender.ending(LIVENESS_MS),
    ]);
    assertTrue([130, 143].includes(receiver.code), `recv ended with ${receiver.code}: ${receiver.stderr}`);
    assertFailed(sender, [4, 5]);
    await assertUnchanged(it.into, it.before, { kept: true });
  });

  Deno.test(`send ends with 130 at ${signal} and tells the receiver, who changes nothing`, async () => {
    await using it = await underWay();
    it.sender.signal(signal);
    const [sender, receiver] = await Promise.all([
      it.sender.ending(LIVENESS_MS),
      it.receiver.ending(LIVENESS_MS),
    ]);
    assertTrue([130, 143].includes(sender.code), `send ended with ${sender.code}: ${sender.stderr}`);
    assertFailed(receiver, [4, 5]);
    await assertUnchanged(it.into, it.before, { kept: true });
  });
}

Deno.test("send ends with 130 at Ctrl-C while it waits, and its code is dead", async () => {
  await using sandbox = await Sandbox.create();
  const file = await sandbox.file("from/x", "x");
  await using offered = await offer(sandbox, [file]);
  offered.sender.signal("SIGINT");
  assertEquals((await offered.sender.ending(LIVENESS_MS)).code, 130);
  const into = await sandbox.folder("into");
  await using receiving = accept(offered, into, { recv: ["--yes", "--timeout", "2s"] });
  assertFailed(await receiving.ending(), [3, 4]);
});

Deno.test("recv without --yes and without a terminal declines, and send says so", async () => {
  await using sandbox = await Sandbox.create();
  const file = await sandbox.file("from/x", "x");
  const into = await sandbox.folder("into");
  await using offered = await offer(sandbox, [file]);
  await using receiving = accept(offered, into, { recv: [] });
  const [receiver, sender] = await Promise.all([receiving.ending(), offered.sender.ending()]);
  assertFailed(receiver, [2, 5], /--yes/);
  assertFailed(sender, 5);
  assertEquals((await listTree(into)).length, 1);
});

function withoutTime({ mtime: _, ...entry }: TreeEntry): Omit<TreeEntry, "mtime"> {
  return entry;
}
