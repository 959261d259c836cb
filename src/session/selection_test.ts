import { assertEquals, assertRejects } from "../base/testing.ts";
import { NativeQueue } from "../native/queue.ts";
import { abortable } from "../transport/abortable.ts";
import type { Link } from "../transport/connection.ts";
import { memoryPair } from "../transport/memory.ts";
import { NativeLink } from "../transport/native_link.ts";
import { acceptSelected, select } from "./selection.ts";

const PEER = new Uint8Array(32).fill(1);
const STRANGER = new Uint8Array(32).fill(2);

/** A listening side whose links are memory pairs; `connect` gives the dialling side's end of a new one. */
class Listener {
  readonly #queue: NativeQueue;
  readonly #waiting: Link[] = [];
  #idle = Promise.withResolvers<void>();
  #arrived = Promise.withResolvers<void>();

  constructor(queue: NativeQueue) {
    this.#queue = queue;
  }

  /** Resolves once every link was accepted. */
  get idle(): Promise<void> {
    return this.#idle.promise;
  }

  async connect(peerKey: Uint8Array): Promise<Link> {
    const [dialled, accepted] = await memoryPair(this.#queue);
    const { kind, remote, native } = accepted;
    this.#waiting.push(new NativeLink(this.#queue, { connection: native, kind, remote, peerKey }));
    this.#idle = Promise.withResolvers();
    this.#arrived.resolve();
    this.#arrived = Promise.withResolvers();
    return dialled;
  }

  async accept({ signal }: { signal?: AbortSignal }): Promise<Link> {
    for (;;) {
      signal?.throwIfAborted();
      const link = this.#waiting.shift();
      if (link) return link;
      this.#idle.resolve();
      await abortable(this.#arrived.promise, signal);
    }
  }
}

async function listening(run: (listener: Listener) => Promise<void>): Promise<void> {
  await using queue = NativeQueue.open();
  await run(new Listener(queue));
}

Deno.test("acceptSelected() gives the selected link and closes the others", () =>
  listening(async (listener) => {
    const accepting = acceptSelected(listener, { peerKey: PEER });
    const [first, second, third] = [
      await listener.connect(PEER),
      await listener.connect(PEER),
      await listener.connect(PEER),
    ];
    await select(second);
    const link = await accepting;
    await second.send(new Uint8Array([5]));
    assertEquals(await link.recv(), new Uint8Array([5]));
    assertEquals(await first.recv(), undefined);
    assertEquals(await third.recv(), undefined);
  }));

Deno.test("acceptSelected() turns strangers away and goes on", () =>
  listening(async (listener) => {
    const accepting = acceptSelected(listener, { peerKey: PEER });
    const stranger = await listener.connect(STRANGER);
    await assertRejects(() => stranger.recv(), "REFUSED");
    await select(await listener.connect(PEER));
    assertEquals((await accepting).peerKey, PEER);
  }));

Deno.test("acceptSelected() goes on when links end before they are selected", () =>
  listening(async (listener) => {
    const accepting = acceptSelected(listener, { peerKey: PEER });
    await (await listener.connect(PEER)).close();
    await (await listener.connect(PEER)).close("INTERNAL");
    await select(await listener.connect(PEER));
    await accepting;
  }));

for (
  const { description, frame } of [
    { description: "another message", frame: new Uint8Array([0xa1, 0x61, 0x74, 0x01]) },
    { description: "no CBOR", frame: new Uint8Array([0xff]) },
    { description: "an empty frame", frame: new Uint8Array(0) },
  ]
) {
  Deno.test(`acceptSelected() fails when ${description} comes before the selection`, () =>
    listening(async (listener) => {
      const accepting = assertRejects(() => acceptSelected(listener, { peerKey: PEER }), "PROTOCOL");
      const link = await listener.connect(PEER);
      await link.send(frame);
      await accepting;
      assertEquals(await link.recv(), undefined);
    }));
}

Deno.test("acceptSelected() stops and closes what waits when aborted", () =>
  listening(async (listener) => {
    const controller = new AbortController();
    const accepting = assertRejects(
      () => acceptSelected(listener, { peerKey: PEER, signal: controller.signal }),
      undefined,
      "enough",
    );
    const link = await listener.connect(PEER);
    await listener.idle;
    controller.abort(new Error("enough"));
    await accepting;
    assertEquals(await link.recv(), undefined);
  }));
