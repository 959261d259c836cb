import { SimulatedClock } from "../base/clock.ts";
import { WormholeError } from "../base/errors.ts";
import { assertEquals, assertRejects } from "../base/testing.ts";
import type { LinkStats } from "../transport/connection.ts";
import { addressSets, hasLeft, IDLE_MOVE_MS, LOOK_MS, MOVE_MS } from "./network_watch.ts";

/** A machine with one link. */
class Machine {
  readonly clock = new SimulatedClock();
  readonly stop = new AbortController();
  own: readonly string[] = ["192.0.2.9", "127.0.0.1"];
  local: string | undefined;
  bytesReceived = 0;
  packetsReceived: number | undefined;
  fails = false;

  addresses = (): Promise<readonly string[]> =>
    this.fails ? Promise.reject(new WormholeError("IO", "Cannot list")) : Promise.resolve(this.own);

  stats = (): Promise<LinkStats> =>
    Promise.resolve({
      rttMs: 1,
      bytesSent: 0,
      bytesReceived: this.bytesReceived,
      remote: "192.0.2.1:1",
      ...this.packetsReceived !== undefined && { packetsReceived: this.packetsReceived },
      ...this.local !== undefined && { local: this.local },
    });

  /** Something comes all the time, until `untilMs`. */
  receive(untilMs: number): void {
    for (let ms = 0; ms < untilMs; ms += 10) this.clock.timer(ms, () => this.bytesReceived += 1000);
  }

  get options() {
    return { addresses: this.addresses, clock: this.clock, signal: this.stop.signal };
  }

  /** Gives what `hasLeft` says within `ms`. */
  async verdict(ms: number): Promise<boolean | undefined> {
    let left: boolean | undefined;
    const watching = hasLeft(this, this.options).then((value) => left = value);
    await this.clock.advance(ms);
    const told = left;
    this.stop.abort();
    await watching;
    return told;
  }
}

Deno.test("addressSets() gives the addresses at once and whenever they have changed, in whatever order", async () => {
  const machine = new Machine();
  const seen: string[] = [];
  const watching = (async () => {
    for await (const now of addressSets(machine.options)) seen.push([...now].join());
  })();
  await machine.clock.advance(3 * LOOK_MS);
  machine.own = ["127.0.0.1", "192.0.2.9"];
  await machine.clock.advance(LOOK_MS);
  machine.own = ["127.0.0.1"];
  await machine.clock.advance(3 * LOOK_MS);
  machine.stop.abort();
  await watching;
  assertEquals(seen, ["127.0.0.1,192.0.2.9", "127.0.0.1"]);
  assertEquals(machine.clock.pending, 0);
});

Deno.test("addressSets() fails when the addresses cannot be told", async () => {
  const machine = new Machine();
  machine.fails = true;
  await assertRejects(() => addressSets(machine.options).next(), "IO");
});

Deno.test("hasLeft() tells within a moment that a link's own address is gone", async () => {
  const machine = new Machine();
  machine.local = "192.0.2.9";
  machine.clock.timer(10 * LOOK_MS, () => machine.own = ["192.0.2.10", "127.0.0.1"]);
  assertEquals(await machine.verdict(10 * LOOK_MS), true);
});

Deno.test("hasLeft() does not care for addresses that a link does not use", async () => {
  const machine = new Machine();
  machine.local = "192.0.2.9";
  machine.own = ["192.0.2.9", "198.51.100.1"];
  machine.clock.timer(2 * LOOK_MS, () => machine.own = ["192.0.2.9"]);
  assertEquals(await machine.verdict(20 * LOOK_MS), undefined);
});

Deno.test("hasLeft() gives a link that can move the time for it", async () => {
  const machine = new Machine();
  machine.receive(2 * LOOK_MS);
  machine.clock.timer(2 * LOOK_MS, () => machine.own = ["192.0.2.10"]);
  machine.clock.timer(2 * LOOK_MS + MOVE_MS - 1, () => machine.bytesReceived++);
  assertEquals(await machine.verdict(4 * MOVE_MS), undefined);
});

Deno.test("hasLeft() tells that a link that could have moved has not", async () => {
  const machine = new Machine();
  machine.receive(LOOK_MS + 1);
  machine.clock.timer(LOOK_MS + 1, () => machine.own = ["192.0.2.10"]);
  assertEquals(await machine.verdict(2 * LOOK_MS + MOVE_MS), true);
});

Deno.test("hasLeft() waits for a sign of life of a link that was idle, and gives up one that gives none", async () => {
  for (const alive of [true, false]) {
    const machine = new Machine();
    machine.packetsReceived = 100;
    machine.clock.timer(3 * LOOK_MS, () => machine.own = ["192.0.2.10"]);
    // The answer to QUIC's own question carries nothing.
    if (alive) machine.clock.timer(3 * LOOK_MS + 5000, () => machine.packetsReceived!++);
    assertEquals(await machine.verdict(3 * LOOK_MS + IDLE_MOVE_MS), alive ? undefined : true);
  }
});

Deno.test("hasLeft() does not suspect a link because of a further address", async () => {
  const machine = new Machine();
  machine.clock.timer(LOOK_MS, () => machine.own = [...machine.own, "198.51.100.1"]);
  assertEquals(await machine.verdict(4 * MOVE_MS), undefined);
});

Deno.test("hasLeft() leaves it to others when the addresses cannot be told", async () => {
  const machine = new Machine();
  machine.fails = true;
  assertEquals(await machine.verdict(LOOK_MS), false);
});
