import { setImmediate } from "node:timers";
import { isWormholeError, WormholeError } from "../base/errors.ts";
import { assertEquals, assertRejects, assertTrue } from "../base/testing.ts";
import { type Clock, SimulatedClock, systemClock } from "../base/clock.ts";
import { MemoryMailboxStore, serveMailbox } from "../mailbox/mod.ts";
import { ed25519Public } from "../native/pairing.ts";
import { NativeQueue } from "../native/queue.ts";
import { type Code, parseCode } from "../pairing/code.ts";
import { MailboxClient } from "../pairing/mailbox_client.ts";
import { nativeCrypto } from "../pairing/native_crypto.ts";
import type { DialTransport } from "../transport/hints.ts";
import { hostSession } from "./host_session.ts";
import { joinSession } from "./join_session.ts";
import type { Meeting, SessionEvent, SessionOptions } from "./options.ts";

const APP_ID = "wormhole.test/session";
const CODE = parseCode("7-guitarist-zulu", { lenient: true });

/** Two machines with keys of their own and a mailbox server, all in this process. */
class Scene implements AsyncDisposable {
  readonly queue = NativeQueue.open();
  readonly #server = serveMailbox({ hostname: "127.0.0.1", port: 0, store: new MemoryMailboxStore() });
  readonly hostEvents: SessionEvent[] = [];
  readonly joinEvents: SessionEvent[] = [];

  /** Gives one side's options. */
  options(events: SessionEvent[], more: Partial<SessionOptions> = {}): SessionOptions {
    const seed = crypto.getRandomValues(new Uint8Array(32));
    return {
      queue: this.queue,
      identity: { seed, publicKey: ed25519Public(seed) },
      crypto: nativeCrypto(),
      transports: ["quic", "tcp"],
      agent: "wormhole/test",
      onEvent: (event) => void events.push(event),
      ...more,
    };
  }

