/** Real commands whose connection is lost in the middle, in a network namespace of their own. */
import { assertEquals, assertTrue } from "../../src/base/testing.ts";
import { seeded } from "../sim/random.ts";
import type { Running } from "./command.ts";
import { accept, assertDone, assertFailed, type Offer, offer, Sandbox, SLOWLY } from "./harness.ts";
import { PrivateNetwork } from "./network.ts";
import { assertSameTree, slowToPack, stagingFolders } from "./trees.ts";

const MIB = 1024 * 1024;
const CHUNK_BYTES = 4 * MIB;
const BYTES = 40 * MIB;
const RECONNECT = ["--reconnect", "10m"];

interface Scene {
  readonly sandbox: Sandbox;
  readonly network: PrivateNetwork;
  readonly into: string;
  readonly path: string;
}

function scene(what: string, run: (scene: Scene) => Promise<void>): void {
  Deno.test(what, async () => {
    await using network = await PrivateNetwork.open();
    if (network === undefined) return console.log("skipped: this user cannot make a network namespace");
    await using sandbox = await Sandbox.create();
    const path = await sandbox.file("from/album/big", slowToPack(BYTES));
    for (let i = 0; i < 10; i++) await sandbox.file(`from/album/small/${i}`, `small ${i}`);
    await run({ sandbox, network, path, into: await sandbox.folder("into") });
  });
}

/** Starts both commands inside the network; `more` goes to both. */
async function started(
  { sandbox, network, into }: Scene,
  more: readonly string[],
  { what = [sandbox.path("from/album")], stdin }: { what?: string[]; stdin?: Uint8Array } = {},
): Promise<{ offered: Offer; receiver: Running }> {
  const prefix = network.prefix;
  const offered = await offer(sandbox, what, {
    send: [...SLOWLY, ...more],
    senderPrefix: prefix,
    ...stdin && { stdin },
  });
  return { offered, receiver: accept(offered, into, { recv: ["--yes", ...more], receiverPrefix: prefix }) };
}

function arrived(receiver: Running, bytes: number): Promise<unknown> {
  return receiver.event("progress", (event) => event.bytes >= bytes);
}

scene("a transfer over TCP whose connections are reset again and again arrives", async (scene) => {
  const { sandbox, network, into } = scene;
  const { offered, receiver } = await started(scene, [...RECONNECT, "--transport", "tcp"]);
  await using sender = offered.sender;
  await using _ = receiver;
  const random = seeded(5);
  const cuts = [0, 1, 2, 3].map((i) =>
    CHUNK_BYTES + Math.round((i + random()) * (BYTES - 2 * CHUNK_BYTES) / 4)
  );
  for (const bytes of cuts) {
    await arrived(receiver, bytes);
    assertTrue(await network.reset(), "ss cannot reset connections");
  }
  const ends = { sender: await sender.ending(), receiver: await receiver.ending() };
  assertDone(ends);
  await assertSameTree(`${into}/album`, sandbox.path("from/album"));
  assertEquals(await stagingFolders(into), []);
  for (const { events } of [ends.sender, ends.receiver]) {
    const count = (name: string) => events.filter(({ event }) => event === name).length;
    assertEquals([count("offer"), count("done")], [1, 1]);
    assertTrue(
      count("reconnecting") >= cuts.length && count("peer") >= 1 + cuts.length,
      JSON.stringify(events),
    );
  }
  const { bytes, bytes_on_wire: wire } = ends.receiver.events.find(({ event }) => event === "done")!;
  // Packed, the content takes a little more than half of its size; each loss costs at most a chunk of the one stream.
  assertTrue(bytes >= BYTES && wire < 0.62 * (BYTES + cuts.length * CHUNK_BYTES), `${wire} came`);
});

for (const transport of ["tcp", "quic"]) {
  scene(`a transfer over ${transport} goes on when the network comes back`, async (scene) => {
    const { sandbox, network, into } = scene;
    const { offered, receiver } = await started(scene, [...RECONNECT, "--transport", transport]);
    await using sender = offered.sender;
    await using _ = receiver;
    await arrived(receiver, 2 * CHUNK_BYTES);
    assertTrue(await network.down());
    // Nobody tells that it is gone: the check for signs of life has to find out.
    await Promise.all([sender.event("reconnecting"), receiver.event("reconnecting")]);
    assertTrue(await network.up());
    const ends = { sender: await sender.ending(), receiver: await receiver.ending() };
    assertDone(ends);
    await assertSameTree(`${into}/album`, sandbox.path("from/album"));
    const { bytes_on_wire: wire } = ends.receiver.events.find(({ event }) => event === "done")!;
    assertTrue(wire < 0.62 * (BYTES + 2 * CHUNK_BYTES), `${wire} came`);
  });
}

scene("a receiver whose sender was killed gives up in time, and says how to go on", async (scene) => {
  const { offered, receiver } = await started(scene, ["--reconnect", "4s", "--transport", "tcp"]);
  await using sender = offered.sender;
  await using _ = receiver;
  await arrived(receiver, 2 * CHUNK_BYTES);
  sender.signal("SIGKILL");
  const ended = await receiver.ending();
  assertFailed(ended, 4, /did not come back within 4 s/);
  const names = ended.events.map(({ event }) => event);
  assertEquals(names.filter((name) => name === "kept").length, 1);
  const tries = names.filter((name) => name === "reconnecting").length;
  assertTrue(tries >= 2 && tries <= 8, `${tries} attempts in 4 s`);
  assertEquals((await stagingFolders(scene.into)).length, 1);
});

scene("Ctrl-C ends the waiting at once, on both sides, and what arrived is kept", async (scene) => {
  const { network } = scene;
  const { offered, receiver } = await started(scene, [...RECONNECT, "--transport", "tcp"]);
  await using sender = offered.sender;
  await using _ = receiver;
  await arrived(receiver, 2 * CHUNK_BYTES);
  assertTrue(await network.reset() && await network.down());
  await Promise.all([sender, receiver].map(async (end) => {
    await end.event("reconnecting", ({ attempt }) => attempt === 2);
    end.signal("SIGINT");
  }));
  // Without Ctrl-C they would wait for ten minutes.
  const [sent, received] = await Promise.all([sender.ending(20_000), receiver.ending(20_000)]);
  assertEquals([sent.code, received.code], [130, 130]);
  assertTrue(received.events.some(({ event, bytes }) => event === "kept" && bytes >= 2 * CHUNK_BYTES));
  assertTrue(
    sent.events.some(({ event, message }) =>
      event === "warning" && /send the same things again/.test(message)
    ),
  );
});

scene("standard input cannot be sent again from its middle, and both sides say so", async (scene) => {
  const { network, into } = scene;
  const { offered, receiver } = await started(scene, [...RECONNECT, "--transport", "tcp"], {
    what: ["-"],
    stdin: slowToPack(BYTES),
  });
  await using sender = offered.sender;
  await using _ = receiver;
  await arrived(receiver, CHUNK_BYTES);
  assertTrue(await network.reset());
  assertFailed(await sender.ending(), 4, /standard input cannot be read again/);
  assertFailed(await receiver.ending(), 4, /cannot read its standard input again/);
  assertEquals(await stagingFolders(into), []);
});
