import { SimulatedClock } from "../base/clock.ts";
import { WormholeError } from "../base/errors.ts";
import { assertEquals, assertTrue } from "../base/testing.ts";
import type { FurtherLink, Link } from "../transport/connection.ts";
import type { DirectTransport, Hint } from "../transport/hints.ts";
import { acceptFurther, dialFurther } from "./further_links.ts";
import { branded, KEY, ScriptedLink, STRANGER } from "./testing.ts";

function hint(transport: DirectTransport, host = "192.0.2.1"): Hint {
  return { transport, host, port: transport === "tcp" ? 4000 : 5000 } as Hint;
}

/** Frame of a link that joins: `{joins: 1}` in CBOR. */
const JOINS_1 = new Uint8Array([0xa1, 0x65, ...new TextEncoder().encode("joins"), 1]);
const BOTH = [hint("quic"), hint("tcp")];

Deno.test("dialFurther() dials the other transport, its own host first, and says that it joins", async () => {
  const dialled: string[] = [];
  const other = new ScriptedLink("tcp");
  const next = dialFurther({
    first: new ScriptedLink("quic"),
    hints: [hint("tcp", "198.51.100.1"), ...BOTH],
    peerKey: KEY,
    dial: ({ transport, host }) => {
      dialled.push(`${transport} ${host}`);
      return Promise.resolve(other);
    },
  });
  const further = await next({});
  assertEquals(dialled, ["tcp 192.0.2.1"]);
  assertEquals([further?.number, further?.link.kind], [1, "tcp"]);
  assertEquals(other.sent, [JOINS_1]);
  assertEquals(await next({}), undefined);
});

const NEEDLESS = [
  ["only one transport is allowed", new ScriptedLink("tcp"), [hint("tcp")]],
  ["both are one machine", new ScriptedLink("quic", { remote: "127.0.0.1:5000" }), BOTH],
  ["both are one machine, by IPv6", new ScriptedLink("tcp", { remote: "[::1]:5000" }), BOTH],
  ["TCP runs over a LAN", new ScriptedLink("tcp", { rttMs: 1 }), BOTH],
] as const;
for (const [description, first, hints] of NEEDLESS) {
  Deno.test(`dialFurther() dials nothing when ${description}`, async () => {
    const dial = () => Promise.reject(new Error("dialled"));
    assertEquals(await dialFurther({ first, hints, dial, peerKey: KEY })({}), undefined);
  });
}

Deno.test("dialFurther() goes without when nobody answers, in bounded time", async () => {
  const clock = new SimulatedClock();
  const refuses = () => Promise.reject(new WormholeError("CONNECT_FAILED", "Cannot connect"));
  const options = { first: new ScriptedLink("quic"), hints: BOTH, peerKey: KEY, clock };
  assertEquals(await dialFurther({ ...options, dial: refuses })({}), undefined);
  const silent = (_: Hint, { signal }: { signal: AbortSignal }) =>
    new Promise<Link>((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
  const waiting = dialFurther({ ...options, dial: silent })({});
  await clock.advance(5000);
  assertEquals(await waiting, undefined);
});

Deno.test("dialFurther() does not take a link to another machine", async () => {
  const stranger = new ScriptedLink("tcp", { peerKey: STRANGER });
  const dial = () => Promise.resolve(stranger);
  const next = dialFurther({ first: new ScriptedLink("quic"), hints: BOTH, dial, peerKey: KEY });
  assertEquals(await next({}), undefined);
  assertTrue(stranger.closed);
});

const RELAYED = { remote: "relay hub.example.org:443" };

Deno.test("dialFurther() has the hub join a link where the first goes over its relay, and only there", async () => {
  const joined = new ScriptedLink("tcp", RELAYED);
  const common = { hints: BOTH, peerKey: KEY, dialJoined: () => Promise.resolve(joined) };
  const direct = () => Promise.reject(new Error("dialled"));
  const next = dialFurther({ ...common, first: new ScriptedLink("quic", RELAYED), dial: direct });
  const further = await next({});
  assertEquals([further?.number, further?.link.remote], [1, RELAYED.remote]);
  assertEquals(joined.sent, [JOINS_1]);
  const tcp = new ScriptedLink("tcp");
  const beside = dialFurther({
    ...common,
    first: new ScriptedLink("quic"),
    dial: () => Promise.resolve(tcp),
  });
  assertEquals((await beside({}))?.link.remote, tcp.remote);
});

Deno.test("dialFurther() goes without where the hub joins nothing", async () => {
  const dialJoined = () => Promise.reject(new WormholeError("CONNECT_FAILED", "Cannot connect"));
  const dial = () => Promise.reject(new Error("dialled"));
  const first = new ScriptedLink("quic", RELAYED);
  assertEquals(await dialFurther({ first, hints: BOTH, dial, dialJoined, peerKey: KEY })({}), undefined);
});

/** A door to which the test brings links. */
function doorOf() {
  const next = Promise.withResolvers<FurtherLink>();
  return { next, door: { joined: () => next.promise } };
}

Deno.test("acceptFurther() goes to the hub once, where the first link is relayed, until a link has joined", async () => {
  const { next, door } = doorOf();
  const meetings: AbortSignal[] = [];
  const gone = Promise.withResolvers<void>();
  const meet = ({ signal }: { signal: AbortSignal }) => {
    meetings.push(signal);
    gone.resolve();
    return new Promise<void>((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
  };
  const accepting = acceptFurther(door, { first: new ScriptedLink("quic", RELAYED), meet });
  const first = accepting({});
  await gone.promise;
  const further = { number: 1, link: branded(new ScriptedLink("tcp")) };
  next.resolve(further);
  assertEquals(await first, further);
  assertEquals(await accepting({}), further);
  assertEquals(meetings.map(({ aborted }) => aborted), [true]);

  const direct = acceptFurther(door, { first: new ScriptedLink("quic"), meet });
  assertEquals(await direct({}), further);
  assertEquals(meetings.length, 1);
});

Deno.test("acceptFurther() takes what comes by itself when the hub joins nothing", async () => {
  const { next, door } = doorOf();
  const refused = Promise.withResolvers<void>();
  const meet = () => {
    refused.resolve();
    return Promise.reject(new WormholeError("CONNECT_FAILED", "Cannot connect"));
  };
  const accepting = acceptFurther(door, { first: new ScriptedLink("quic", RELAYED), meet })({});
  await refused.promise;
  const further = { number: 1, link: branded(new ScriptedLink("tcp")) };
  next.resolve(further);
  assertEquals(await accepting, further);
});
