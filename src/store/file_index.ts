/**
 * Which chunks lie where on this machine, and the chunk lists of files hashed before: one SQLite file that can be
 * made again, bounded in entries, oldest use first out.
 *
 * A row of `chunks` is (48 bits of the chunk's id, file, ordinal); the whole id is in the file's list, so an equal
 * prefix of another chunk costs a look and no mistake. A row of `files` has a sum of its own, since one flipped bit of it
 * would make wrong bytes of right ones; one that does not fit is forgotten.
 */
import { sameBytes } from "../base/bytes.ts";
import { isWormholeError } from "../base/errors.ts";
import { join } from "../base/paths.ts";
import {
  CHUNK_ID_BYTES,
  chunkCount,
  type Chunking,
  type ChunkList,
  chunkOffsets,
  isWhole,
} from "./chunk_list.ts";
import { type ChunkPlace, type Found, holds, type OpenedFile, placeOf } from "./chunk_place.ts";
import { Database } from "./database.ts";
import { IDENTITY_BYTES, sizeOf } from "./file_stamp.ts";
import {
  AddedChunks,
  chunkingNumber,
  fileOf,
  type FileRow,
  fileSum,
  type FileVersion,
  idAt,
  isKnown,
  type KnownFile,
  MIGRATIONS,
  prefixOf,
  versionSum,
} from "./index_rows.ts";

export type { ChunkPlace, FileVersion, KnownFile };

/** Options of {@linkcode FileIndex.open}. */
export interface FileIndexOptions {
  /** Most chunks that are remembered (DEDUP_INDEX_SIZE). */
  readonly maxChunks: number;
  /** Told when a damaged index was replaced. */
  onReplaced?(message: string): void;
  /** ms since 1970. */
  readonly now?: () => number;
}

/** What an index holds. */
export interface IndexTotals {
  readonly files: number;
  readonly chunks: number;
  /** Bytes of the files that it knows. */
  readonly fileBytes: number;
  /** Bytes of its own on the disk. */
  readonly bytes: number;
  /** Bytes of all transfers so far that were placed from what was here. */
  readonly savedBytes: number;
}

/** Beyond the limit this share of the chunks is forgotten at once, and as many are added before it is looked at again. */
const EVICT_SHARE = 0.1;

/** Uses that a crash may forget: they only say what is evicted last. */
const MAX_UNWRITTEN_USES = 1000;

/** Memory for pages of the index, in KiB: a batch of chunks goes to pages all over it (bench/chunk_index.ts). */
const CACHE_KIB = 32 * 1024;

/** Rows looked at for one id: more chunks with equal 48 bits are copies of one, or somebody's attempt to slow us down. */
const MAX_CANDIDATES = 8;

/** Versions kept for one file: whoever sent the same content, the last ones. */
const MAX_VERSIONS = 8;

/** See the top of this file. */
export class FileIndex implements Disposable {
  readonly #database: Database;
  readonly #maxChunks: number;
  readonly #now: () => number;
  /** When which row was of use, ms since 1970, as long as it is not written down. */
  readonly #uses = new Map<number, number>();
  /** Chunks that may be added before the limit is looked at; 0 at first, since other processes add too. */
  #headroom = 0;

  private constructor(database: Database, { maxChunks, now = Date.now }: FileIndexOptions) {
    this.#database = database;
    this.#maxChunks = maxChunks;
    this.#now = now;
  }

  /**
   * Opens or makes the index at `path` (":memory:" for one that is gone afterwards).
   *
   * @throws {WormholeError} VERSION_UNSUPPORTED when a newer program made it; what the disk says.
   */
  static open(path: string, options: FileIndexOptions): FileIndex {
    const database = Database.open(path, {
      what: "the index of known content",
      migrations: MIGRATIONS,
      expendable: true,
      cacheKib: CACHE_KIB,
      ...options.onReplaced && { onReplaced: options.onReplaced },
    });
    return new FileIndex(database, options);
  }

