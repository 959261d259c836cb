/** What every transport must do; a new one ships by passing this unchanged. */
import { isWormholeError } from "../../src/base/errors.ts";
import { assertEquals, assertRejects, assertTrue } from "../../src/base/testing.ts";
import type { NativeQueue } from "../../src/native/queue.ts";
import { type Link, MAX_CONTROL_FRAME_BYTES, type TransportKind } from "../../src/transport/connection.ts";

/** Two linked ends and what each must see as the other's key. */
export interface LinkedPair extends AsyncDisposable {
  readonly queue: NativeQueue;
  readonly a: Link;
  readonly b: Link;
  readonly keyOfA: Uint8Array;
  readonly keyOfB: Uint8Array;
}

/** Registers the suite for transport `kind`; `makePair` gives fresh ends for each test. `name`: what they are, where not all of the kind. */
export function transportCompliance(
  kind: TransportKind,
  makePair: () => Promise<LinkedPair>,
  { name = kind }: { name?: string } = {},
): void {
  const test = (what: string, run: (pair: LinkedPair) => Promise<void>) =>
    Deno.test(`${name} link ${what}`, async () => {
      await using pair = await makePair();
      await run(pair);
    });

  test("tells its kind and proves each end's key", ({ a, b, keyOfA, keyOfB }) => {
    assertEquals([a.kind, b.kind], [kind, kind]);
    assertEquals([a.peerKey.toHex(), b.peerKey.toHex()], [keyOfB.toHex(), keyOfA.toHex()]);
    assertTrue(a.remote !== "" && b.remote !== "");
    return Promise.resolve();
  });

  test("delivers frames in order both ways at once", async ({ a, b }) => {
    const count = 1000;
    const talk = async (from: Link, to: Link, salt: number) => {
      const sending = (async () => {
        for (let at = 0; at < count; at++) await from.send(frameOf(at, salt));
      })();
      for (let at = 0; at < count; at++) assertEquals(await to.recv(), frameOf(at, salt));
      await sending;
    };
    await Promise.all([talk(a, b, 1), talk(b, a, 2)]);
  });

  test("keeps the order of sends that do not wait for each other", async ({ a, b }) => {
    const sends = Array.from({ length: 100 }, (_, at) => a.send(frameOf(at, 3)));
    for (let at = 0; at < 100; at++) assertEquals(await b.recv(), frameOf(at, 3));
    await Promise.all(sends);
  });

  test("carries empty frames and frames of the largest size", async ({ a, b }) => {
    const large = patterned(MAX_CONTROL_FRAME_BYTES);
    const sending = (async () => {
      await a.send(new Uint8Array(0));
      await a.send(large);
      await a.send(new Uint8Array([7]));
    })();
    assertEquals(await b.recv(), new Uint8Array(0));
    assertTrue(sameBytes(await b.recv(), large));
    assertEquals(await b.recv(), new Uint8Array([7]));
    await sending;
  });

  test("refuses a frame over the limit and stays usable", async ({ a, b }) => {
    await assertRejects(() => a.send(new Uint8Array(MAX_CONTROL_FRAME_BYTES + 1)), "LIMIT_EXCEEDED");
    await a.send(new Uint8Array([1]));
    assertEquals(await b.recv(), new Uint8Array([1]));
  });

  test("pushes back instead of buffering without end", async ({ a, b }) => {
    const frame = patterned(MAX_CONTROL_FRAME_BYTES);
    const count = 64;
    let sent = 0;
    const sending = (async () => {
      for (; sent < count; sent++) await a.send(frame);
    })();
    await b.recv();
    assertTrue(sent < count, `all ${count} MiB were taken before the first was read`);
    for (let at = 1; at < count; at++) await b.recv();
    await sending;
  });

  test("ends cleanly after all frames when the other end closes", async ({ a, b }) => {
    for (let at = 0; at < 20; at++) await a.send(frameOf(at, 4));
    await a.close();
    for (let at = 0; at < 20; at++) assertEquals(await b.recv(), frameOf(at, 4));
    assertEquals(await b.recv(), undefined);
    assertEquals(await b.recv(), undefined);
  });

  test("gives the code that the other end closed with", async ({ a, b }) => {
    const receiving = assertRejects(() => b.recv(), "REFUSED");
    await a.close("REFUSED");
    await receiving;
  });

  test("wakes a receive when its own end closes, and is closed then", async ({ a, b }) => {
    const receiving = assertRejects(() => a.recv(), "CLOSED");
    await a.close();
    await a.close("INTERNAL");
    await receiving;
    await assertRejects(() => a.recv(), "CLOSED");
    await assertRejects(() => a.send(new Uint8Array(1)), "CLOSED");
    assertEquals(await b.recv(), undefined);
  });

  test("fails to send once the other end is gone", async ({ a, b }) => {
    await a.close();
    assertEquals(await b.recv(), undefined);
    // What was on its way may still be taken; the failure must come within a bounded number of frames.
    const error = await assertRejects(async () => {
      for (let at = 0; at < 64; at++) await b.send(patterned(MAX_CONTROL_FRAME_BYTES));
    });
    assertTrue(isWormholeError(error, "CONNECTION_LOST", "CLOSED"), String(error));
  });

  test("loses no frame when a receive is aborted", async ({ a, b }) => {
    for (let at = 0; at < 50; at++) {
      const controller = new AbortController();
      const receiving = b.recv({ signal: controller.signal });
      if (at % 2 === 0) {
        const aborted = assertRejects(() => receiving, undefined, "enough");
        controller.abort(new Error("enough"));
        await a.send(frameOf(at, 5));
        await aborted;
        assertEquals(await b.recv(), frameOf(at, 5));
      } else {
        await a.send(frameOf(at, 5));
        assertEquals(await receiving, frameOf(at, 5));
      }
    }
    const aborted = AbortSignal.abort(new Error("already"));
    await assertRejects(() => b.recv({ signal: aborted }), undefined, "already");
  });

  test("counts what it carries", async ({ a, b }) => {
    await a.send(patterned(100_000));
    await b.recv();
    const [sent, received] = await Promise.all([a.stats(), b.stats()]);
    assertTrue(sent.bytesSent >= 100_000, `sent ${sent.bytesSent}`);
    assertTrue(received.bytesReceived >= 100_000, `received ${received.bytesReceived}`);
    assertTrue(sent.rttMs >= 0 && sent.rttMs < 10_000, `rtt ${sent.rttMs}`);
  });

  test("opens bulk streams beside the control frames", async ({ a, b }) => {
    await Promise.all([a.bulk(4), b.bulk(4)]);
    await a.send(new Uint8Array([9]));
    assertEquals(await b.recv(), new Uint8Array([9]));
  });
}

/** A deep comparison of a MiB takes seconds. */
function sameBytes(a: Uint8Array | undefined, b: Uint8Array): boolean {
  return a !== undefined && a.length === b.length && a.every((byte, at) => byte === b[at]);
}

function frameOf(at: number, salt: number): Uint8Array {
  return patterned(1 + (at * 7919) % 3000).map((byte) => byte ^ salt ^ (at & 0xff));
}

function patterned(length: number): Uint8Array {
  return new Uint8Array(length).map((_, at) => (at * 31 + (at >> 8)) & 0xff);
}
