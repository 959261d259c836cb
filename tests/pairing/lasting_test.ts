/** Sides whose connection to the hub is cut, frozen or reset, and hubs that restart, while they wait and while they pair. */
import { systemClock } from "../../src/base/clock.ts";
import { assertEquals, assertRejects, assertTrue } from "../../src/base/testing.ts";
import { LastingMailbox, type LastingOptions } from "../../src/pairing/lasting_mailbox.ts";
import { MailboxClient } from "../../src/pairing/mailbox_client.ts";
import { nativeCrypto } from "../../src/pairing/native_crypto.ts";
import { pair, type Pairing } from "../../src/pairing/pake.ts";
import { ChaosTcp } from "../compliance/failing_proxy.ts";
import { APP_ID, hubFor, text } from "./harness.ts";

const NAMEPLATE = "7";
const RIGHT = "guitarist-zulu";

/** Short pauses, so that a test need not wait as long as people would. */
const CLOCK = {
  ...systemClock,
  sleep: (ms: number, options?: { signal?: AbortSignal }) => systemClock.sleep(Math.min(ms, 30), options),
};

/** Connects over `port` and claims; what comes back later goes the same way. */
async function side(
  port: number,
  { patienceMs = 20_000, ...extra }: Partial<LastingOptions> & { patienceMs?: number } = {},
): Promise<LastingMailbox> {
  const url = new URL(`ws://127.0.0.1:${port}/v1`);
  const client = await MailboxClient.connect(url, { appId: APP_ID, timeoutMs: patienceMs });
  await client.claim(NAMEPLATE);
  return new LastingMailbox(client, { appId: APP_ID, timeoutMs: patienceMs, clock: CLOCK, ...extra });
}

function pairing(mailbox: LastingMailbox, role: "sender" | "receiver", password = RIGHT): Promise<Pairing> {
  const code = { nameplate: NAMEPLATE, password };
  return pair(mailbox, { code, appId: APP_ID, introduction: text(role), crypto: nativeCrypto(), role });
}

Deno.test("LastingMailbox comes back while nobody has come: reset, frozen, and after a hub's restart without memory", async () => {
  for (const fault of ["reset", "freeze", "restart"] as const) {
    const first = await hubFor();
    const port = first.service.port;
    await using chaos = new ChaosTcp(port);
    const losses: string[] = [];
    await using one = await side(chaos.port, {
      make: { reuse: false },
      onLost: (error) => losses.push(error.code),
      // Silence is noticed by waiting for that long.
      patienceMs: 3_000,
    });
    const waiting = pairing(one, "sender");
    let hub = first;
    if (fault === "restart") {
      await first[Symbol.asyncDispose]();
      hub = await hubFor({ port });
    } else chaos[fault](0);
    await using _hub = hub;
    for (let looks = 0; chaos.count < 2 || hub.service.counts.nameplates === 0; looks++) {
      assertTrue(looks < 1_000, `${fault}: it does not come back`);
      await systemClock.sleep(10);
    }
    await using two = await side(port);
    const [sender, receiver] = await Promise.all([waiting, pairing(two, "receiver")]);
    assertEquals(sender.verifier, receiver.verifier, fault);
    assertTrue(["CONNECTION_LOST", "HUB_UNREACHABLE"].includes(losses[0]!), `${fault}: ${losses}`);
  }
});

Deno.test("two sides pair wherever the connection of either is cut", async () => {
  let losses = 0;
  for (const who of [0, 1]) {
    for (let bytes = 0; bytes < 2_200; bytes += 110) {
      await using hub = await hubFor();
      await using chaos = new ChaosTcp(hub.service.port);
      const onLost = () => losses++;
      const ends = [chaos.port, hub.service.port];
      await using one = await side(ends[who]!, { onLost });
      if (who === 0) chaos.cutAfter(0, bytes);
      await using two = await side(ends[1 - who]!, { onLost });
      if (who === 1) chaos.cutAfter(0, bytes);
      const [sender, receiver] = await Promise.all([pairing(one, "sender"), pairing(two, "receiver")]);
      assertEquals(sender.verifier, receiver.verifier, `side ${who}, ${bytes} bytes`);
      assertEquals(new TextDecoder().decode(sender.introduction), "receiver");
    }
  }
  assertTrue(losses > 10, `${losses} losses`);
});

