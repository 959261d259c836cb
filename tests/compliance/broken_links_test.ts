/** Transfers whose streams and links break on the way: everything arrives once, and little is sent twice. */
import { assertEquals, assertTrue } from "../../src/base/testing.ts";
import {
  type Progress,
  runGetter,
  runProvider,
  SendSource,
  type TransferOutcome,
} from "../../src/transfer/mod.ts";
import type { FurtherLink, Link, PeerConnection } from "../../src/transport/connection.ts";
import { Endpoint } from "../../src/transport/endpoint.ts";
import type { DirectTransport } from "../../src/transport/hints.ts";
import { NativeQueue } from "../../src/native/queue.ts";
import { decodeMessage, readAcknowledgement } from "../../src/wire/mod.ts";
import { Sandbox } from "../e2e/sandbox.ts";
import { assertSameTree, noise } from "../e2e/trees.ts";
import { endpoints, seed } from "./pairs.ts";
import { CuttingProxy } from "./proxy.ts";
import { getterOptions, providerOptions, trusted } from "./transfer.ts";
import type { LinkedPair } from "./transport.ts";

const MIB = 1024 * 1024;
const CHUNK = 4 * MIB;

/** A connection that brings `further` when it is asked for another link. */
function bringing(link: Link, further: Link): PeerConnection {
  const links: FurtherLink[] = [{ number: 1, link: trusted(further) }];
  return with_(link, {
    nextLink: ({ signal }: { signal?: AbortSignal } = {}) => {
      const next = links.shift();
      if (next !== undefined) return Promise.resolve(next);
      return new Promise<undefined>((_, reject) =>
        signal?.addEventListener("abort", () => reject(signal.reason))
      );
    },
  });
}

function with_(link: Link, more: Partial<PeerConnection>): PeerConnection {
  return new Proxy(link, {
    get: (target, key) => {
      if (Object.hasOwn(more, key)) return Reflect.get(more, key);
      const value = Reflect.get(target, key, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  }) as PeerConnection;
}

/** What the receiver said about streams. */
class Told {
  readonly frames = new Map<number, number>();
  readonly lost = new Set<number>();

  /** Takes note of what goes over `link`. */
  overhear(link: PeerConnection): PeerConnection {
    return with_(link, {
      send: (frame) => {
        const message = decodeMessage(frame);
        if (message.type === "bulk_received") {
          for (const [stream, frames] of readAcknowledgement(message).streams) {
            this.frames.set(stream, frames);
          }
        } else if (message.type === "bulk_lost") {
          this.frames.set(message.stream, message.frames);
          this.lost.add(message.stream);
        }
        return link.send(frame);
      },
    });
  }

  /** Frames that counted, of all streams. */
  get total(): number {
    return this.frames.values().reduce((sum, frames) => sum + frames, 0);
  }
}

/** Two machines in this process, linked by both transports; `a` listens and sends. */
async function bothLinks() {
  const queue = NativeQueue.open();
  const open = () => Endpoint.open(queue, { seed: seed(), transports: ["quic", "tcp"] });
  const [dialler, listener] = [await open(), await open()];
  await listener.allow(dialler.publicKey);
  const hints = (await listener.hints()).filter(({ host }) => host === "127.0.0.1");
  const link = async (transport: DirectTransport): Promise<[a: Link, b: Link]> => {
    const hint = hints.find((hint) => hint.transport === transport)!;
    const dialled = dialler.dial(hint, { peerKey: listener.publicKey });
    return [await listener.accept(), await dialled];
  };
  return {
    queue,
    quic: await link("quic"),
    tcp: await link("tcp"),
    async [Symbol.asyncDispose]() {
      await Promise.all([dialler.close(), listener.close()]);
      await queue.close();
    },
  };
}

interface Moved {
  readonly sent: TransferOutcome;
  readonly received: TransferOutcome;
  readonly told: Told;
}

async function move(
  pair: Pick<LinkedPair, "queue"> & { a: PeerConnection; b: PeerConnection },
  { path, into, onProgress }: { path: string; into: string; onProgress: (progress: Progress) => void },
): Promise<Moved> {
  const told = new Told();
  await using source = await SendSource.open(pair.queue, { paths: [path], chunkBytes: CHUNK });
  const [sent, received] = await Promise.all([
    runProvider({ ...providerOptions(pair, source), compression: "never" }),
    runGetter({ ...getterOptions({ ...pair, b: told.overhear(pair.b) }, into), onProgress }),
  ]);
  return { sent, received, told };
}

/** Nothing was counted twice, and what was sent twice had not been acknowledged. */
function assertFrugal({ sent, received, told }: Moved, bytes: number): void {
  assertEquals([received.bytes, received.failedCount], [bytes, 0]);
  assertEquals(told.total, bytes / CHUNK);
  const again = sent.bytesWire - bytes;
  assertTrue(told.lost.size > 0, "no stream broke");
  assertTrue(again > 0 && again < bytes / 2, `${again} bytes were sent again`);
}

Deno.test("a transfer moves to TCP on one machine, and back when that link is cut", async () => {
  await using sandbox = await Sandbox.create();
  await using links = await bothLinks();
  const { queue, quic, tcp } = links;
  const bytes = 256 * MIB;
  const path = await sandbox.file("from/big", noise(bytes));
  let carried = 0;
  const pair = { queue, a: bringing(quic[0], tcp[0]), b: bringing(quic[1], tcp[1]) };
  const into = await sandbox.folder("into");
  const moved = await move(pair, {
    path,
    into,
    onProgress: () => {
      if (carried > 0) return;
      tcp[1].stats().then(async ({ bytesReceived }) => {
        if (bytesReceived < 16 * MIB || carried > 0) return;
        carried = bytesReceived;
        await tcp[1].close();
      }).catch(() => {}); // It was closed a moment ago.
    },
  });
  await assertSameTree(`${into}/big`, path);
  assertTrue(carried > 0, "TCP carried nothing");
  assertFrugal(moved, bytes);
});

Deno.test("a transfer opens new streams for TCP connections that were cut", async () => {
  await using sandbox = await Sandbox.create();
  await using ends = await endpoints("tcp");
  const { dialler, listener, hint } = ends;
  await using proxy = new CuttingProxy(hint.port);
  await listener.allow(dialler.publicKey);
  // The receiver dials.
  const [b, a] = await Promise.all([
    dialler.dial({ ...hint, port: proxy.port }, { peerKey: listener.publicKey }),
    listener.accept(),
  ]);
  const bytes = 256 * MIB;
  const path = await sandbox.file("from/big", noise(bytes));
  const into = await sandbox.folder("into");
  let cut = false;
  const moved = await move({ queue: ends.queue, a: trusted(a), b: trusted(b) }, {
    path,
    into,
    onProgress: ({ bytesDone }) => {
      if (cut || bytesDone < bytes / 4) return;
      cut = true;
      // The first connection has the control stream.
      for (const index of [1, 2, 3]) proxy.cut(index);
    },
  });
  await assertSameTree(`${into}/big`, path);
  assertFrugal(moved, bytes);
  await Promise.all([a.close(), b.close()]);
});
