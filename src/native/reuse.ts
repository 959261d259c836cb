/** Bytes that this machine has already, for a receive session; thin typed functions over `ffi/src/export/reuse.rs`. */
import type { CallOptions, NativeQueue } from "./queue.ts";

/** Bytes of one record of {@linkcode packPieces}. */
export const PIECE_BYTES = 64;

/** Most bytes of a {@linkcode Piece} that is not settled. */
export const MAX_UNSETTLED_BYTES = 16 * 1024 * 1024;

/** Most pieces and sources of one {@linkcode NativeReceive.place}. */
export const MAX_PIECES = 1 << 20;
export const MAX_SOURCES = 65_536;

/** Most files of one {@linkcode fileStamps}, `NativeReceive.stamps` or `NativeSend.stamps`. */
export const MAX_STAMPS = 4096;

/** A local file that bytes are taken from. */
export interface PieceSource {
  /** Absolute; a symlink as its last component is not followed. */
  readonly path: Uint8Array;
  /** 40 bytes (`src/store/file_stamp.ts`); a file with another one is not used. */
  readonly stamp: Uint8Array;
}

/** A range of an expected file that a source has. */
export interface Piece {
  /** Where it belongs in the expected file. */
  readonly offset: number;
  readonly length: number;
  /** Index of its source. */
  readonly source: number;
  /** Where it is in that source. */
  readonly sourceOffset: number;
  /**
   * The source's stamp alone is proof. Otherwise what was copied is hashed before it counts, and `length` is at most
   * {@linkcode MAX_UNSETTLED_BYTES}.
   */
  readonly settled: boolean;
  /** BLAKE3-256 of the range, for the journal; zeros: unknown, which only a settled piece may have. */
  readonly id: Uint8Array;
}

/** What `NativeReceive.place` needs. */
export interface PlaceRequest {
  /** A held entry. */
  readonly entry: number;
  readonly sources: readonly PieceSource[];
  /** {@linkcode packPieces}. In any order; none may overlap another. What is in place already is passed over. */
  readonly pieces: Uint8Array;
  /** The entry stays held, because another `place` or `release` follows; false by default. */
  readonly hold?: boolean;
}

/** What is in place of an entry now. */
export interface PlaceResult {
  /**
   * Ranges that are missing, 24 bytes each as in `ExpectResult.ranges`, whether `hold` or not. Empty when the entry is
   * complete, and when it failed (then a report of `wait` tells why).
   */
  readonly ranges: Uint8Array;
  /** Bytes that this call put in place; they count in `bytes` of the reports too. */
  readonly placed: number;
  /** The file is complete: nothing of it is to be asked for. It counts in `files_done`. */
  readonly complete: boolean;
  /** Sources of which nothing counted: gone, no regular file, another stamp (also afterwards) or unreadable. */
  readonly stale: readonly number[];
  /** Pieces whose hash was not their id. */
  readonly rejected: number;
}

/** What is missing of an entry that is held no longer. */
export interface ReleaseResult {
  /** Nothing of it is in place: ask for it in a run. */
  readonly whole: boolean;
  /** It is complete, or has failed: there is nothing to ask for. */
  readonly complete: boolean;
  /** Otherwise what to ask for, 24 bytes each. */
  readonly ranges: Uint8Array;
}

/** Stamps of files, in the order asked for. */
export interface StampsResult {
  /** 40 bytes each; zeros where there is none. */
  readonly stamps: Uint8Array;
  /** Absolute paths; empty where there is no stamp. */
  readonly paths: readonly Uint8Array[];
}

/** Gives pieces as `NativeReceive.place` takes them. */
export function packPieces(pieces: readonly Piece[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(PIECE_BYTES * pieces.length);
  const view = new DataView(bytes.buffer);
  for (const [index, piece] of pieces.entries()) {
    const at = PIECE_BYTES * index;
    view.setBigUint64(at, BigInt(piece.offset), true);
    view.setBigUint64(at + 8, BigInt(piece.length), true);
    view.setBigUint64(at + 16, BigInt(piece.sourceOffset), true);
    view.setUint32(at + 24, piece.source, true);
    view.setUint32(at + 28, piece.settled ? 1 : 0, true);
    bytes.set(piece.id, at + 32);
  }
  return bytes;
}

/**
 * Puts local bytes of a held entry into its staged file.
 *
 * @throws {WormholeError} INVALID_ARGUMENT when the entry is not held or pieces are empty, overlap, or leave the file or
 * their source; LIMIT_EXCEEDED; CANCELLED, after which the entry is still held (`release` it); what the disk says of the
 * staged file.
 */
export async function placePieces(
  queue: NativeQueue,
  request: PlaceRequest & { readonly receive: number },
  options: CallOptions = {},
): Promise<PlaceResult> {
  const result = await queue.call<PlaceResult & { placed: number | bigint }>(
    "receive.place",
    request,
    options,
  );
  return { ...result, placed: Number(result.placed) };
}

/**
 * Lets an entry be asked for. Waits for a cancelled {@linkcode placePieces} of it to be over; what that put in place just
 * before counts.
 *
 * @throws {WormholeError} INVALID_ARGUMENT when the entry was never held.
 */
export function releaseHeld(
  queue: NativeQueue,
  entry: { readonly receive: number; readonly entry: number },
): Promise<ReleaseResult> {
  return queue.call("receive.release", entry);
}

/**
 * Gives the stamps of files, 40 bytes each; zeros where there is no regular file or it cannot be looked at. Symlinks are
 * not followed at the end of a path. At most {@linkcode MAX_STAMPS}.
 */
export async function fileStamps(
  queue: NativeQueue,
  paths: readonly Uint8Array[],
  options: CallOptions = {},
): Promise<Uint8Array> {
  return (await fileLooks(queue, paths, options)).stamps;
}

/** As {@linkcode fileStamps}; `modes`: permissions, u16 each, 0 where there is no file. */
export async function fileLooks(
  queue: NativeQueue,
  paths: readonly Uint8Array[],
  options: CallOptions = {},
): Promise<{ stamps: Uint8Array; modes: Uint8Array }> {
  return await queue.call<{ stamps: Uint8Array; modes: Uint8Array }>("files.stamps", { paths }, options);
}
