/** What a person may ask of the store: how large it is, whether it is sound, to clean it up, to drop it. */
import { type ErrorCode, isWormholeError, WormholeError } from "../base/errors.ts";
import { decodeName } from "../base/names.ts";
import { join } from "../base/paths.ts";
import { hashChunks } from "../native/hash.ts";
import { checkPack } from "../native/pack.ts";
import { NativeQueue } from "../native/queue.ts";
import { FileIndex, INDEX_NAME, type IndexTotals, type KnownFile } from "./file_index.ts";
import { Packs } from "./packs.ts";
import { sameBytes } from "../base/bytes.ts";
import { placeOnDisk } from "./place_on_disk.ts";

/** Where the store is and how large it may become. */
export interface StorePlaces {
  /** Folder of the index. */
  readonly cacheDir: string;
  /** Folder above the packs. */
  readonly dataDir: string;
  /** Most chunks that are remembered (`dedup_index_size`). */
  readonly maxChunks: number;
  /** Most bytes of all packs (`store_quota`). */
  readonly quota: number;
  /** Told when a damaged index was replaced. */
  onWarning?(sentence: string): void;
  readonly signal?: AbortSignal;
  /** ms since 1970. */
  readonly now?: () => number;
}

/** What the store holds. */
export interface StoreStats extends IndexTotals {
  readonly packs: number;
  readonly packBytes: number;
  readonly quota: number;
  /** Path of the index and of the folder of the packs. */
  readonly indexPath: string;
  readonly directory: string;
}

/** What cleaning up did. */
export interface Cleaned {
  /** Files that the index does not know any more. */
  readonly files: number;
  readonly packs: number;
  /** Bytes of those packs. */
  readonly packBytes: number;
  /** Files that crashed programs left, or that were set aside as damaged. */
  readonly leftovers: number;
}

/** One thing that {@linkcode Store.verify} looked at. */
export type StoreFinding =
  | { readonly kind: "pack" | "file"; readonly path: string; readonly bytes: number }
  | {
    readonly kind: "pack" | "file" | "index";
    readonly path: string;
    readonly code: ErrorCode;
    readonly message: string;
  };

/** The open store; the index alone when no pack is looked at. */
export class Store implements AsyncDisposable {
  readonly index: FileIndex;
  readonly packs: Packs;
  readonly #places: StorePlaces;
  readonly #queue: NativeQueue;
  readonly #directory: string;

