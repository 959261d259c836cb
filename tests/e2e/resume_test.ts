/** Transfers that ended early and go on: what arrived does not come again, and nothing wrong is ever put in place. */
import { assertEquals, assertTrue } from "../../src/base/testing.ts";
import type { Running } from "./command.ts";
import { accept, assertDone, assertFailed, offer, run, Sandbox, SLOWLY, transfer } from "./harness.ts";
import { assertSameTree, slowToPack, stagingFolders } from "./trees.ts";

const MIB = 1024 * 1024;

/** What one chunk and its surroundings take, compressed; more than one must not come twice per stream. */
const CHUNK_BYTES = 4 * MIB;

/** Sends `sandbox`'s folder `from/album` until `until` bytes of it have arrived, then ends one side with `signal`. */
async function interrupted(
  sandbox: Sandbox,
  who: "sender" | "receiver",
  signal: Deno.Signal,
  until = 2 * CHUNK_BYTES,
): Promise<{ bytes: number }> {
  await using offered = await offer(sandbox, [sandbox.path("from/album")], { send: SLOWLY });
  await using receiver = accept(offered, await sandbox.folder("into"));
  const { bytes } = await receiver.event("progress", ({ bytes }) => bytes >= until);
  const victim: Running = who === "sender" ? offered.sender : receiver;
  victim.signal(signal);
  await Promise.all([offered.sender.ending(), receiver.ending()]);
  return { bytes };
}

async function album(sandbox: Sandbox): Promise<void> {
  await sandbox.file("from/album/big", slowToPack(24 * MIB));
  for (let i = 0; i < 20; i++) await sandbox.file(`from/album/small/${i}`, `small ${i}`);
  await sandbox.file("from/album/empty", "");
}

/** Sends the album again, the usual way; gives the bytes that went over the network. */
async function again(sandbox: Sandbox): Promise<number> {
  const ends = await transfer(sandbox, [sandbox.path("from/album")], sandbox.path("into"), {
    send: ["--compress", "never"],
  });
  assertDone(ends);
  return ends.receiver.events.find(({ event }) => event === "done")!.bytes_on_wire;
}

const CASES = [
  ["sender", "SIGKILL"],
  ["receiver", "SIGKILL"],
  ["receiver", "SIGINT"],
  ["sender", "SIGINT"],
] as const;

for (const [who, signal] of CASES) {
  Deno.test(`what arrived before the ${who} got ${signal} does not come again, under a new code`, async () => {
    await using sandbox = await Sandbox.create();
    await album(sandbox);
    const { bytes } = await interrupted(sandbox, who, signal);
    const wire = await again(sandbox);
    assertTrue(wire < 24 * MIB - bytes + 2 * CHUNK_BYTES, `${bytes} had arrived, yet ${wire} came`);
    await assertSameTree(sandbox.path("into/album"), sandbox.path("from/album"));
    assertEquals(await stagingFolders(sandbox.path("into")), []);
    const person = await sandbox.person("receiver");
    assertEquals((await run(["transfers", "--json"], { person })).events, []);
  });
}

Deno.test("a transfer that is interrupted again and again arrives whole", async () => {
  await using sandbox = await Sandbox.create();
  await album(sandbox);
  for (const who of ["receiver", "sender"] as const) await interrupted(sandbox, who, "SIGKILL");
  const wire = await again(sandbox);
  assertTrue(wire < 20 * MIB, `${wire} came`);
  await assertSameTree(sandbox.path("into/album"), sandbox.path("from/album"));
  assertEquals(await stagingFolders(sandbox.path("into")), []);
});

Deno.test("two names of one file that both came by half are not mixed with each other", async () => {
  await using sandbox = await Sandbox.create();
  await sandbox.file("from/album/a", slowToPack(16 * MIB));
  await Deno.link(sandbox.path("from/album/a"), sandbox.path("from/album/b"));
  // The first name by half, then the rest of it and the beginning of the second.
  for (const until of [2 * CHUNK_BYTES, 16 * MIB + CHUNK_BYTES]) {
    await interrupted(sandbox, "sender", "SIGKILL", until);
  }
  await again(sandbox);
  await assertSameTree(sandbox.path("into/album"), sandbox.path("from/album"));
});

