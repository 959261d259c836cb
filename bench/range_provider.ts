/** The sending end of the range reads, a process of its own: `range_provider.ts TRANSPORT PEER_KEY_HEX PATH`. */
import { NativeQueue } from "../src/native/queue.ts";
import { authenticated } from "../src/session/authenticated.ts";
import { runProvider, SendSource } from "../src/transfer/mod.ts";
import { type DirectTransport, Endpoint } from "../src/transport/mod.ts";

const [transport, peer, path] = Deno.args as [DirectTransport, string, string];
const CHUNK_BYTES = 4 * 2 ** 20;

const peerKey = Uint8Array.fromHex(peer);
const queue = NativeQueue.open();
const endpoint = await Endpoint.open(queue, {
  seed: crypto.getRandomValues(new Uint8Array(32)),
  transports: [transport],
});
await endpoint.allow(peerKey);
const port = (await endpoint.hints()).find((hint) => hint.transport === transport)!.port;
console.log(JSON.stringify({ port, key: endpoint.publicKey.toHex() }));
const connection = authenticated(await endpoint.accept(), peerKey, { endpoint });
const source = await SendSource.open(queue, { paths: [path], chunkBytes: CHUNK_BYTES });
try {
  await runProvider({
    connection,
    source,
    agent: "wormhole-bench/1",
    minStreams: 2,
    maxStreams: 2,
    poolBytes: 64 * 2 ** 20,
    chunkBytes: CHUNK_BYTES,
    compression: "never",
    compressionLevel: 3,
  });
} catch {
  // The other end has read enough and hangs up.
}
Deno.exit(0);
