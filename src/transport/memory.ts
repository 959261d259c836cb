import type { NativeQueue } from "../native/queue.ts";
import type { Link } from "./connection.ts";
import { NativeLink } from "./native_link.ts";

/** Each end's public key in a memory pair: it says nothing about a machine, and no real key is all one byte. */
const KEYS = { a: new Uint8Array(32).fill(0xa1), b: new Uint8Array(32).fill(0xb2) };

/** Makes two linked ends inside this process, with the same limits and backpressure as real ones. */
export async function memoryPair(queue: NativeQueue): Promise<[Link, Link]> {
  const pair = await queue.call<{ a: number; b: number }>("net.memory_pair", {});
  return [
    new NativeLink(queue, { connection: pair.a, kind: "memory", remote: "memory", peerKey: KEYS.b }),
    new NativeLink(queue, { connection: pair.b, kind: "memory", remote: "memory", peerKey: KEYS.a }),
  ];
}