Deno.test("recv says what it keeps; transfers lists it and --clean drops it", async () => {
  await using sandbox = await Sandbox.create();
  await album(sandbox);
  await using offered = await offer(sandbox, [sandbox.path("from/album")], { send: SLOWLY });
  const into = await sandbox.folder("into");
  await using receiving = accept(offered, into);
  await receiving.event("progress", ({ bytes }) => bytes > 0);
  offered.sender.signal("SIGKILL");
  const ended = await receiving.ending();
  assertFailed(ended, 4);
  const kept = ended.events.find(({ event }) => event === "kept");
  assertTrue(kept !== undefined && kept.bytes > 0 && kept.destination === into, JSON.stringify(ended.events));
  const person = offered.receiver;
  const [listed] = (await run(["transfers", "--json"], { person })).events;
  assertEquals([listed?.name, listed?.destination, listed?.bytes], ["album", into, kept.bytes]);
  assertEquals((await stagingFolders(into)).length, 1);
  const cleaned = await run(["transfers", "--clean", "--json"], { person });
  assertEquals([cleaned.code, cleaned.events[0]?.dropped], [0, true]);
  assertEquals(await stagingFolders(into), []);
  assertEquals((await run(["transfers", "--json"], { person })).events, []);
});

Deno.test("a file that changed between two tries comes whole and new", async () => {
  await using sandbox = await Sandbox.create();
  await album(sandbox);
  await interrupted(sandbox, "sender", "SIGKILL");
  await sandbox.file("from/album/big", slowToPack(24 * MIB, 2));
  assertTrue(await again(sandbox) >= 24 * MIB);
  await assertSameTree(sandbox.path("into/album"), sandbox.path("from/album"));
});

Deno.test("another machine's file of the same name and size is not mixed with what was kept", async () => {
  await using sandbox = await Sandbox.create();
  await album(sandbox);
  await interrupted(sandbox, "sender", "SIGKILL");
  await Deno.remove(sandbox.path("people/sender"), { recursive: true });
  await sandbox.file("from/album/big", slowToPack(24 * MIB, 2));
  assertTrue(await again(sandbox) >= 24 * MIB, "another machine key and content: nothing of it counts");
  await assertSameTree(sandbox.path("into/album"), sandbox.path("from/album"));
});

Deno.test("what was kept stays while something else is received into the same folder", async () => {
  await using sandbox = await Sandbox.create();
  await album(sandbox);
  await interrupted(sandbox, "sender", "SIGKILL");
  const other = await sandbox.file("from/other", "other");
  assertDone(await transfer(sandbox, [other], sandbox.path("into")));
  assertEquals((await stagingFolders(sandbox.path("into"))).length, 1);
  assertTrue(await again(sandbox) < 20 * MIB);
});

Deno.test("a home that cannot hold a journal costs resume, and nothing else", async () => {
  await using sandbox = await Sandbox.create();
  await album(sandbox);
  await sandbox.file("people/receiver/state/wormhole", "in the way");
  const ends = await transfer(sandbox, [sandbox.path("from/album")], await sandbox.folder("into"));
  assertDone(ends);
  const warning = ends.receiver.events.find(({ event }) => event === "warning");
  assertTrue(/not kept for another try/.test(warning?.message), JSON.stringify(ends.receiver.events));
  await assertSameTree(sandbox.path("into/album"), sandbox.path("from/album"));
  assertEquals(await stagingFolders(sandbox.path("into")), []);
});

Deno.test("a damaged journal costs the kept bytes, and nothing else", async () => {
  await using sandbox = await Sandbox.create();
  await album(sandbox);
  await interrupted(sandbox, "sender", "SIGKILL");
  const journal = sandbox.path("people/receiver/state/wormhole/transfers.db");
  const bytes = await Deno.readFile(journal);
  await Deno.writeFile(journal, bytes.fill(0x5a, 0, 100));
  for (const log of ["-wal", "-shm"]) await Deno.remove(journal + log).catch(() => {});
  await again(sandbox);
  await assertSameTree(sandbox.path("into/album"), sandbox.path("from/album"));
  assertEquals(await stagingFolders(sandbox.path("into")), []);
});
