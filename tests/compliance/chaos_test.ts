/**
 * Each connection of a TCP transfer frozen, reset or cut in a frame: progress, or a clear error. QUIC has one socket, which
 * finds its way around any proxy on this machine by itself; peers that freeze are in tests/e2e/peer_faults_test.ts.
 */
import { type Clock, systemClock } from "../../src/base/clock.ts";
import { isWormholeError } from "../../src/base/errors.ts";
import { assertEquals, assertTrue } from "../../src/base/testing.ts";
import { runGetter, runProvider, SendSource } from "../../src/transfer/mod.ts";
import { Sandbox } from "../e2e/sandbox.ts";
import { assertSameTree, noise } from "../e2e/trees.ts";
import { ChaosTcp } from "./failing_proxy.ts";
import { endpoints } from "./pairs.ts";
import { getterOptions, providerOptions, trusted } from "./transfer.ts";

const MIB = 1024 * 1024;

/** How much faster the clock of these transfers goes, so that nobody waits for their deadlines. */
const HURRY = 8;

const CLOCK = clockWith(HURRY);

/** Where nobody is to look frozen, a busy machine has 6 s for its next word. */
const PATIENT_CLOCK = clockWith(2);

function clockWith(hurry: number): Clock {
  return {
    ...systemClock,
    monotonic: () => performance.now() * hurry,
    timer: (ms, run) => systemClock.timer(ms / hurry, run),
  };
}

/** Time for closing what is dead, in ms that nothing hurries. */
const CLOSING_MS = 1500;

/** Time after which both ends must have said something, in ms of that clock: 15 s in all. */
const CLEAR_AFTER_MS = 15_000 - CLOSING_MS + HURRY * CLOSING_MS;

interface Ended {
  /** Of the sender and the receiver; undefined when all went well. */
  readonly codes: readonly (string | undefined)[];
  /** Since the accident, in ms of the clock. */
  readonly afterMs: number;
}

/**
 * Sends `bytes` through a proxy and lets `accident` happen when some of them have arrived. The first connection has the
 * control stream, the others carry data.
 */
async function through(
  accident: (proxy: ChaosTcp) => void,
  { bytes = 48 * MIB, clock = CLOCK }: { bytes?: number; clock?: Clock } = {},
): Promise<Ended> {
  await using sandbox = await Sandbox.create();
  await using ends = await endpoints("tcp");
  const { dialler, listener, hint, queue } = ends;
  await listener.allow(dialler.publicKey);
  await using proxy = new ChaosTcp(hint.port);
  const [b, a] = await Promise.all([
    dialler.dial({ ...hint, port: proxy.port }, { peerKey: listener.publicKey }),
    listener.accept(),
  ]);
  const path = await sandbox.file("from/big", noise(bytes));
  const into = await sandbox.folder("into");
  await using source = await SendSource.open(queue, { paths: [path], chunkBytes: MIB });
  let at: number | undefined;
  proxy.after(4 * MIB, () => {
    at = clock.monotonic();
    accident(proxy);
  });
  const codes = await Promise.all([
    codeOf(runProvider({
      ...providerOptions({ a: trusted(a) }, source),
      chunkBytes: MIB,
      compression: "never",
      clock,
    })),
    codeOf(runGetter({
      ...getterOptions({ queue, b: trusted(b) }, into),
      clock,
    })),
  ]);
  assertTrue(at !== undefined, "it was over before anything could happen");
  const afterMs = clock.monotonic() - at;
  if (codes[1] === undefined) await assertSameTree(`${into}/big`, path);
  else assertEquals((await Array.fromAsync(Deno.readDir(into))).length, 0, "something was left behind");
  await Promise.all([a.close(), b.close()]);
  return { codes, afterMs };
}

async function codeOf(running: Promise<unknown>): Promise<string | undefined> {
  try {
    await running;
    return undefined;
  } catch (error) {
    if (!isWormholeError(error)) throw error;
    return error.code;
  }
}

const GONE = ["PEER_FROZEN", "CONNECTION_LOST"];

/** What a busy machine is late for it is given two more chances for: each of its seconds is eight of that clock's. */
async function assertClear(accident: (proxy: ChaosTcp) => void, bytes?: number): Promise<void> {
  let ended = await through(accident, { ...bytes && { bytes } });
  for (let tries = 1; tries < 3 && ended.afterMs >= CLEAR_AFTER_MS; tries++) {
    ended = await through(accident, { ...bytes && { bytes } });
  }
  const { codes: [sender, receiver], afterMs } = ended;
  assertTrue(sender !== undefined && GONE.includes(sender), `the sender ended with ${sender}`);
  // What was on its way may have been all of it.
  assertTrue(receiver === undefined || GONE.includes(receiver), `the receiver ended with ${receiver}`);
  assertTrue(afterMs < CLEAR_AFTER_MS, `clear only after ${Math.round(afterMs)} ms`);
}

function data(proxy: ChaosTcp): number[] {
  return Array.from({ length: proxy.count - 1 }, (_, index) => index + 1);
}

Deno.test("a TCP transfer of which every connection freezes ends in time", async () => {
  await assertClear((proxy) => [0, ...data(proxy)].forEach((index) => proxy.freeze(index)));
});

Deno.test("a TCP transfer whose control connection freezes, is reset or is cut in a frame ends in time", async () => {
  await assertClear((proxy) => proxy.freeze(0));
  await assertClear((proxy) => proxy.reset(0));
  await assertClear((proxy) => proxy.cutAfter(0, 3));
});

Deno.test("a TCP transfer whose data freezes while its control connection lives ends in time", async () => {
  // More than all buffers on the way take.
  await assertClear((proxy) => data(proxy).forEach((index) => proxy.freeze(index)), 160 * MIB);
});

Deno.test("a TCP transfer goes on when a data connection is reset, or cut in a frame", async () => {
  for (
    const accident of [
      (proxy: ChaosTcp) => proxy.reset(1),
      (proxy: ChaosTcp) => proxy.cutAfter(1, 1000),
      (proxy: ChaosTcp) => data(proxy).forEach((index) => proxy.cutAfter(index, index * 70_001)),
    ]
  ) {
    assertEquals((await through(accident, { clock: PATIENT_CLOCK })).codes, [undefined, undefined]);
  }
});
