import { SimulatedClock } from "../base/clock.ts";
import { fromFileUrl } from "../base/paths.ts";
import { WormholeError } from "../base/errors.ts";
import { assertEquals } from "../base/testing.ts";
import { nativeCrypto } from "../pairing/native_crypto.ts";
import { LOOK_MS } from "./network_watch.ts";
import { type Role, seekOnLan, seekTag } from "./seek_on_lan.ts";
import { MemoryLan } from "./testing.ts";

const VECTORS: readonly Record<"secret" | Role, string>[] = JSON.parse(
  Deno.readTextFileSync(fromFileUrl(new URL("../../tests/vectors/seek_tags.json", import.meta.url))),
);

Deno.test("seekTag() gives the vectors", () => {
  for (const { secret, sender, receiver } of VECTORS) {
    const tag = (role: Role) => seekTag(nativeCrypto(), Uint8Array.fromHex(secret), role);
    assertEquals([tag("sender"), tag("receiver")], [sender, receiver]);
  }
});

const SECRET = new Uint8Array(16).fill(3);

/** One side that seeks. */
class Seeker {
  readonly found: (readonly string[])[] = [];
  readonly stop = new AbortController();
  own = ["192.0.2.9"];
  readonly done: Promise<void>;

  constructor(
    lan: MemoryLan,
    clock: SimulatedClock,
    { role, secret = SECRET, own = this.own }: { role: Role; secret?: Uint8Array; own?: string[] },
  ) {
    this.own = own;
    this.done = seekOnLan({
      lan,
      crypto: nativeCrypto(),
      secret,
      role,
      port: 4000,
      addresses: () => Promise.resolve(this.own),
      onFound: (hosts) => void this.found.push(hosts),
      clock,
      signal: this.stop.signal,
    });
  }

  async end(): Promise<void> {
    this.stop.abort();
    await this.done;
  }
}

Deno.test("seekOnLan() has the two sides of a session find each other, and nobody else", async () => {
  const [lan, clock] = [new MemoryLan(), new SimulatedClock()];
  lan.addresses = ["127.0.0.1"];
  const onThisMachine = new Seeker(lan, clock, { role: "receiver" });
  await clock.advance(LOOK_MS);
  lan.addresses = ["127.0.0.1", "192.0.2.7"];
  const [sender, receiver] = (["sender", "receiver"] as const).map((role) =>
    new Seeker(lan, clock, { role })
  );
  const other = new Seeker(lan, clock, { role: "sender", secret: new Uint8Array(16).fill(4) });
  await clock.advance(LOOK_MS);
  assertEquals([sender!.found, receiver!.found, other.found], [[["192.0.2.7"]], [["192.0.2.7"]], []]);
  assertEquals(onThisMachine.found, [["192.0.2.7"]]);
  for (const seeker of [onThisMachine, sender!, receiver!, other]) await seeker.end();
  assertEquals([lan.senders.size, clock.pending], [0, 0]);
});

Deno.test("seekOnLan() announces itself anew in another network, and not where there is none", async () => {
  const [lan, clock] = [new MemoryLan(), new SimulatedClock()];
  const seeker = new Seeker(lan, clock, { role: "sender", own: ["127.0.0.1"] });
  const announced = () => [...lan.senders.values()].map(({ instance, sign }) => ({ instance, sign }));
  await clock.advance(LOOK_MS);
  assertEquals(announced(), []);
  const sign = { tag: seekTag(nativeCrypto(), SECRET, "sender") };
  seeker.own = ["192.0.2.9", "127.0.0.1"];
  await clock.advance(LOOK_MS);
  assertEquals(announced(), [{ instance: "wormhole-1", sign }]);
  seeker.own = ["192.0.2.10", "127.0.0.1"];
  await clock.advance(LOOK_MS);
  assertEquals(announced(), [{ instance: "wormhole-2", sign }]);
  await seeker.end();
  assertEquals(announced(), []);
});

Deno.test("seekOnLan() goes on without a network for it", async () => {
  const clock = new SimulatedClock();
  const lan = new MemoryLan();
  lan.announce = () => Promise.reject(new WormholeError("IO", "Cannot announce: there is no network"));
  const seeker = new Seeker(lan, clock, { role: "receiver" });
  await clock.advance(3 * LOOK_MS);
  await seeker.end();
  assertEquals(seeker.found, []);
});
