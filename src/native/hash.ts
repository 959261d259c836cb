import { encodeName } from "../base/names.ts";
import { type ErrorCode, errorCode, WormholeError } from "../base/errors.ts";
import { checked } from "./failure.ts";
import { loadLibrary } from "./library.ts";
import type { CallOptions, NativeQueue } from "./queue.ts";

/** Length of a BLAKE3-256 hash. */
export const HASH_BYTES = 32;

/** Gives the BLAKE3-256 of `bytes`; for short buffers, since it runs on this thread. */
export function hashBuffer(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const hash = new Uint8Array(HASH_BYTES);
  const input = bytes as Uint8Array<ArrayBuffer>;
  checked((error) => loadLibrary().symbols.wh_hash_buffer(input, BigInt(input.length), hash, error));
  return hash;
}

/** The BLAKE3-256 of bytes that come in parts. */
export class Hasher implements Disposable {
  #handle: number | undefined;

  constructor() {
    this.#handle = checked((error) => loadLibrary().symbols.wh_hash_open(error));
  }

  /**
   * Adds bytes.
   *
   * @throws {WormholeError} CLOSED after {@linkcode Hasher.finish}.
   */
  update(bytes: Uint8Array): this {
    const handle = this.#open();
    const input = bytes as Uint8Array<ArrayBuffer>;
    checked((error) => loadLibrary().symbols.wh_hash_update(handle, input, BigInt(input.length), error));
    return this;
  }

  /**
   * Gives the hash of everything added and closes the hasher.
   *
   * @throws {WormholeError} CLOSED when it was finished before.
   */
  finish(): Uint8Array<ArrayBuffer> {
    const handle = this.#open();
    this.#handle = undefined;
    const hash = new Uint8Array(HASH_BYTES);
    checked((error) => loadLibrary().symbols.wh_hash_finish(handle, hash, error));
    return hash;
  }

  [Symbol.dispose](): void {
    if (this.#handle !== undefined) loadLibrary().symbols.wh_hash_close(this.#handle);
    this.#handle = undefined;
  }

  #open(): number {
    if (this.#handle === undefined) throw new WormholeError("CLOSED", "the hasher is finished");
    return this.#handle;
  }
}

/** Options of {@linkcode hashFile}. */
export interface HashFileOptions extends CallOptions {
  /** Where to begin; 0 by default. */
  offset?: number;
  /** How many bytes; up to the end by default. */
  length?: number;
}

/**
 * Gives the BLAKE3-256 of a range of a file and how many bytes that was (less when the file ends before).
 *
 * @throws {WormholeError} NOT_FOUND, PERMISSION_DENIED or IO when it cannot be read.
 */
export async function hashFile(
  queue: NativeQueue,
  path: string,
  { offset = 0, length, signal }: HashFileOptions = {},
): Promise<{ hash: Uint8Array; bytes: number }> {
  const { hash, bytes } = await queue.call<{ hash: Uint8Array; bytes: number | bigint }>(
    "hash.file",
    { path: encodeName(path), offset, length },
    { signal },
  );
  return { hash, bytes: Number(bytes) };
}

/** The chunks of one file, as {@linkcode hashChunks} found them. */
export interface HashedFile {
  /** 32 bytes for each chunk, concatenated. */
  readonly hashes: Uint8Array<ArrayBuffer>;
  /** Bytes of each chunk when it was cut by content. */
  readonly sizes?: Uint32Array<ArrayBuffer>;
  /** Bytes of the file. */
  readonly size: number;
  /** 40 bytes: which file it was and in what state (`src/store/file_stamp.ts`). */
  readonly stamp: Uint8Array<ArrayBuffer>;
}

/**
 * Hashes a file in chunks of `chunkBytes`, the last of which may be shorter, or in chunks that its content defines
 * (`"cdc"`; spec/chunks.md §2).
 *
 * @throws {WormholeError} NOT_FOUND, PERMISSION_DENIED or IO when it cannot be read; UNSUPPORTED when it is no regular
 * file; SOURCE_CHANGED when it changed meanwhile.
 */
export async function hashChunks(
  queue: NativeQueue,
  path: string | Uint8Array,
  { chunkBytes, signal }: CallOptions & { chunkBytes: number | "cdc" },
): Promise<HashedFile> {
  const { hashes, sizes, size, stamp } = await queue.call<ChunksResult>(
    "hash.chunks",
    {
      path: typeof path === "string" ? encodeName(path) : path,
      chunk_bytes: chunkBytes === "cdc" ? 0 : chunkBytes,
    },
    { signal },
  );
  return {
    hashes: hashes.slice(),
    ...chunkBytes === "cdc" && { sizes: new Uint32Array(sizes.slice().buffer) },
    size: Number(size),
    stamp: stamp.slice(),
  };
}

interface ChunksResult {
  hashes: Uint8Array;
  sizes: Uint8Array;
  size: number | bigint;
  stamp: Uint8Array;
}

/** The checksum of one file, or why there is none. */
export type FileSum =
  | { /** 64 hex digits. */ readonly hash: string; readonly bytes: number }
  | { readonly code: ErrorCode; readonly message: string };

/** Most files of one {@linkcode hashFiles}. */
export const MAX_HASHED = 4096;

/** Gives the BLAKE3-256 of each of `paths`, in their order; several are read at once. At most {@linkcode MAX_HASHED}. */
export async function hashFiles(
  queue: NativeQueue,
  paths: readonly string[],
  { signal }: CallOptions = {},
): Promise<FileSum[]> {
  const { hashes, sizes, failed } = await queue.call<{
    hashes: Uint8Array;
    sizes: Uint8Array;
    failed: { index: number; kind: number; text: string }[];
  }>("hash.files", { paths: paths.map(encodeName) }, { signal });
  const view = new DataView(sizes.buffer, sizes.byteOffset, sizes.length);
  const sums: FileSum[] = paths.map((_, i) => ({
    hash: hashes.subarray(HASH_BYTES * i, HASH_BYTES * (i + 1)).toHex(),
    bytes: Number(view.getBigUint64(8 * i, true)),
  }));
  for (const { index, kind, text } of failed) sums[index] = { code: errorCode(kind), message: text };
  return sums;
}
