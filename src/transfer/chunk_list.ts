/** Chunk lists as they go over the wire; wire/spec/chunks.md §2. */
import type { HashedChunks } from "../native/send.ts";
import { CHUNK_BYTES, type MessageOf } from "../wire/mod.ts";

/** Makes the message for the chunks of `entry` that begin at `offset`, and tells where they end. */
export function chunkList(
  { entry, offset, hashes, size }: HashedChunks & { readonly entry: number; readonly offset: number },
): { message: MessageOf<"manifest_response">; end: number } {
  const count = hashes.length / 32;
  const offsets = new DataView(new ArrayBuffer(count * 8));
  const sizes = new DataView(new ArrayBuffer(count * 4));
  let at = offset;
  for (let i = 0; i < count; i++) {
    const bytes = Math.min(CHUNK_BYTES, size - at);
    offsets.setBigUint64(i * 8, BigInt(at), true);
    sizes.setUint32(i * 4, bytes, true);
    at += bytes;
  }
  const message: MessageOf<"manifest_response"> = {
    type: "manifest_response",
    entry,
    size,
    offsets: new Uint8Array(offsets.buffer),
    sizes: new Uint8Array(sizes.buffer),
    hashes,
    // Without progress there is nothing to go on with.
    last: at >= size || count === 0,
  };
  return { message, end: at };
}

/** Gives the bytes of a file of `size` bytes that lie in the chunks of this bitmap. */
export function bytesOfChunks(chunks: Uint8Array, size: number): number {
  let bytes = 0;
  const count = Math.min(chunks.length * 8, Math.ceil(size / CHUNK_BYTES));
  for (let i = 0; i < count; i++) {
    if ((chunks[i >> 3]! >> (i & 7) & 1) === 1) bytes += Math.min(CHUNK_BYTES, size - i * CHUNK_BYTES);
  }
  return bytes;
}