Deno.test("a code has one guess, wherever the connection is cut meanwhile", async () => {
  for (let bytes = 0; bytes < 2_200; bytes += 220) {
    await using hub = await hubFor();
    await using chaos = new ChaosTcp(hub.service.port);
    await using one = await side(chaos.port);
    chaos.cutAfter(0, bytes);
    await using two = await side(hub.service.port);
    const [sender, guess] = await Promise.allSettled([
      pairing(one, "sender"),
      pairing(two, "receiver", "guitarist-village"),
    ]);
    assertEquals([sender.status, guess.status], ["rejected", "rejected"], `${bytes} bytes`);
    assertEquals((sender as PromiseRejectedResult).reason.code, "CODE_WRONG", `${bytes} bytes`);
    // Who comes with the right words now is told that it is too late.
    const late = await side(hub.service.port).then(
      (late) => pairing(late, "receiver").finally(() => late[Symbol.asyncDispose]()),
    ).catch((error) => error.code);
    assertTrue(["CODE_USED", "CODE_CROWDED"].includes(late), `${late} after ${bytes} bytes`);
  }
});

Deno.test("what a side said last arrives though its connection is cut before it hangs up", async () => {
  await using hub = await hubFor();
  await using chaos = new ChaosTcp(hub.service.port);
  await using one = await side(chaos.port);
  await using two = await side(hub.service.port);
  for (const mailbox of [one, two]) mailbox.add("pake", text("p"));
  two.add("version", text("v"));
  const heard = async (mailbox: LastingMailbox) =>
    (await mailbox.next({ signal: AbortSignal.timeout(20_000) })).phase;
  assertEquals([await heard(one), await heard(one), await heard(two)], ["pake", "version", "pake"]);
  // It has all that it waits for, so that only its end is left to notice the loss.
  chaos.reset(0);
  one.add("version", text("v"));
  await one.close("happy");
  assertEquals(await heard(two), "version");
});

Deno.test("LastingMailbox gives up a hub that stays away, with the loss, and when aborted or disposed", async () => {
  const hub = await hubFor();
  await using one = await side(hub.service.port, { waitingMs: 100 });
  await using two = await side(hub.service.port);
  await using three = await MailboxClient.connect(hub.url, { appId: APP_ID });
  assertTrue(three.url.href === hub.url.href, "it knows where it is");
  const controller = new AbortController();
  const waiting = assertRejects(() => one.next(), "CONNECTION_LOST", "the connection was lost");
  const aborted = two.next({ signal: controller.signal });
  await hub[Symbol.asyncDispose]();
  await waiting;
  controller.abort(new Error("enough"));
  assertEquals(await aborted.catch((error) => error.message), "enough");
});

Deno.test("LastingMailbox never takes a number that is somebody else's by now", async () => {
  const first = await hubFor();
  const port = first.service.port;
  const gate = Promise.withResolvers<void>();
  const sleep: typeof CLOCK.sleep = (ms, options) =>
    ms < 15_000 ? gate.promise : systemClock.sleep(ms, options);
  await using one = await side(port, { make: { reuse: false }, clock: { ...CLOCK, sleep } });
  const waiting = assertRejects(() => pairing(one, "sender"), "CODE_EXPIRED");
  await first[Symbol.asyncDispose]();
  await using second = await hubFor({ port });
  await using other = await side(port);
  gate.resolve();
  await waiting;
  await using two = await side(port);
  const [sender, receiver] = await Promise.all([pairing(other, "sender"), pairing(two, "receiver")]);
  assertEquals(sender.verifier, receiver.verifier);
  assertEquals(second.service.counts.mailboxes, 0);
});
