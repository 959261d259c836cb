import { sameBytes } from "../base/bytes.ts";
import { chunkCount } from "./chunk_list.ts";
import { idAt, type KnownFile } from "./index_rows.ts";

/** Where the bytes of one chunk are. */
export interface ChunkPlace {
  readonly path: Uint8Array<ArrayBuffer>;
  readonly stamp: Uint8Array<ArrayBuffer>;
  /** Bytes from the beginning of that file, and of the chunk. */
  readonly offset: number;
  readonly length: number;
  /** The stamp alone is proof; otherwise the bytes must be hashed before they are used. */
  readonly settled: boolean;
}

/** A file while ids are looked up. */
export interface OpenedFile extends KnownFile {
  readonly offsets: Float64Array;
}

/** One chunk of a file that was looked up. */
export interface Found {
  readonly file: OpenedFile;
  readonly ordinal: number;
}

/** Tells whether that chunk is `id`. */
export function holds({ file: { chunks }, ordinal }: Found, id: Uint8Array): boolean {
  return ordinal < chunkCount(chunks) && sameBytes(idAt(chunks, ordinal), id);
}

/** Gives where that chunk is. */
export function placeOf({ file: { path, stamp, settled, offsets }, ordinal }: Found): ChunkPlace {
  const offset = offsets[ordinal]!;
  return { path, stamp, offset, length: offsets[ordinal + 1]! - offset, settled };
}
