import type { CallOptions, NativeQueue } from "./queue.ts";

/** How a chunk's bytes travel; the numbers are the wire's (`Codec` in `ffi/src/chunk/codec.rs`). */
export const CODECS = { raw: 0, zstd: 1, lz4: 2 } as const;

/** Name of a codec. */
export type Codec = keyof typeof CODECS;

/**
 * Compresses `bytes`, or gives `undefined` when that would not make them at least 1/16 smaller.
 *
 * `level` is zstd's (negative to 22, 3 by default); lz4 has one level.
 */
export async function compress(
  queue: NativeQueue,
  codec: Codec,
  bytes: Uint8Array,
  { level = 3, signal }: CallOptions & { level?: number } = {},
): Promise<Uint8Array | undefined> {
  const result = await queue.call<{ bytes: Uint8Array | null }>(
    "codec.compress",
    { codec: CODECS[codec], level, bytes },
    { signal },
  );
  return result.bytes ?? undefined;
}

/**
 * Expands what {@linkcode compress} made to exactly `size` bytes.
 *
 * @throws {WormholeError} CORRUPT when it does not expand to that; LIMIT_EXCEEDED over 64 MiB.
 */
export async function decompress(
  queue: NativeQueue,
  codec: Codec,
  bytes: Uint8Array,
  { size, signal }: CallOptions & { size: number },
): Promise<Uint8Array> {
  const result = await queue.call<{ bytes: Uint8Array }>(
    "codec.decompress",
    { codec: CODECS[codec], size, bytes },
    { signal },
  );
  return result.bytes;
}