  /** Gives the way to the meeting under `code`. */
  meet(code: Code, { beforeClose }: { beforeClose?: () => Promise<void> } = {}) {
    return async ({ signal }: { signal?: AbortSignal }): Promise<Meeting> => {
      const client = await MailboxClient.connect(new URL(this.#server.url), { appId: APP_ID, signal });
      await client.claim(code.nameplate, { signal });
      const mailbox = {
        side: client.side,
        relay: client.relay,
        add: client.add.bind(client),
        next: client.next.bind(client),
        async close(mood: "happy" | "lonely" | "scary" | "errory") {
          await beforeClose?.();
          await client.close(mood);
        },
      };
      return { mailbox, code, appId: APP_ID, [Symbol.asyncDispose]: () => client[Symbol.asyncDispose]() };
    };
  }

  /** Runs both sides to their end; each gives its connection or its error. */
  async run(
    host: Partial<SessionOptions> & { beforeClose?: () => Promise<void> } = {},
    join: Partial<SessionOptions> & { code?: Code } = {},
  ) {
    const { beforeClose, ...hosting } = host;
    const { code = CODE, ...joining } = join;
    const [hosted, joined] = await Promise.allSettled([
      hostSession({ ...this.options(this.hostEvents, hosting), meet: this.meet(CODE, { beforeClose }) }),
      joinSession({ ...this.options(this.joinEvents, joining), meet: this.meet(code) }),
    ]);
    return { hosted, joined };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server[Symbol.asyncDispose]();
    await this.queue.close();
  }
}

for (const transports of [["quic", "tcp"], ["tcp"], ["quic"]] satisfies DialTransport[][]) {
  Deno.test(`hostSession() and joinSession() connect over ${transports.join(" or ")}`, async () => {
    await using scene = new Scene();
    const { hosted, joined } = await scene.run({ transports }, { transports });
    await using host = value(hosted);
    await using join = value(joined);
    assertTrue((transports as string[]).includes(host.kind) && host.kind === join.kind);
    await host.send(new Uint8Array([1]));
    assertEquals(await join.recv(), new Uint8Array([1]));
    await join.send(new Uint8Array([2]));
    assertEquals(await host.recv(), new Uint8Array([2]));
    assertEquals(scene.hostEvents.map(({ type }) => type), ["code", "found", "connecting", "connected"]);
    assertEquals(scene.joinEvents.map(({ type }) => type), ["looking", "found", "connecting", "connected"]);
    await host.close();
    assertEquals(await join.recv(), undefined);
  });
}

for (const transports of [["quic"], ["tcp"]] satisfies DialTransport[][]) {
  Deno.test(`a session that is pinned to ${transports[0]} makes no further link`, async () => {
    await using scene = new Scene();
    const { hosted, joined } = await scene.run({ transports }, { transports });
    await using host = value(hosted);
    await using join = value(joined);
    assertEquals([host.kind, join.kind], [transports[0], transports[0]]);
    assertEquals([await host.nextLink?.(), await join.nextLink?.()], [undefined, undefined]);
  });
}

for (const transports of [["quic"], ["tcp"]] satisfies DialTransport[][]) {
  Deno.test(`one machine's two windows connect over ${transports[0]}`, async () => {
    await using scene = new Scene();
    const seed = crypto.getRandomValues(new Uint8Array(32));
    const identity = { seed, publicKey: ed25519Public(seed) };
    const { hosted, joined } = await scene.run({ transports, identity }, { transports, identity });
    await using host = value(hosted);
    await using join = value(joined);
    assertEquals(join.peerKey, identity.publicKey);
    assertTrue(!host.peerKey.every((byte, i) => byte === identity.publicKey[i]));
  });
}

Deno.test("joinSession() tries again until the host has let its key in", async () => {
  await using scene = new Scene();
  // The host learns the key only once the joining side has been refused and is about to try again.
  const refused = Promise.withResolvers<void>();
  const clock: Clock = {
    ...systemClock,
    sleep: (ms, options) => (refused.resolve(), systemClock.sleep(ms, options)),
  };
  const { hosted, joined } = await scene.run({ beforeClose: () => refused.promise, transports: ["tcp"] }, {
    clock,
    transports: ["tcp"],
  });
  await using host = value(hosted);
  await using _join = value(joined);
  assertEquals(host.kind, "tcp");
});

Deno.test("hostSession() and joinSession() show the same verifier and go on when both say yes", async () => {
  await using scene = new Scene();
  const shown: string[] = [];
  const confirm = (verifier: string) => (shown.push(verifier), Promise.resolve(true));
  const { hosted, joined } = await scene.run({ confirm }, { confirm });
  await using _host = value(hosted);
  await using _join = value(joined);
  assertEquals(shown.length, 2);
  assertEquals(shown[0], shown[1]!);
});

for (const who of ["host", "join"] as const) {
  Deno.test(`a "no" to the verifier by the ${who} refuses both sides`, async () => {
    await using scene = new Scene();
    const no = { confirm: () => Promise.resolve(false) };
    const { hosted, joined } = await scene.run(who === "host" ? no : {}, who === "join" ? no : {});
    assertEquals([codeOf(hosted), codeOf(joined)], ["REFUSED", "REFUSED"]);
    const events = [...scene.hostEvents, ...scene.joinEvents].map(({ type }) => type);
    assertTrue(!events.includes("connecting"), "an introduction was acted on");
  });
}

Deno.test("a wrong code ends both sides", async () => {
  await using scene = new Scene();
  const { hosted, joined } = await scene.run({}, { code: { ...CODE, password: "wrong-words" } });
  assertEquals([codeOf(hosted), codeOf(joined)], ["CODE_WRONG", "CODE_WRONG"]);
});

Deno.test("joinSession() and hostSession() say in plain words that no connection worked", async () => {
  await using scene = new Scene();
  const clock = new SimulatedClock();
  const hosting = hostSession({
    ...scene.options(scene.hostEvents, { transports: ["quic"], clock }),
    meet: scene.meet(CODE),
  });
  const hostFails = assertRejects(
    () => hosting,
    "CONNECT_FAILED",
    "found each other, but no direct connection",
  );
  await assertRejects(
    () =>
      joinSession({
        ...scene.options(scene.joinEvents, { transports: ["tcp"] }),
        meet: scene.meet(CODE),
      }),
    "CONNECT_FAILED",
    "no address that this machine may dial",
  );
  while (clock.pending === 0) await new Promise((resolve) => setImmediate(resolve)); // until the host waits
  await clock.advance(30_000);
  await hostFails;
});

Deno.test("hostSession() ends with the signal's reason while it waits for the peer", async () => {
  await using scene = new Scene();
  const controller = new AbortController();
  const onEvent = ({ type }: SessionEvent) => type === "code" && controller.abort(new Error("enough"));
  const options = scene.options([], { signal: controller.signal, onEvent });
  await assertRejects(() => hostSession({ ...options, meet: scene.meet(CODE) }), undefined, "enough");
});

Deno.test("hostSession() fails when its port is taken", async () => {
  await using scene = new Scene();
  using taken = Deno.listen({ hostname: "0.0.0.0", port: 0 });
  const { port } = taken.addr as Deno.NetAddr;
  const options = scene.options([], { port, transports: ["tcp"] });
  await assertRejects(
    () => hostSession({ ...options, meet: scene.meet(CODE) }),
    "ADDRESS_IN_USE",
    String(port),
  );
});

Deno.test("joinSession() frees its endpoint when there is no meeting", async () => {
  await using scene = new Scene();
  const meet = () =>
    Promise.reject(new WormholeError("CODE_NOT_FOUND", "Cannot use the code: nobody offers it"));
  await assertRejects(() => joinSession({ ...scene.options([]), meet }), "CODE_NOT_FOUND");
});

function value<T>(result: PromiseSettledResult<T>): T {
  if (result.status === "rejected") throw result.reason;
  return result.value;
}

function codeOf(result: PromiseSettledResult<unknown>): string {
  if (result.status === "fulfilled") return "connected";
  return isWormholeError(result.reason) ? result.reason.code : String(result.reason);
}
