/** Bytes copied in memory by both ends of a transfer within this process, as the native library counts them. */
import { NativeQueue } from "../src/native/queue.ts";
import { connectionStats } from "../src/native/net.ts";
import { authenticated } from "../src/session/authenticated.ts";
import type { CompressionMode } from "../src/content/mod.ts";
import { runGetter, runProvider, SendSource } from "../src/transfer/mod.ts";
import { type DialTransport, Endpoint, type Link } from "../src/transport/mod.ts";
import type { Input } from "./inputs.ts";
import type { Sample } from "./results.ts";

/** What both ends take. */
const COMMON = { agent: "wormhole-bench/1", maxStreams: 2, poolBytes: 256 * 2 ** 20 };
const CHUNK_BYTES = 4 * 2 ** 20;

/** Moves `input` into a folder and gives copied bytes per byte of the file; nothing where the library does not count. */
export async function copiedBytes(
  { transport, compression, input, into }: {
    transport: DialTransport;
    compression: CompressionMode;
    input: Input;
    into: string;
  },
): Promise<Sample> {
  await using queue = NativeQueue.open();
  await using left = await openEndpoint(queue, transport);
  await using right = await openEndpoint(queue, transport);
  await left.allow(right.publicKey);
  const { port } = (await left.hints()).find((hint) => hint.transport === transport)!;
  const [accepted, dialled] = await Promise.all([
    left.accept(),
    right.dial({ transport, host: "127.0.0.1", port }, { peerKey: left.publicKey }),
  ]);
  await using source = await SendSource.open(queue, { paths: [input.path], chunkBytes: CHUNK_BYTES });
  const sending = runProvider({
    ...COMMON,
    connection: authenticated(accepted, right.publicKey),
    source,
    chunkBytes: CHUNK_BYTES,
    compression,
    compressionLevel: 3,
  });
  const receiving = runGetter({
    ...COMMON,
    connection: authenticated(dialled, left.publicKey),
    queue,
    destination: into,
    accept: () => ({ accept: true }),
  });
  await Promise.all([sending, receiving]);
  const copied = async (link: Link) => {
    const stats: { remote: string; bytesCopied?: number } = await connectionStats(queue, link.native);
    return stats.bytesCopied;
  };
  const [sender, receiver] = [await copied(accepted), await copied(dialled)];
  return {
    ...sender !== undefined && { copied_sender: sender / input.bytes },
    ...receiver !== undefined && { copied_receiver: receiver / input.bytes },
  };
}

function openEndpoint(queue: NativeQueue, transport: DialTransport): Promise<Endpoint> {
  return Endpoint.open(queue, { seed: crypto.getRandomValues(new Uint8Array(32)), transports: [transport] });
}
