/** Packs of the store; thin typed functions over `ffi/src/export/pack.rs`. Their format: docs/design/packs.md. */
import { encodeName } from "../base/names.ts";
import { HASH_BYTES, type HashedFile } from "./hash.ts";
import type { CallOptions, NativeQueue } from "./queue.ts";

/** Most bytes of one pack's chunks, and most of them. */
export const MAX_PACK_BYTES = 256 * 1024 * 1024, MAX_PACK_CHUNKS = 65_536;

/** The longest chunk that a pack takes. */
export const MAX_PACKED_CHUNK_BYTES = 16 * 1024 * 1024;

/** A chunk to be kept. */
export interface PackPiece {
  /** Index of the file that has it. */
  readonly source: number;
  /** Where it is in that file. */
  readonly offset: number;
  readonly length: number;
  /** 32 bytes; a piece with another hash is left out. */
  readonly id: Uint8Array;
}

/** A pack as a file cut by content; its table is the last chunk, under an id of zeros. */
export interface NativePack extends HashedFile {
  readonly sizes: Uint32Array<ArrayBuffer>;
}

/**
 * Copies chunks into a new pack in `directory`, those that are what their ids say; gives what was written, with the
 * file's name, and how many pieces were not. It is on the disk when this returns.
 *
 * @throws {WormholeError} INVALID_ARGUMENT for more than a pack holds; NO_SPACE and other codes of the disk.
 */
export async function writePack(
  queue: NativeQueue,
  { directory, sources, pieces }: {
    readonly directory: string;
    /** Files with their stamps; those that have another one are passed over. */
    readonly sources: readonly { readonly path: Uint8Array; readonly stamp: Uint8Array }[];
    readonly pieces: readonly PackPiece[];
  },
  { signal }: CallOptions = {},
): Promise<{ written: { name: string; pack: NativePack } | undefined; rejected: number }> {
  const { name, pack, rejected } = await queue.call<{
    name: string | null;
    pack: PackResult | null;
    rejected: number;
  }>("pack.write", {
    directory: encodeName(directory),
    sources: sources.map(({ path, stamp }) => ({ path, stamp })),
    pieces: packedPieces(pieces),
  }, { signal });
  return { written: name === null || pack === null ? undefined : { name, pack: packOf(pack) }, rejected };
}

/**
 * Reads what a pack holds.
 *
 * @throws {WormholeError} CORRUPT, LIMIT_EXCEEDED or VERSION_UNSUPPORTED when it is no pack of ours; what the disk says.
 */
export async function readPack(queue: NativeQueue, path: string): Promise<NativePack> {
  return packOf(await queue.call<PackResult>("pack.read", { path: encodeName(path) }));
}

/** Hashes every chunk of a pack; gives how many there are and how many are damaged. @throws as {@linkcode readPack}. */
export async function checkPack(
  queue: NativeQueue,
  path: string,
  { signal }: CallOptions = {},
): Promise<{ chunks: number; bytes: number; damaged: number }> {
  const { chunks, bytes, damaged } = await queue.call<
    Record<"chunks" | "bytes" | "damaged", number | bigint>
  >(
    "pack.check",
    { path: encodeName(path) },
    { signal },
  );
  return { chunks: Number(chunks), bytes: Number(bytes), damaged: Number(damaged) };
}

/** Removes what crashed programs left in the folder of the packs; gives how many files. */
export async function removeOrphanPacks(queue: NativeQueue, directory: string): Promise<number> {
  return (await queue.call<{ removed: number }>("pack.orphans", { path: encodeName(directory) })).removed;
}

interface PackResult {
  hashes: Uint8Array;
  sizes: Uint8Array;
  size: number | bigint;
  stamp: Uint8Array;
}

function packOf({ hashes, sizes, size, stamp }: PackResult): NativePack {
  return {
    hashes: hashes.slice(),
    sizes: new Uint32Array(sizes.slice().buffer),
    size: Number(size),
    stamp: stamp.slice(),
  };
}

/** `offset u64, length u32, source u32, id 32` each. */
function packedPieces(pieces: readonly PackPiece[]): Uint8Array {
  const bytes = new Uint8Array(PIECE_BYTES * pieces.length);
  const view = new DataView(bytes.buffer);
  for (const [i, { source, offset, length, id }] of pieces.entries()) {
    view.setBigUint64(PIECE_BYTES * i, BigInt(offset), true);
    view.setUint32(PIECE_BYTES * i + 8, length, true);
    view.setUint32(PIECE_BYTES * i + 12, source, true);
    bytes.set(id, PIECE_BYTES * i + 16);
  }
  return bytes;
}

const PIECE_BYTES = 16 + HASH_BYTES;
