import { SimulatedClock } from "../base/clock.ts";
import { WormholeError } from "../base/errors.ts";
import { assertEquals, assertRejects, assertTrue } from "../base/testing.ts";
import type { Link } from "../transport/connection.ts";
import type { DialTransport, Hint } from "../transport/hints.ts";
import { acceptFurther, dialFurther } from "./further_links.ts";
import { SELECTED } from "./selection.ts";

const KEY = new Uint8Array(32).fill(7);
const STRANGER = new Uint8Array(32).fill(8);

/** A link whose peer says `frames`, and then nothing more. */
class ScriptedLink implements Link {
  readonly peerKey: Uint8Array;
  readonly remote: string;
  readonly native = 0 as Link["native"];
  readonly sent: Uint8Array[] = [];
  closed = false;
  readonly #frames: (Uint8Array | undefined)[];

  constructor(
    readonly kind: DialTransport,
    { peerKey = KEY, remote = "192.0.2.1:4000", rttMs = 40, frames = [] }: {
      peerKey?: Uint8Array;
      remote?: string;
      rttMs?: number;
      frames?: (Uint8Array | undefined)[];
    } = {},
  ) {
    this.peerKey = peerKey;
    this.remote = remote;
    this.#frames = [...frames];
    this.stats = () => Promise.resolve({ rttMs, bytesSent: 0, bytesReceived: 0, remote });
  }

  readonly stats: Link["stats"];

  send(frame: Uint8Array): Promise<void> {
    this.sent.push(frame);
    return Promise.resolve();
  }

  recv({ signal }: { signal?: AbortSignal } = {}): Promise<Uint8Array | undefined> {
    if (this.#frames.length > 0) return Promise.resolve(this.#frames.shift());
    return new Promise((_, reject) => signal?.addEventListener("abort", () => reject(signal.reason)));
  }

  bulk(): Promise<void> {
    return Promise.resolve();
  }

  close(): Promise<void> {
    this.closed = true;
    return Promise.resolve();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

function hint(transport: DialTransport, host = "192.0.2.1"): Hint {
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

Deno.test("acceptFurther() takes what the peer joins, and closes all else", async () => {
  const wrong = [
    new ScriptedLink("tcp", { peerKey: STRANGER, frames: [JOINS_1] }),
    new ScriptedLink("tcp", { frames: [undefined] }),
    new ScriptedLink("tcp", { frames: [SELECTED] }),
    new ScriptedLink("tcp", { frames: [JOINS_1.with(-1, 0)] }),
    new ScriptedLink("tcp", { frames: [JOINS_1.with(-1, 8)] }),
    new ScriptedLink("tcp", { frames: [new Uint8Array([0xff])] }),
  ];
  const links = [...wrong, new ScriptedLink("quic", { frames: [JOINS_1] })];
  const further = await acceptFurther({ accept: () => Promise.resolve(links.shift()!) }, { peerKey: KEY })(
    {},
  );
  assertEquals([further?.number, further?.link.kind], [1, "quic"]);
  assertEquals(wrong.map(({ closed }) => closed), wrong.map(() => true));
});

Deno.test("acceptFurther() does not wait for ever for a link that says nothing", async () => {
  const clock = new SimulatedClock();
  const links = [new ScriptedLink("tcp"), new ScriptedLink("quic", { frames: [JOINS_1] })];
  const accept = () => Promise.resolve(links.shift()!);
  const waiting = acceptFurther({ accept }, { peerKey: KEY, clock })({});
  await clock.advance(10_000);
  assertEquals((await waiting)?.link.kind, "quic");
});

Deno.test("acceptFurther() ends with its caller", async () => {
  const stop = new AbortController();
  const accept = ({ signal }: { signal?: AbortSignal }) =>
    new Promise<Link>((_, reject) => signal!.addEventListener("abort", () => reject(signal!.reason)));
  const waiting = assertRejects(
    () => acceptFurther({ accept }, { peerKey: KEY })({ signal: stop.signal }),
    undefined,
    "over",
  );
  stop.abort(new Error("over"));
  await waiting;
});