  /** Gives the chunk list of the file with exactly `stamp`, if it is known beyond doubt. */
  find(stamp: Uint8Array<ArrayBuffer>, chunking: Chunking): ChunkList | undefined {
    const row = this.#database.get<FileRow>(
      "SELECT * FROM files WHERE identity = ? AND chunking = ?",
      stamp.slice(0, IDENTITY_BYTES),
      chunkingNumber(chunking),
    );
    if (row === undefined || !sameBytes(row.stamp, stamp)) return undefined;
    const file = fileOf(row);
    if (file === undefined) return void this.#forget(row);
    // A damaged index may lead to another file's row.
    if (!file.settled || file.chunks.chunking !== chunking) return undefined;
    this.#used([row.id]);
    return file.chunks;
  }

  /** Gives the file that was remembered as this version of `size` bytes; it may have changed since. */
  ofVersion({ peer, version }: FileVersion, size: number): KnownFile | undefined {
    const row = this.#database.get<FileRow & { version_id: number; version_sum: number }>(
      "SELECT files.*, versions.id AS version_id, versions.sum AS version_sum FROM versions " +
        "JOIN files ON files.id = versions.file WHERE peer = ? AND version = ? AND versions.size = ?",
      peer,
      version,
      size,
    );
    if (row === undefined) return undefined;
    const file = fileOf(row);
    if (file === undefined) return void this.#forget(row);
    if (row.version_sum !== versionSum({ peer, version, file })) {
      return void this.#database.run("DELETE FROM versions WHERE id = ?", row.version_id);
    }
    this.#used([row.id]);
    return file;
  }

  /** Tells whether a file of `size` bytes is known. */
  hasSize(size: number): boolean {
    return this.#database.get("SELECT 1 FROM files WHERE size = ? LIMIT 1", size) !== undefined;
  }

  /** Gives the files last seen at `path`, one for each way of cutting. */
  atPath(path: Uint8Array<ArrayBuffer>): KnownFile[] {
    return this.#files("SELECT * FROM files WHERE path = ?", path).filter((file) =>
      sameBytes(file.path, path)
    );
  }

  /** Gives whole files of `size` bytes, the one used last first. */
  ofSize(size: number, { limit }: { limit: number }): KnownFile[] {
    return this.#files("SELECT * FROM files WHERE size = ? ORDER BY used_ms DESC LIMIT ?", size, limit)
      .filter(({ chunks }) => chunks.size === size);
  }

  /**
   * Gives a place for each chunk id in `ids` (32 bytes each), undefined where none is known. Places come from the
   * index alone: the files may have changed since, which their stamps show. With `accept` only in files that it takes.
   */
  lookup(ids: Uint8Array, { accept = () => true }: LookupOptions = {}): (ChunkPlace | undefined)[] {
    const opened = new Map<number, OpenedFile | undefined>();
    const places: (ChunkPlace | undefined)[] = [];
    let last: Found | undefined;
    for (let at = 0; at + CHUNK_ID_BYTES <= ids.length; at += CHUNK_ID_BYTES) {
      const id = ids.subarray(at, at + CHUNK_ID_BYTES);
      // Most files are found whole, so the next chunk is where the last one ended.
      const next = last && { file: last.file, ordinal: last.ordinal + 1 };
      if (!isKnown(id)) last = undefined;
      else last = next && holds(next, id) ? next : this.#search(id, { opened, accept });
      places.push(last && placeOf(last));
    }
    this.#used([...opened].filter(([, file]) => file !== undefined).map(([id]) => id));
    return places;
  }

  /**
   * Remembers files, in one transaction; what was known of the same inodes, and of other ones at those paths, is
   * replaced. Lists that are not whole are passed over.
   */
  remember(files: Iterable<KnownFile>): void {
    const whole = [...files].filter(({ chunks, stamp }) => isWhole(chunks) && sizeOf(stamp) === chunks.size);
    this.#writeUses();
    this.#database.transaction(() => {
      // In the order of the prefixes, so that a batch touches each page of the table once.
      const added = new AddedChunks();
      for (const file of whole) this.#put(file, added);
      this.#insert(added);
      if (this.#headroom <= 0) this.#evict();
    });
  }

  /** Forgets the file with `stamp`, such as one that turned out to have other bytes. */
  forget(stamp: Uint8Array<ArrayBuffer>): void {
    const rows = this.#database.all<FileRow>(
      "SELECT * FROM files WHERE identity = ?",
      stamp.slice(0, IDENTITY_BYTES),
    );
    this.#database.transaction(() => rows.forEach((row) => this.#forget(row)));
  }

  /** Forgets everything. */
  clear(): void {
    this.#database.transaction(() => {
      for (const table of ["versions", "chunks", "files"]) this.#database.run(`DELETE FROM ${table}`);
    });
    this.#headroom = 0;
    this.compact();
  }

  /** Gives unused room back to the file system. */
  compact(): void {
    this.#database.compact();
  }

  /** Gives every known file, in the order in which they became known; only those after a {@linkcode FileIndex.mark}. */
  *all({ after = 0 }: { after?: number } = {}): Generator<KnownFile> {
    while (true) {
      const rows = this.#database.all<FileRow>(
        "SELECT * FROM files WHERE id > ? ORDER BY id LIMIT 100",
        after,
      );
      if (rows.length === 0) return;
      for (const row of rows) {
        // A damaged index may go round in circles.
        if (row.id <= after) return;
        after = row.id;
        const file = fileOf(row);
        if (file !== undefined) yield file;
      }
    }
  }

  /** Gives a mark for {@linkcode FileIndex.all}: what becomes known from now on is after it. */
  mark(): number {
    return this.#database.get<{ last: number | null }>("SELECT max(id) AS last FROM files")?.last ?? 0;
  }

  /** Gives when the file with `stamp` was last of use, ms since 1970. */
  lastUse(stamp: Uint8Array<ArrayBuffer>): number | undefined {
    this.#writeUses();
    return this.#database.get<{ used_ms: number }>(
      "SELECT used_ms FROM files WHERE identity = ? ORDER BY used_ms DESC",
      stamp.slice(0, IDENTITY_BYTES),
    )?.used_ms;
  }

  /** Adds bytes that did not have to be sent to {@linkcode IndexTotals.savedBytes}. */
  countSaved(bytes: number): void {
    this.#database.run(
      "INSERT INTO counters VALUES ('saved', ?) ON CONFLICT (name) DO UPDATE SET value = value + excluded.value",
      Math.floor(bytes),
    );
  }

  totals(): IndexTotals {
    const row = this.#database.get<{ files: number; chunks: number; size: number }>(
      "SELECT count(*) AS files, coalesce(sum(chunk_count), 0) AS chunks, coalesce(sum(size), 0) AS size FROM files",
    )!;
    const saved = this.#database.get<{ value: number }>("SELECT value FROM counters WHERE name = 'saved'");
    return {
      files: row.files,
      chunks: row.chunks,
      fileBytes: row.size,
      bytes: this.#database.bytes,
      savedBytes: saved?.value ?? 0,
    };
  }

  /** Gives what is wrong with the index itself; nothing when all is well. */
  check(): string[] {
    return this.#database.check();
  }

  [Symbol.dispose](): void {
    try {
      this.#writeUses();
    } finally {
      this.#database[Symbol.dispose]();
    }
  }

  #search(id: Uint8Array, { opened, accept }: Search): Found | undefined {
    const rows = this.#database.all<{ file: number; ordinal: number }>(
      "SELECT file, ordinal FROM chunks WHERE prefix = ? LIMIT ?",
      prefixOf(id),
      MAX_CANDIDATES,
    );
    for (const { file: fileId, ordinal } of rows) {
      // A damaged row may have anything there.
      if (!Number.isInteger(fileId) || !Number.isInteger(ordinal) || ordinal < 0) continue;
      if (!opened.has(fileId)) opened.set(fileId, this.#open(fileId));
      const file = opened.get(fileId);
      const found = file && accept(file) ? { file, ordinal } : undefined;
      if (found !== undefined && holds(found, id)) return found;
    }
    return undefined;
  }

  #open(id: number): OpenedFile | undefined {
    const row = this.#database.get<FileRow>("SELECT * FROM files WHERE id = ?", id);
    const known = row && fileOf(row);
    return known && { ...known, offsets: chunkOffsets(known.chunks) };
  }

  #put(file: KnownFile, added: AddedChunks): void {
    const { path, stamp, settled, chunks, version } = file;
    const identity = stamp.slice(0, IDENTITY_BYTES);
    const chunking = chunkingNumber(chunks.chunking);
    for (const other of this.#database.all<FileRow>("SELECT * FROM files WHERE path = ?", path)) {
      if (fileOf(other) === undefined || !sameBytes(other.stamp.subarray(0, IDENTITY_BYTES), identity)) {
        this.#forgetInBatch(other, added);
      }
    }
    const old = this.#database.get<FileRow>(
      "SELECT * FROM files WHERE identity = ? AND chunking = ?",
      identity,
      chunking,
    );
    const sizes = chunks.sizes === undefined ? null : new Uint8Array(chunks.sizes.slice().buffer);
    const sum = fileSum({
      chunking,
      path,
      stamp,
      size: chunks.size,
      settled: settled ? 1 : 0,
      ids: chunks.ids,
      sizes,
    });
    const isSame = old !== undefined && fileOf(old) !== undefined && old.size === chunks.size &&
      sameBytes(old.ids, chunks.ids) && (old.sizes === null || sameBytes(old.sizes, sizes!));
    if (old !== undefined && !isSame) this.#forgetInBatch(old, added);
    const id = isSame ? old.id : this.#add(file, { identity, chunking, sizes, added });
    this.#database.run(
      "UPDATE files SET path = ?, stamp = ?, settled = ?, used_ms = ?, sum = ? WHERE id = ?",
      path,
      stamp,
      settled ? 1 : 0,
      this.#now(),
      sum,
      id,
    );
    if (version !== undefined) this.#name(id, { ...version, file });
  }

  #add(
    { path, stamp, chunks }: KnownFile,
    { identity, chunking, sizes, added }: {
      identity: Uint8Array<ArrayBuffer>;
      chunking: number;
      sizes: Uint8Array<ArrayBuffer> | null;
      added: AddedChunks;
    },
  ): number {
    const count = chunkCount(chunks);
    const { rowId } = this.#database.run(
      "INSERT INTO files (identity, chunking, path, stamp, size, used_ms, chunk_count, ids, sizes) " +
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
      identity,
      chunking,
      path,
      stamp,
      chunks.size,
      this.#now(),
      count,
      chunks.ids,
      sizes,
    );
    this.#headroom -= count;
    added.add(rowId, chunks.ids);
    return rowId;
  }

  #insert(added: AddedChunks): void {
    for (const { prefix, file, ordinal } of added.take()) {
      // A row of a file that was damaged may have stayed.
      this.#database.run("INSERT OR IGNORE INTO chunks VALUES (?, ?, ?)", prefix, file, ordinal);
    }
  }

  /** Forgets a file that may be one of the batch at hand. */
  #forgetInBatch(row: FileRow, added: AddedChunks): void {
    this.#insert(added);
    this.#forget(row);
  }

  /** Notes that the file is what `peer` calls `version`. */
  #name(id: number, { peer, version, file }: FileVersion & { file: KnownFile }): void {
    this.#database.run(
      "INSERT OR REPLACE INTO versions (peer, version, size, file, sum) VALUES (?, ?, ?, ?, ?)",
      peer,
      version,
      file.chunks.size,
      id,
      versionSum({ peer, version, file }),
    );
    this.#database.run(
      "DELETE FROM versions WHERE file = ? AND id NOT IN " +
        "(SELECT id FROM versions WHERE file = ? ORDER BY id DESC LIMIT ?)",
      id,
      id,
      MAX_VERSIONS,
    );
  }

  #forget(row: FileRow): void {
    this.#database.transaction(() => {
      // A damaged row may have anything there; what stays in the table of chunks leads nowhere.
      const count = row.ids instanceof Uint8Array ? Math.floor(chunkCount(row)) : 0;
      for (let ordinal = 0; ordinal < count; ordinal++) {
        this.#database.run(
          "DELETE FROM chunks WHERE prefix = ? AND file = ? AND ordinal = ?",
          prefixOf(idAt(row, ordinal)),
          row.id,
          ordinal,
        );
      }
      this.#database.run("DELETE FROM versions WHERE file = ?", row.id);
      this.#database.run("DELETE FROM files WHERE id = ?", row.id);
    });
  }

  /** Forgets the files used longest ago until there is room again. */
  #evict(): void {
    let { chunks } = this.totals();
    const goal = chunks > this.#maxChunks ? this.#maxChunks * (1 - EVICT_SHARE) : Infinity;
    while (chunks > goal) {
      const rows = this.#database.all<FileRow>("SELECT * FROM files ORDER BY used_ms, id LIMIT 64");
      if (rows.length === 0) break;
      for (const row of rows) {
        if (chunks <= goal) break;
        this.#forget(row);
        chunks -= Math.max(1, row.chunk_count);
      }
    }
    this.#headroom = Math.min(this.#maxChunks - chunks, this.#maxChunks * EVICT_SHARE);
  }

  /** Notes that files were of use; it is written down now and then, so that a question needs no lock. */
  #used(ids: readonly number[]): void {
    for (const id of ids) this.#uses.set(id, this.#now());
    if (this.#uses.size >= MAX_UNWRITTEN_USES) this.#writeUses();
  }

  /** An index that cannot be written to, or not now, loses no more than that. */
  #writeUses(): void {
    if (this.#uses.size === 0) return;
    const uses = [...this.#uses];
    this.#uses.clear();
    try {
      this.#database.attempt(() => {
        for (const [id, ms] of uses) this.#database.run("UPDATE files SET used_ms = ? WHERE id = ?", ms, id);
      });
    } catch (error) {
      if (!isWormholeError(error)) throw error;
    }
  }

  #files(sql: string, ...values: (number | Uint8Array<ArrayBuffer>)[]): KnownFile[] {
    return this.#database.all<FileRow>(sql, ...values).map(fileOf).filter((file) => file !== undefined);
  }
}

/** Options of {@linkcode FileIndex.lookup}. */
export interface LookupOptions {
  /** Whether a place in this file will do. */
  accept?(file: KnownFile): boolean;
}

interface Search {
  readonly opened: Map<number, OpenedFile | undefined>;
  accept(file: KnownFile): boolean;
}

/** File of the index in the cache folder. */
export const INDEX_NAME = "index.db";

/** Opens the index of `cacheDir`; one in memory where that fails, since it only saves work. */
export async function openIndex(
  cacheDir: string,
  { maxChunks, onWarning }: { maxChunks: number; onWarning?: (sentence: string) => void },
): Promise<FileIndex> {
  try {
    await Deno.mkdir(cacheDir, { recursive: true, mode: 0o700 });
    return FileIndex.open(join(cacheDir, INDEX_NAME), { maxChunks });
  } catch (error) {
    if (isWormholeError(error)) onWarning?.(error.message);
    return FileIndex.open(":memory:", { maxChunks });
  }
}
