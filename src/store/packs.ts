/**
 * The store: chunks that this machine keeps although no file of the person need hold them, in packs. A pack stands in
 * the index like any file, so that whoever looks for a chunk finds it there too; here packs are made, bounded and
 * dropped. Dropping one is always safe: whoever uses a place compares stamp and bytes. Format: docs/design/packs.md.
 */
import { isWormholeError } from "../base/errors.ts";
import { decodeName, encodeName } from "../base/names.ts";
import { join } from "../base/paths.ts";
import { diskSpace } from "../native/files.ts";
import {
  MAX_PACK_BYTES,
  MAX_PACK_CHUNKS,
  MAX_PACKED_CHUNK_BYTES,
  type NativePack,
  type PackPiece,
  readPack,
  removeOrphanPacks,
  writePack,
} from "../native/pack.ts";
import type { NativeQueue } from "../native/queue.ts";
import { chunkCount, chunkOffsets } from "./chunk_list.ts";
import type { FileIndex, KnownFile } from "./file_index.ts";
import { idAt, isKnown } from "./index_rows.ts";
import { placeOnDisk } from "./place_on_disk.ts";

/** What {@linkcode Packs} works with. */
export interface PacksOptions {
  /** Folder of the packs; made when there is something to keep. */
  readonly directory: string;
  readonly index: FileIndex;
  readonly queue: NativeQueue;
  /** Most bytes of all packs (`store_quota`). */
  readonly quota: number;
  readonly signal?: AbortSignal;
}

/** A pack on the disk. */
export interface PackFile {
  readonly path: string;
  readonly bytes: number;
  /** When it was last of use, ms since 1970. */
  readonly usedMs: number;
}

/** What {@linkcode Packs.keep} did. */
export interface Kept {
  readonly chunks: number;
  readonly bytes: number;
  /** Why it kept no more. */
  readonly stopped?: "quota" | "space";
}

/** This share of the disk stays free, but no more than {@linkcode MAX_RESERVE_BYTES}. */
const RESERVE_SHARE = 0.05;

/** 10 GiB: on a large disk 5% would be more than anybody misses. */
const MAX_RESERVE_BYTES = 10 * 2 ** 30;

/** A pack that was found damaged is renamed so. */
export const DAMAGED_SUFFIX = ".damaged";

const PACK_NAME = /^[0-9a-f]{64}\.pack$/;

/** See the top of this file. */
export class Packs {
  readonly #options: PacksOptions;

  constructor(options: PacksOptions) {
    this.#options = options;
  }

  /** Gives the packs, the one longest out of use first. */
  async list(): Promise<PackFile[]> {
    const { directory, index } = this.#options;
    const packs: PackFile[] = [];
    for (const name of await namesIn(directory)) {
      if (!PACK_NAME.test(name)) continue;
      const path = join(directory, name);
      const info = await statOrNothing(path);
      if (!info?.isFile) continue;
      const known = index.atPath(encodeName(path))[0];
      const used = known && index.lastUse(known.stamp);
      packs.push({ path, bytes: info.size, usedMs: used ?? info.mtime?.getTime() ?? 0 });
    }
    return packs.sort((a, b) => a.usedMs - b.usedMs);
  }

  /**
   * Makes the index know every pack on the disk, after it was lost or has forgotten one; gives the paths of those that
   * cannot be read, with what is wrong.
   */
  async adopt(): Promise<{ path: string; error: Error }[]> {
    const { index, queue } = this.#options;
    const damaged: { path: string; error: Error }[] = [];
    const found: KnownFile[] = [];
    for (const { path } of await this.list()) {
      const known = index.atPath(encodeName(path))[0];
      if (known !== undefined && await placeOnDisk(known) === "there") continue;
      try {
        found.push(fileOfPack(path, await readPack(queue, path)));
      } catch (error) {
        if (!isWormholeError(error)) throw error;
        // Another process has dropped it meanwhile.
        if (error.code !== "NOT_FOUND") damaged.push({ path, error });
      }
    }
    if (found.length > 0) index.remember(found);
    return damaged;
  }