  private constructor(places: StorePlaces, { index, queue }: { index: FileIndex; queue: NativeQueue }) {
    const { dataDir, quota, signal } = places;
    this.#places = places;
    this.#queue = queue;
    this.index = index;
    this.#directory = join(dataDir, "store", "packs");
    this.packs = new Packs({ directory: this.#directory, index, queue, quota, ...signal && { signal } });
  }

  /**
   * Opens the store, which is made at first use.
   *
   * @throws {WormholeError} what {@linkcode FileIndex.open} throws.
   */
  static async open(places: StorePlaces): Promise<Store> {
    const { cacheDir, maxChunks, onWarning, now } = places;
    await Deno.mkdir(cacheDir, { recursive: true, mode: 0o700 });
    const index = FileIndex.open(join(cacheDir, INDEX_NAME), {
      maxChunks,
      ...now && { now },
      ...onWarning && { onReplaced: (sentence: string) => onWarning.call(places, sentence) },
    });
    return new Store(places, { index, queue: NativeQueue.open() });
  }

  async stats(): Promise<StoreStats> {
    const packs = await this.packs.list();
    return {
      ...this.index.totals(),
      packs: packs.length,
      packBytes: packs.reduce((sum, { bytes }) => sum + bytes, 0),
      quota: this.#places.quota,
      indexPath: join(this.#places.cacheDir, INDEX_NAME),
      directory: this.#directory,
    };
  }

  /**
   * Checks the index, every chunk of every pack, and with `files` also whether the files whose stamps still hold have
   * the content that the index says. A damaged pack is set aside, a file of which the index was wrong is forgotten.
   */
  async *verify({ files = false }: { files?: boolean } = {}): AsyncGenerator<StoreFinding> {
    for (const problem of this.index.check()) {
      const path = join(this.#places.cacheDir, INDEX_NAME);
      const message = `Cannot rely on the index of known content "${path}": ${problem}`;
      yield { kind: "index", path, code: "CORRUPT", message };
    }
    for (const { path } of await this.packs.list()) yield* this.#verifyPack(path);
    await this.packs.adopt();
    if (!files) return;
    for (const file of this.index.all()) {
      const finding = await this.#verifyFile(file);
      if (finding !== undefined) yield finding;
    }
  }

  /** Forgets places whose files are gone or changed, drops packs beyond the quota and leftovers, and makes files small. */
  async clean(): Promise<Cleaned> {
    let files = 0;
    const leftovers = await this.packs.sweep();
    for (const file of this.index.all()) {
      this.#places.signal?.throwIfAborted();
      if (await placeOnDisk(file) !== "gone") continue;
      this.index.forget(file.stamp);
      files++;
    }
    await this.packs.adopt();
    const dropped = await this.packs.shrink();
    this.index.compact();
    return { files, packs: dropped.length, packBytes: bytesOf(dropped), leftovers };
  }

  /** Drops everything. */
  async clear(): Promise<Cleaned> {
    const { files } = this.index.totals();
    const dropped = await this.packs.clear();
    const leftovers = await this.packs.sweep();
    this.index.clear();
    return { files, packs: dropped.length, packBytes: bytesOf(dropped), leftovers };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.index[Symbol.dispose]();
    await this.#queue.close();
  }

  async *#verifyPack(path: string): AsyncGenerator<StoreFinding> {
    const { signal } = this.#places;
    try {
      const { chunks, bytes, damaged } = await checkPack(this.#queue, path, { ...signal && { signal } });
      if (damaged === 0) return void (yield { kind: "pack", path, bytes });
      throw new WormholeError(
        "CORRUPT",
        `Cannot use "${path}": ${damaged} of its ${chunks} chunks are damaged`,
      );
    } catch (error) {
      if (!isWormholeError(error) || signal?.aborted) throw error;
      if (error.code === "NOT_FOUND") return;
      if (DAMAGED.includes(error.code)) {
        await this.packs.setAside(path);
        yield { kind: "pack", path, code: error.code, message: `${error.message}; it is set aside` };
      } else yield { kind: "pack", path, code: error.code, message: error.message };
    }
  }

  /** Hashes a file again; nothing to say of one that has changed since, or that cannot be read. */
  async #verifyFile({ path, stamp, chunks }: KnownFile): Promise<StoreFinding | undefined> {
    const name = decodeName(path);
    if (name.startsWith(`${this.#directory}/`)) return undefined;
    const { signal } = this.#places;
    const options = { chunkBytes: chunks.chunking, ...signal && { signal } };
    try {
      const hashed = await hashChunks(this.#queue, path, options);
      if (!sameBytes(hashed.stamp, stamp)) return undefined;
      if (sameBytes(withZerosOf(chunks.ids, hashed.hashes), chunks.ids)) {
        return { kind: "file", path: name, bytes: hashed.size };
      }
    } catch (error) {
      if (!isWormholeError(error) || signal?.aborted) throw error;
      return undefined;
    }
    this.index.forget(stamp);
    const message =
      `Cannot rely on "${name}": its content changed although its size and times did not; it is forgotten`;
    return { kind: "file", path: name, code: "CORRUPT", message };
  }
}

/** What is wrong with the pack itself, rather than with the disk or the permissions. */
const DAMAGED: readonly ErrorCode[] = ["CORRUPT", "LIMIT_EXCEEDED"];

/** A list that is known by half has zeros where nothing is known. */
function withZerosOf(known: Uint8Array, hashes: Uint8Array<ArrayBuffer>): Uint8Array {
  if (known.length !== hashes.length) return hashes;
  for (let at = 0; at < known.length; at += 32) {
    if (known.subarray(at, at + 32).every((byte) => byte === 0)) hashes.fill(0, at, at + 32);
  }
  return hashes;
}

function bytesOf(packs: readonly { bytes: number }[]): number {
  return packs.reduce((sum, { bytes }) => sum + bytes, 0);
}
