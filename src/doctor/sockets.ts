import { closeEndpoint, openEndpoint } from "../native/net.ts";
import type { NativeQueue } from "../native/queue.ts";

/**
 * Opens a socket of the kind that transfers use, and closes it again; gives the address that it had, `IP:PORT`.
 *
 * @throws {WormholeError} what forbids it.
 */
export async function listensAt(queue: NativeQueue, kind: "tcp" | "quic"): Promise<string> {
  const { endpoint, tcp, quic } = await openEndpoint(queue, {
    secretKey: crypto.getRandomValues(new Uint8Array(32)),
    bind: ["0.0.0.0:0"],
    tcp: kind === "tcp",
    quic: kind === "quic",
  });
  await closeEndpoint(queue, endpoint);
  return (kind === "tcp" ? tcp : quic)[0] ?? "no address";
}
