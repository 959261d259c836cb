/** Chunk lists as they go over the wire; wire/spec/chunks.md §2. */
import type { HashedChunks } from "../native/send.ts";
import { CHUNK_BYTES, MAX_HAVE_BYTES, type MessageOf } from "../wire/mod.ts";

/** Part of a file's chunk list; without `sizes` it is cut every 4 MiB. */
export interface ListPart extends HashedChunks {
  /** Bytes of each chunk. */
  readonly sizes?: Uint32Array;
}

/** Makes the message for the chunks of `entry` that begin at `offset`, and tells where they end. */
export function chunkList(
  { entry, offset, hashes, size, sizes: cut }: ListPart & { readonly entry: number; readonly offset: number },
): { message: MessageOf<"manifest_response">; end: number } {
  const count = hashes.length / 32;
  const offsets = new DataView(new ArrayBuffer(count * 8));
  const sizes = new DataView(new ArrayBuffer(count * 4));
  let at = offset;
  for (let i = 0; i < count; i++) {
    const bytes = cut?.[i] ?? Math.min(CHUNK_BYTES, size - at);
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

/** Gives the bitmap for `have` of a file of `size` bytes that lacks `gaps`; undefined when no chunk is whole. */
export function wholeChunks(
  size: number,
  gaps: readonly { readonly offset: number; readonly length: number }[],
): Uint8Array | undefined {
  const count = Math.ceil(size / CHUNK_BYTES);
  const lacking = new Set<number>();
  for (const { offset, length } of gaps) {
    const last = Math.floor((offset + length - 1) / CHUNK_BYTES);
    for (let i = Math.floor(offset / CHUNK_BYTES); i <= last; i++) lacking.add(i);
  }
  if (lacking.size >= count || count > MAX_HAVE_BYTES * 8) return undefined;
  const chunks = new Uint8Array(Math.ceil(count / 8));
  for (let i = 0; i < count; i++) if (!lacking.has(i)) chunks[i >> 3]! |= 1 << (i & 7);
  return chunks;
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
