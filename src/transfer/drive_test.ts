/** Both machines over an in-process pair of control streams; only the engine is absent, so a text is what travels. */
import { SimulatedClock } from "../base/clock.ts";
import { WormholeError } from "../base/errors.ts";
import { assertEquals, assertRejects, assertTrue } from "../base/testing.ts";
import { encodeMessage } from "../wire/mod.ts";
import { drive } from "./drive.ts";
import { type Decision, Getter, type GetterAction, type GetterEvent } from "./getter.ts";
import { Provider, type ProviderAction, type ProviderEvent } from "./provider.ts";
import { ReceiptLog } from "./receipt.ts";
import { columnsOf, helloOf, offerOf } from "./testing.ts";

/** One end of an in-process control stream. */
class End {
  readonly inbox: Uint8Array[] = [];
  closedWith: string | undefined;
  peer!: End;
  frozen = false;
  #wake = Promise.withResolvers<void>();

  send(frame: Uint8Array): Promise<void> {
    if (!this.frozen) this.peer.#take(frame);
    return Promise.resolve();
  }

  async recv({ signal }: { signal?: AbortSignal } = {}): Promise<Uint8Array | undefined> {
    while (this.inbox.length === 0) {
      if (this.closedWith !== undefined || this.peer.closedWith !== undefined) return undefined;
      const aborted = Promise.withResolvers<never>();
      aborted.promise.catch(() => {});
      if (signal?.aborted) throw signal.reason;
      signal?.addEventListener("abort", () => aborted.reject(signal.reason), { once: true });
      await Promise.race([this.#wake.promise, aborted.promise]);
    }
    return this.inbox.shift();
  }

  close(code = "none"): Promise<void> {
    this.closedWith = code;
    this.#take();
    this.peer.#take();
    return Promise.resolve();
  }

  #take(frame?: Uint8Array): void {
    if (frame !== undefined) this.inbox.push(frame);
    this.#wake.resolve();
    this.#wake = Promise.withResolvers();
  }
}

const STREAMS = { kind: "memory", cpuCount: 2, minStreams: 1, maxStreams: 1 } as const;

function pair(): [End, End] {
  const [a, b] = [new End(), new End()];
  a.peer = b;
  b.peer = a;
  return [a, b];
}

function provide(connection: End, clock: SimulatedClock, signal?: AbortSignal, receipt?: ReceiptLog) {
  const machine = new Provider({
    ...receipt && { receipt },
    hello: helloOf("s"),
    offer: offerOf({ kind: "text", roots: [], text: "hi" }),
    ...STREAMS,
    compression: "auto",
    compressionLevel: 3,
  });
  return drive<ProviderEvent, ProviderAction>({
    machine,
    connection,
    clock,
    perform: () => Promise.reject(new Error("a text needs no engine")),
    ...signal && { signal },
  });
}

function get(
  connection: End,
  clock: SimulatedClock,
  decide: (signal: AbortSignal) => Promise<Decision>,
  receipt?: ReceiptLog,
) {
  const machine = new Getter({ hello: helloOf("r"), maxStreams: 1, ...receipt && { receipt } });
  return drive<GetterEvent, GetterAction>({
    machine,
    connection,
    clock,
    perform: async (_, signal) => ({ type: "decided", decision: await decide(signal) }),
  });
}

Deno.test("drive() carries a text from a provider to a getter", async () => {
  const [a, b] = pair();
  const clock = new SimulatedClock();
  const [sent, got] = await Promise.all([
    provide(a, clock),
    get(b, clock, () => Promise.resolve({ accept: true })),
  ]);
  assertEquals([sent.kind, got.text], ["text", "hi"]);
  assertEquals([a.closedWith, b.closedWith], [undefined, undefined]);
  assertEquals(clock.pending, 0);
});

Deno.test("drive() tells both sides whether they noted the same", async () => {
  const table = [["", true, "agreed"], ["more", true, "differs"], ["", false, "unconfirmed"]] as const;
  for (const [more, both, state] of table) {
    const [a, b] = pair();
    using ours = new ReceiptLog();
    using theirs = new ReceiptLog();
    if (more) ours.text(more);
    const clock = new SimulatedClock();
    const [sent, got] = await Promise.all([
      provide(a, clock, undefined, both ? ours : undefined),
      get(b, clock, () => Promise.resolve({ accept: true }), theirs),
    ]);
    assertEquals([sent.receipt?.state, got.receipt?.state], [both ? state : undefined, state]);
    if (both) assertEquals(sent.receipt!.hash === got.receipt!.hash, state === "agreed");
  }
});

Deno.test("drive() tells both sides of a refusal", async () => {
  const [a, b] = pair();
  const clock = new SimulatedClock();
  const got = get(b, clock, () => Promise.reject(new WormholeError("NO_SPACE", "full")));
  const refused = assertRejects(() => got, "NO_SPACE");
  await assertRejects(() => provide(a, clock), "REFUSED", "not enough space");
  await refused;
  assertEquals(b.closedWith, "NO_SPACE");
});

Deno.test("drive() cancels at both ends when one is aborted", async () => {
  const [a, b] = pair();
  const clock = new SimulatedClock();
  const controller = new AbortController();
  let asked: AbortSignal | undefined;
  const sent = provide(a, clock, controller.signal);
  const got = get(b, clock, (signal) => {
    asked = signal;
    controller.abort(new WormholeError("INTERRUPTED", "Ctrl-C"));
    return new Promise(() => {});
  });
  const ended = assertRejects(() => got, "CANCELLED");
  await assertRejects(() => sent, "INTERRUPTED");
  await ended;
  assertTrue(asked?.aborted);
});

Deno.test("drive() reports a frozen peer within 15 s", async () => {
  const [a, b] = pair();
  const clock = new SimulatedClock();
  b.frozen = true;
  const got = assertRejects(() => get(b, clock, () => new Promise(() => {})), "PEER_FROZEN");
  let error: unknown;
  provide(a, clock).catch((reason) => error = reason);
  await clock.advance(11_000);
  assertEquals(error, undefined);
  await clock.advance(2000);
  assertEquals((error as WormholeError).code, "PEER_FROZEN");
  // The other one heard of it from the first.
  await got;
});

Deno.test("drive() tells the peer of a message that is not one, and ends", async () => {
  const [a, b] = pair();
  const clock = new SimulatedClock();
  await b.send(new Uint8Array([0xff]));
  await assertRejects(() => provide(a, clock), "PROTOCOL");
  assertEquals(b.inbox.at(-1), encodeMessage({ type: "error", code: "PROTOCOL" }));
  assertEquals(a.closedWith, "PROTOCOL");
});

Deno.test("drive() lets a peer wait that asks faster than we can answer", async () => {
  const [a, b] = pair();
  const clock = new SimulatedClock();
  const stop = new AbortController();
  let measuring = 0;
  const machine = new Provider({
    hello: helloOf("s"),
    offer: offerOf(),
    ...STREAMS,
    compression: "auto",
    compressionLevel: 3,
  });
  const sent = drive<ProviderEvent, ProviderAction>({
    machine,
    connection: a,
    clock,
    signal: stop.signal,
    perform: (action) => {
      if (action.type === "read_page") {
        return Promise.resolve({ type: "page", columns: columnsOf([{}]), problems: [] });
      }
      if (action.type === "measure") measuring++;
      return new Promise(() => {});
    },
  });
  const ended = assertRejects(() => sent, "INTERRUPTED");
  await b.send(encodeMessage(helloOf("r")));
  await b.send(encodeMessage({ type: "answer", accept: true, abilities: {}, streams: 1 }));
  await b.send(encodeMessage({ type: "page_credit", through: 0 }));
  await clock.advance(1);
  for (let i = 0; i < 500; i++) {
    await b.send(encodeMessage({ type: "have", entry: 0, chunks: new Uint8Array(1) }));
  }
  await clock.advance(1);
  assertTrue(measuring > 10 && measuring < 70, `${measuring}`);
  stop.abort(new WormholeError("INTERRUPTED", "enough"));
  await ended;
});
