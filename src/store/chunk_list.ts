/** Bytes of a chunk id: BLAKE3-256 of the chunk. */
export const CHUNK_ID_BYTES = 32;

/** Cut every 4 MiB; the other way is content-defined (`"cdc"`), where an insertion moves only the cuts around it. */
export const FIXED_CHUNKS = 4 * 1024 * 1024;

/** How a file was cut: bytes per chunk, or by its content. */
export type Chunking = number | "cdc";

/** The chunks of one whole file, in order. */
export interface ChunkList {
  readonly chunking: Chunking;
  /** Bytes of the file. */
  readonly size: number;
  /** 32 bytes per chunk; zeros where the chunk's id is not known. */
  readonly ids: Uint8Array<ArrayBuffer>;
  /** With `"cdc"`: bytes of each chunk, u32. */
  readonly sizes?: Uint32Array<ArrayBuffer>;
}

/** Gives the number of chunks in `list`. */
export function chunkCount({ ids }: { readonly ids: Uint8Array }): number {
  return ids.length / CHUNK_ID_BYTES;
}

/** Gives where each chunk begins, in bytes, and after the last one the size of the file. */
export function chunkOffsets({ chunking, size, ids, sizes }: ChunkList): Float64Array {
  const count = chunkCount({ ids });
  const offsets = new Float64Array(count + 1);
  for (let i = 0; i < count; i++) {
    offsets[i + 1] = offsets[i]! + (sizes?.[i] ?? Math.min(chunking as number, size - offsets[i]!));
  }
  return offsets;
}

/** Tells whether the chunks are exactly as many, and as long, as the file has bytes. */
export function isWhole(list: ChunkList): boolean {
  const count = chunkCount(list);
  if (!Number.isInteger(count)) return false;
  if (list.chunking !== "cdc") {
    return list.sizes === undefined && list.chunking > 0 && count === Math.ceil(list.size / list.chunking);
  }
  if (list.sizes?.length !== count) return false;
  return list.sizes.reduce((sum, size) => sum + size, 0) === list.size;
}
