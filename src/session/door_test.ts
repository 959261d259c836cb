import { SimulatedClock } from "../base/clock.ts";
import { WormholeError } from "../base/errors.ts";
import { assertEquals, assertRejects, assertTrue } from "../base/testing.ts";
import type { Link } from "../transport/connection.ts";
import { Door } from "./door.ts";
import { encodeReconnect } from "./reconnect_frame.ts";
import { KEY, ScriptedLink, STRANGER } from "./testing.ts";
import { SELECTED } from "./selection.ts";

const SECRET = new Uint8Array(16).fill(3);
/** Frame of a link that joins: `{joins: 1}` in CBOR. */
const JOINS_1 = new Uint8Array([0xa1, 0x65, ...new TextEncoder().encode("joins"), 1]);
const RETURNS = encodeReconnect({ secret: SECRET, link: 4 });

/** Gives a door to which `links` come, and then nobody. */
function doorOf(links: readonly Link[], clock = new SimulatedClock()): Door {
  const coming = [...links];
  const accept = ({ signal }: { signal?: AbortSignal }) => {
    const link = coming.shift();
    if (link !== undefined) return Promise.resolve(link);
    return new Promise<Link>((_, reject) =>
      signal!.addEventListener("abort", () => reject(signal!.reason), { once: true })
    );
  };
  return new Door({ accept }, { peerKey: KEY, secret: SECRET, clock });
}

const WRONG: readonly (readonly [string, ScriptedLink])[] = [
  ["is a stranger's that joins", new ScriptedLink("tcp", { peerKey: STRANGER, frames: [JOINS_1] })],
  [
    "is a stranger's that knows the secret",
    new ScriptedLink("tcp", { peerKey: STRANGER, frames: [RETURNS] }),
  ],
  ["has another secret", new ScriptedLink("tcp", { frames: [otherSecret(0)] })],
  ["has a secret that is almost right", new ScriptedLink("tcp", { frames: [otherSecret(15)] })],
  ["ends without a word", new ScriptedLink("tcp", { frames: [undefined] })],
  ["selects itself", new ScriptedLink("tcp", { frames: [SELECTED] })],
  ["joins as the first link", new ScriptedLink("tcp", { frames: [JOINS_1.with(-1, 0)] })],
  ["joins with a number beyond the limit", new ScriptedLink("tcp", { frames: [JOINS_1.with(-1, 8)] })],
  ["begins with what is no CBOR", new ScriptedLink("tcp", { frames: [new Uint8Array([0xff])] })],
];

for (const [what, wrong] of WRONG) {
  Deno.test(`Door closes a link that ${what}, and takes the next ones`, async () => {
    const [joins, returns] = [JOINS_1, RETURNS].map((frame) => new ScriptedLink("quic", { frames: [frame] }));
    await using door = doorOf([wrong, joins!, returns!]);
    const joined = await door.joined();
    assertEquals([joined.number, joined.link.kind], [1, "quic"]);
    const returned = await door.returned();
    assertTrue(returned.link === returns);
    assertEquals(returned.number, 4);
    assertEquals([wrong.closed, joins!.closed, returns!.closed], [true, false, false]);
  });
}

Deno.test("Door does not wait for ever for a link that says nothing, and meanwhile takes others", async () => {
  const clock = new SimulatedClock();
  const silent = new ScriptedLink("tcp");
  await using door = doorOf([silent, new ScriptedLink("quic", { frames: [JOINS_1] })], clock);
  assertEquals((await door.joined()).link.kind, "quic");
  assertEquals(silent.closed, false);
  await clock.advance(10_000);
  assertTrue(silent.closed);
});

Deno.test("Door bounds the links that say nothing, and those that nobody takes", async () => {
  const silent = Array.from({ length: 40 }, () => new ScriptedLink("tcp"));
  await using _ = doorOf(silent);
  const clock = new SimulatedClock();
  await clock.advance(0);
  assertEquals(silent.filter(({ closed }) => !closed).length, 16);
  const returning = Array.from({ length: 12 }, () => new ScriptedLink("tcp", { frames: [RETURNS] }));
  await using door = doorOf(returning, clock);
  await clock.advance(0);
  assertEquals(returning.filter(({ closed }) => !closed).length, 8);
  await door.returned();
});

Deno.test("Door closes what nobody took when it is disposed of, and ends who waits", async () => {
  const waiting = new ScriptedLink("tcp", { frames: [RETURNS] });
  const silent = new ScriptedLink("tcp");
  const door = doorOf([waiting, silent]);
  const ended = assertRejects(() => door.joined(), "CLOSED");
  await new SimulatedClock().advance(0);
  await door[Symbol.asyncDispose]();
  await ended;
  assertEquals([waiting.closed, silent.closed], [true, true]);
});

Deno.test("Door ends one caller with its signal, and loses no link", async () => {
  const stop = new AbortController();
  const { promise, resolve } = Promise.withResolvers<Link>();
  let calls = 0;
  const accept = ({ signal }: { signal?: AbortSignal }) =>
    calls++ === 0
      ? promise
      : new Promise<Link>((_, reject) =>
        signal!.addEventListener("abort", () => reject(signal!.reason), { once: true })
      );
  await using door = new Door({ accept }, { peerKey: KEY, secret: SECRET });
  const ended = assertRejects(() => door.returned({ signal: stop.signal }), undefined, "over");
  stop.abort(new Error("over"));
  await ended;
  resolve(new ScriptedLink("tcp", { frames: [RETURNS] }));
  assertEquals((await door.returned()).number, 4);
});

Deno.test("Door fails with what ended the accepting", async () => {
  const accept = () => Promise.reject(new WormholeError("CLOSED", "the endpoint is closed"));
  await using door = new Door({ accept }, { peerKey: KEY, secret: SECRET });
  await assertRejects(() => door.joined(), "CLOSED");
  await assertRejects(() => door.returned(), "CLOSED");
});

function otherSecret(at: number): Uint8Array {
  return encodeReconnect({ secret: SECRET.with(at, 4), link: 4 });
}