  /**
   * Keeps those chunks of `files` that no pack has, as far as quota and disk allow. A file that has changed meanwhile
   * is passed over.
   *
   * @throws {WormholeError} NO_SPACE and other codes of the disk.
   */
  async keep(files: Iterable<KnownFile>): Promise<Kept> {
    const { directory, queue } = this.#options;
    await Deno.mkdir(directory, { recursive: true, mode: 0o700 });
    await removeOrphanPacks(queue, directory);
    await this.adopt();
    const kept = { chunks: 0, bytes: 0 };
    for (const batch of batches(this.#missing(files))) {
      const stopped = await this.#makeRoom(batch.bytes, kept.bytes);
      if (stopped !== undefined) return { ...kept, stopped };
      const added = await this.#write(batch);
      kept.chunks += added.chunks;
      kept.bytes += added.bytes;
    }
    return kept;
  }

  /** Drops packs until they are within the quota and the disk's reserve is free; gives those dropped. */
  async shrink(): Promise<PackFile[]> {
    const { quota } = this.#options;
    const packs = await this.list();
    const total = packs.reduce((sum, { bytes }) => sum + bytes, 0);
    const excess = Math.max(total - quota, packs.length === 0 ? 0 : -await this.#spare());
    return await this.#drop(packs, excess);
  }

  /** Drops every pack. */
  async clear(): Promise<PackFile[]> {
    return await this.#drop(await this.list(), Infinity);
  }

  /** Drops what was set aside and what crashed programs left; gives how many files. */
  async sweep(): Promise<number> {
    const { directory, queue } = this.#options;
    let removed = await removeOrphanPacks(queue, directory);
    for (const name of await namesIn(directory)) {
      if (name.endsWith(DAMAGED_SUFFIX) && await removeFile(join(directory, name))) removed++;
    }
    return removed;
  }

  /** Takes a pack out of use. */
  async setAside(path: string): Promise<void> {
    this.#forget(path);
    await Deno.rename(path, path + DAMAGED_SUFFIX);
  }

  /** Gives the chunks of `files` that no pack has, each once. */
  *#missing(
    files: Iterable<KnownFile>,
  ): Generator<{ file: KnownFile; offset: number; length: number; id: Uint8Array }> {
    const { index } = this.#options;
    const seen = new Set<string>();
    for (const file of files) {
      if (this.#isPack(file)) continue;
      const { chunks } = file;
      const offsets = chunkOffsets(chunks);
      const packed = index.lookup(chunks.ids, { accept: (other) => this.#isPack(other) });
      for (let i = 0; i < chunkCount(chunks); i++) {
        const id = idAt(chunks, i);
        const length = offsets[i + 1]! - offsets[i]!;
        if (packed[i] !== undefined || !isKnown(id) || length > MAX_PACKED_CHUNK_BYTES) continue;
        const name = id.toHex();
        if (seen.has(name)) continue;
        seen.add(name);
        yield { file, offset: offsets[i]!, length, id };
      }
    }
  }

  #isPack({ path }: KnownFile): boolean {
    return decodeName(path).startsWith(`${this.#options.directory}/`);
  }

  async #write({ pieces, sources }: Batch): Promise<{ chunks: number; bytes: number }> {
    const { directory, index, queue, signal } = this.#options;
    const { written } = await writePack(queue, { directory, sources, pieces }, { ...signal && { signal } });
    if (written === undefined) return { chunks: 0, bytes: 0 };
    const file = fileOfPack(join(directory, written.name), written.pack);
    index.remember([file]);
    return { chunks: written.pack.sizes.length - 1, bytes: written.pack.size };
  }

  /** Drops what was of use longest ago so that `bytes` more fit; why not, when they cannot. */
  async #makeRoom(bytes: number, keptBytes: number): Promise<Kept["stopped"]> {
    const { quota } = this.#options;
    // What this very transfer brought does not push itself out.
    if (keptBytes + bytes > quota) return "quota";
    const packs = await this.list();
    const total = packs.reduce((sum, pack) => sum + pack.bytes, 0);
    await this.#drop(packs, total + bytes - quota);
    return await this.#spare() < bytes ? "space" : undefined;
  }

  /** Bytes that may be written before the reserve is touched; negative when it is. */
  async #spare(): Promise<number> {
    const { queue, directory } = this.#options;
    const { available, total } = await diskSpace(queue, directory);
    return available - Math.min(total * RESERVE_SHARE, MAX_RESERVE_BYTES);
  }

  /** Drops packs from the first on until `excess` bytes are gone. */
  async #drop(packs: readonly PackFile[], excess: number): Promise<PackFile[]> {
    const dropped: PackFile[] = [];
    for (const pack of packs) {
      if (excess <= 0) break;
      this.#forget(pack.path);
      if (await removeFile(pack.path)) dropped.push(pack);
      excess -= pack.bytes;
    }
    return dropped;
  }

  #forget(path: string): void {
    const { index } = this.#options;
    for (const { stamp } of index.atPath(encodeName(path))) index.forget(stamp);
  }
}

/** Chunks of one pack, and the files that they are in. */
interface Batch {
  readonly sources: KnownFile[];
  readonly pieces: PackPiece[];
  bytes: number;
}

/** Puts chunks together as long as they fit into one pack. */
function* batches(
  chunks: Iterable<{ file: KnownFile; offset: number; length: number; id: Uint8Array }>,
): Generator<Batch> {
  let batch: Batch = { sources: [], pieces: [], bytes: 0 };
  for (const { file, ...piece } of chunks) {
    if (batch.bytes + piece.length > MAX_PACK_BYTES || batch.pieces.length === MAX_PACK_CHUNKS) {
      yield batch;
      batch = { sources: [], pieces: [], bytes: 0 };
    }
    if (batch.sources.at(-1) !== file) batch.sources.push(file);
    batch.pieces.push({ ...piece, source: batch.sources.length - 1 });
    batch.bytes += piece.length;
  }
  if (batch.pieces.length > 0) yield batch;
}

/** A pack is hashed whenever it is used: nobody looks at it, so nobody would notice that the disk has changed it. */
function fileOfPack(path: string, { hashes, sizes, size, stamp }: NativePack): KnownFile {
  return {
    path: encodeName(path),
    stamp,
    settled: false,
    chunks: { chunking: "cdc", size, ids: hashes, sizes },
  };
}

async function namesIn(directory: string): Promise<string[]> {
  try {
    return (await Array.fromAsync(Deno.readDir(directory))).map(({ name }) => name).sort();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}

async function statOrNothing(path: string): Promise<Deno.FileInfo | undefined> {
  try {
    return await Deno.lstat(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** Removes a file; false when another process was faster. */
async function removeFile(path: string): Promise<boolean> {
  try {
    await Deno.remove(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
