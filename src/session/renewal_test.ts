import { SimulatedClock } from "../base/clock.ts";
import { isWormholeError, WormholeError } from "../base/errors.ts";
import { assertEquals, assertRejects, assertTrue } from "../base/testing.ts";
import { nativeCrypto } from "../pairing/native_crypto.ts";
import type { Hint } from "../transport/hints.ts";
import { Door, type Returned } from "./door.ts";
import { decodeReconnect, encodeReconnect } from "./reconnect_frame.ts";
import { ReceiverRenewal, type RenewalOptions, SenderRenewal } from "./renewal.ts";
import { seekTag } from "./seek_on_lan.ts";
import { KEY, MemoryLan, ScriptedLink } from "./testing.ts";

const SECRET = new Uint8Array(16).fill(3);
const HINT: Hint = { transport: "tcp", host: "192.0.2.1", port: 4000 };
const SIGNAL = new AbortController().signal;

interface Scene {
  /** What dialling gives, one link after the other. */
  readonly dials: ScriptedLink[];
  /** What the peer makes by itself. */
  readonly returns: Returned[];
  readonly dialled: string[];
  readonly options: RenewalOptions;
}

function scene(more: Partial<RenewalOptions> = {}): Scene {
  const dials: ScriptedLink[] = [];
  const returns: Returned[] = [];
  const dialled: string[] = [];
  const returned = () => {
    const next = returns.shift();
    return next ? Promise.resolve(next) : Promise.reject(new WormholeError("CLOSED", "nobody comes"));
  };
  const options: RenewalOptions = {
    door: Object.assign(Object.create(Door.prototype), { returned }) as Door,
    secret: SECRET,
    peerKey: KEY,
    hints: [HINT],
    remote: "192.0.2.1:4000",
    dial: (target) => {
      const { host, port } = target as Hint;
      dialled.push(`${host} ${port}`);
      const link = dials.shift();
      return link
        ? Promise.resolve(link)
        : Promise.reject(new WormholeError("CONNECT_FAILED", "nothing answers"));
    },
    addresses: () => Promise.resolve(["192.0.2.9"]),
    ...more,
  };
  return { dials, returns, dialled, options };
}

function says(link: number, secret = SECRET): Uint8Array {
  return encodeReconnect({ secret, link });
}

function numbersOn(link: ScriptedLink): (number | undefined)[] {
  return link.sent.map((frame) => decodeReconnect(frame)?.link);
}

Deno.test("a receiver numbers the links that it makes, each higher than the last", async () => {
  const { dials, options } = scene();
  const renewal = new ReceiverRenewal(options);
  for (const number of [1, 2, 3]) {
    const link = new ScriptedLink("tcp");
    dials.push(link);
    const connection = await renewal.dial({ signal: SIGNAL });
    assertEquals(numbersOn(link), [number]);
    assertEquals(decodeReconnect(link.sent[0]!)!.secret, SECRET);
    assertTrue(connection.renewal === renewal);
  }
});

Deno.test("a receiver that lost its link takes any that the sender makes, and says so on it", async () => {
  const { returns, options } = scene();
  const link = new ScriptedLink("tcp");
  returns.push({ link, number: 77 });
  await new ReceiverRenewal(options).arrival({ isLost: () => true, signal: SIGNAL });
  assertEquals([numbersOn(link), link.closed], [[1], false]);
});

Deno.test("a receiver whose link works lets in only a sender that had that very link", async () => {
  const { dials, returns, options } = scene();
  const renewal = new ReceiverRenewal(options);
  dials.push(new ScriptedLink("tcp"), new ScriptedLink("tcp"));
  for (let i = 0; i < 2; i++) await renewal.dial({ signal: SIGNAL });
  const [early, late, lost] = [1, 3, 2].map((number) => ({ link: new ScriptedLink("tcp"), number }));
  returns.push(early!, late!, lost!);
  const connection = await renewal.arrival({ isLost: () => false, signal: SIGNAL });
  assertEquals([early!.link.closed, late!.link.closed, lost!.link.closed], [true, true, false]);
  assertEquals(numbersOn(lost!.link), [3]);
  assertEquals(connection.kind, "tcp");
});

Deno.test("a receiver does not use what it dialled once the sender has come by itself", async () => {
  const { returns, options } = scene();
  const dialling = Promise.withResolvers<ScriptedLink>();
  const renewal = new ReceiverRenewal({ ...options, dial: () => dialling.promise });
  const dialled = renewal.dial({ signal: SIGNAL });
  returns.push({ link: new ScriptedLink("tcp"), number: 0 });
  await renewal.arrival({ isLost: () => true, signal: SIGNAL });
  const late = new ScriptedLink("tcp");
  dialling.resolve(late);
  await assertRejects(() => dialled, "CANCELLED");
  assertEquals([late.closed, late.sent.length], [true, 0]);
});

