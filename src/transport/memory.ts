import { memoryPair as nativeMemoryPair } from "../native/net.ts";
import type { NativeQueue } from "../native/queue.ts";
import type { Link } from "./connection.ts";
import { NativeLink } from "./native_link.ts";

/** Nobody's public key: a memory link has no machine behind it that could prove one. */
const NOBODY = new Uint8Array(32);

/** Makes two linked ends inside this process, with the same limits and backpressure as real ones. */
export async function memoryPair(queue: NativeQueue): Promise<[Link, Link]> {
  const pair = await nativeMemoryPair(queue);
  return [
    new NativeLink(queue, { connection: pair.a, kind: "memory", remote: "memory", peerKey: NOBODY }),
    new NativeLink(queue, { connection: pair.b, kind: "memory", remote: "memory", peerKey: NOBODY }),
  ];
}