Deno.test("a sender takes links with rising numbers, and closes those that are older", async () => {
  const { returns, options } = scene();
  const renewal = new SenderRenewal(options);
  const links = [1, 3, 2, 3, 4].map((number) => ({ link: new ScriptedLink("tcp"), number }));
  returns.push(...links);
  for (let i = 0; i < 3; i++) await renewal.arrival({ signal: SIGNAL });
  assertEquals(links.map(({ link }) => link.closed), [false, false, true, true, false]);
});

Deno.test("a sender that dials says which link it had, and waits for the receiver to choose", async () => {
  const { dials, returns, options } = scene();
  const renewal = new SenderRenewal(options);
  returns.push({ link: new ScriptedLink("tcp"), number: 5 });
  await renewal.arrival({ signal: SIGNAL });
  const link = new ScriptedLink("tcp", { frames: [says(6)] });
  dials.push(link);
  await renewal.dial({ signal: SIGNAL });
  assertEquals([numbersOn(link), link.closed], [[5], false]);
});

const WRONG = [
  ["closes", [undefined]],
  ["has another secret", [says(1, new Uint8Array(16))]],
  ["chooses an old link", [says(0)]],
  ["says something else", [new Uint8Array([0xa0])]],
  ["says nonsense", [new Uint8Array([0xff])]],
] as const;
for (const [what, frames] of WRONG) {
  Deno.test(`a sender gives up a link on which the receiver ${what}`, async () => {
    const { dials, options } = scene();
    const link = new ScriptedLink("tcp", { frames: [...frames] });
    dials.push(link);
    const error = await assertRejects(() => new SenderRenewal(options).dial({ signal: SIGNAL }));
    assertTrue(isWormholeError(error) && link.closed, error.stack);
  });
}

Deno.test("both dial the hints, and the address that the first link came from", async () => {
  const { dialled, options } = scene({
    hints: [HINT, { transport: "tcp", host: "10.0.0.7", port: 4001 }],
    remote: "[2001:db8::5]:9999",
  });
  await assertRejects(() => new ReceiverRenewal(options).dial({ signal: SIGNAL }), "CONNECT_FAILED");
  assertEquals(dialled.toSorted(), [
    "10.0.0.7 4001",
    "192.0.2.1 4000",
    "2001:db8::5 4000",
    "2001:db8::5 4001",
  ]);
});

Deno.test("a side dials first where the other machine was found on this network", async () => {
  const [lan, clock, stop] = [new MemoryLan(), new SimulatedClock(), new AbortController()];
  const seek = { lan, crypto: nativeCrypto(), port: () => Promise.resolve(4000) };
  const { options, dialled } = scene({ seek, clock });
  const renewal = new SenderRenewal(options);
  const tag = seekTag(seek.crypto, SECRET, "receiver");
  let found = 0;
  const seeking = renewal.seek({ onFound: () => void found++, signal: stop.signal });
  await clock.advance(1);
  lan.add({ instance: "wormhole-it", sign: { tag }, port: 1, addresses: ["192.0.2.77"] });
  lan.add({ instance: "wormhole-it", sign: { tag }, port: 1, addresses: ["192.0.2.77"] });
  await clock.advance(1);
  stop.abort();
  await seeking;
  assertEquals(found, 1);
  const dialling = assertRejects(() => renewal.dial({ signal: SIGNAL }), "CONNECT_FAILED");
  await clock.advance(10_000);
  await dialling;
  assertEquals(dialled, ["192.0.2.77 4000", "192.0.2.1 4000"]);
});

Deno.test("a side that listens nowhere is not sought", async () => {
  const seek = { lan: new MemoryLan(), crypto: nativeCrypto(), port: () => Promise.resolve(undefined) };
  await new SenderRenewal(scene({ seek }).options).seek({ onFound: () => {}, signal: SIGNAL });
  assertEquals(seek.lan.senders.size, 0);
});

Deno.test("a side is told before it dials from other addresses than the last time", async () => {
  let own = ["192.0.2.9", "127.0.0.1"];
  const told: string[] = [];
  const addresses = () => Promise.resolve(own);
  const onMoved = () => Promise.resolve(void told.push(own.join()));
  const renewal = new SenderRenewal(scene({ addresses, onMoved }).options);
  const dial = () => assertRejects(() => renewal.dial({ signal: SIGNAL }), "CONNECT_FAILED");
  await dial();
  own = ["127.0.0.1", "192.0.2.9"];
  await dial();
  assertEquals(told, []);
  own = ["127.0.0.1"];
  await dial();
  await dial();
  own = ["127.0.0.1", "192.0.2.10"];
  await dial();
  assertEquals(told, ["127.0.0.1", "127.0.0.1,192.0.2.10"]);
});
