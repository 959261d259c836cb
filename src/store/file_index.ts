/**
 * Which chunks lie where on this machine, and the chunk lists of files hashed before: one SQLite file that can be
 * made again, bounded in entries, oldest use first out.
 *
 * A row of `chunks` is (48 bits of the chunk's id, file, ordinal); the whole id is in the file's list, so an equal
 * prefix of another chunk costs a look and no mistake. A row of `files` has a sum of its own, since one flipped bit of it
 * would make wrong bytes of right ones; one that does not fit is forgotten.
 */
import { sameBytes } from "../base/bytes.ts";
import {
  CHUNK_ID_BYTES,
  chunkCount,
  type Chunking,
  type ChunkList,
  chunkOffsets,
  isWhole,
} from "./chunk_list.ts";
import { Database } from "./database.ts";
import { IDENTITY_BYTES, sizeOf, STAMP_BYTES } from "./file_stamp.ts";
import { rowSum } from "./row_sum.ts";

/** A file whose chunks are known. */
export interface KnownFile {
  /** Absolute path, bytes of the system. */
  readonly path: Uint8Array<ArrayBuffer>;
  /** Its {@linkcode FileStamp} when it had those chunks. */
  readonly stamp: Uint8Array<ArrayBuffer>;
  /**
   * The stamp alone is proof: `wasSettledWhenRead` or `isSettledWhenPlaced` says so. Otherwise it may have changed
   * without its stamp, and is hashed before it is used.
   */
  readonly settled: boolean;
  readonly chunks: ChunkList;
  /** Whose version of a file it is. */
  readonly version?: FileVersion;
}

/** What a sender calls a file in its present state; spec/manifest.md §4. */
export interface FileVersion {
  /** 32 bytes: the sender's machine key. */
  readonly peer: Uint8Array<ArrayBuffer>;
  /** 8 bytes, not all 0. */
  readonly version: Uint8Array<ArrayBuffer>;
}

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
}

/** Beyond the limit this share of the chunks is forgotten at once, and as many are added before it is looked at again. */
const EVICT_SHARE = 0.1;

/** Rows looked at for one id: more chunks with equal 48 bits are copies of one, or somebody's attempt to slow us down. */
const MAX_CANDIDATES = 8;

/** Versions kept for one file: whoever sent the same content, the last ones. */
const MAX_VERSIONS = 8;

const MIGRATIONS = [
  `
  CREATE TABLE files (
    id INTEGER PRIMARY KEY, identity BLOB NOT NULL, chunking INTEGER NOT NULL, path BLOB NOT NULL,
    stamp BLOB NOT NULL, size INTEGER NOT NULL, hashed_ms INTEGER NOT NULL, used_ms INTEGER NOT NULL,
    chunk_count INTEGER NOT NULL, ids BLOB NOT NULL, sizes BLOB
  ) STRICT;
  CREATE UNIQUE INDEX files_by_identity ON files (identity, chunking);
  CREATE INDEX files_by_path ON files (path);
  CREATE INDEX files_by_size ON files (size);
  CREATE INDEX files_by_use ON files (used_ms, chunk_count, size);
  CREATE TABLE chunks (
    prefix INTEGER NOT NULL, file INTEGER NOT NULL, ordinal INTEGER NOT NULL, PRIMARY KEY (prefix, file, ordinal)
  ) STRICT, WITHOUT ROWID;
`,
  // What was known before has no sums and no word of whether it is settled: it is found out again.
  `
  DELETE FROM chunks;
  DELETE FROM files;
  ALTER TABLE files DROP COLUMN hashed_ms;
  ALTER TABLE files ADD COLUMN settled INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE files ADD COLUMN sum INTEGER NOT NULL DEFAULT 0;
  CREATE TABLE versions (
    id INTEGER PRIMARY KEY, peer BLOB NOT NULL, version BLOB NOT NULL, size INTEGER NOT NULL, file INTEGER NOT NULL,
    sum INTEGER NOT NULL
  ) STRICT;
  CREATE UNIQUE INDEX versions_by_name ON versions (peer, version, size);
  CREATE INDEX versions_by_file ON versions (file);
`,
];

interface FileRow {
  id: number;
  chunking: number;
  path: Uint8Array<ArrayBuffer>;
  stamp: Uint8Array<ArrayBuffer>;
  size: number;
  settled: number;
  ids: Uint8Array<ArrayBuffer>;
  sizes: Uint8Array<ArrayBuffer> | null;
  sum: number;
}

/** See the top of this file. */
export class FileIndex implements Disposable {
  readonly #database: Database;
  readonly #maxChunks: number;
  readonly #now: () => number;
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
    if (!file.settled) return undefined;
    this.#used(row.id, this.#now());
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
    this.#used(row.id, this.#now());
    return file;
  }

  /** Tells whether a file of `size` bytes is known. */
  hasSize(size: number): boolean {
    return this.#database.get("SELECT 1 FROM files WHERE size = ? LIMIT 1", size) !== undefined;
  }

  /** Gives the files last seen at `path`, one for each way of cutting. */
  atPath(path: Uint8Array<ArrayBuffer>): KnownFile[] {
    return this.#files("SELECT * FROM files WHERE path = ?", path);
  }

  /** Gives whole files of `size` bytes, the one used last first. */
  ofSize(size: number, { limit }: { limit: number }): KnownFile[] {
    return this.#files("SELECT * FROM files WHERE size = ? ORDER BY used_ms DESC LIMIT ?", size, limit);
  }

  /**
   * Gives a place for each chunk id in `ids` (32 bytes each), undefined where none is known. Places come from the
   * index alone: the files may have changed since, which their stamps show.
   */
  lookup(ids: Uint8Array): (ChunkPlace | undefined)[] {
    const opened = new Map<number, OpenedFile | undefined>();
    const places: (ChunkPlace | undefined)[] = [];
    let last: Found | undefined;
    for (let at = 0; at + CHUNK_ID_BYTES <= ids.length; at += CHUNK_ID_BYTES) {
      const id = ids.subarray(at, at + CHUNK_ID_BYTES);
      // Most files are found whole, so the next chunk is where the last one ended.
      const next = last && { file: last.file, ordinal: last.ordinal + 1 };
      if (!isKnown(id)) last = undefined;
      else last = next && holds(next, id) ? next : this.#search(id, opened);
      places.push(last && placeOf(last));
    }
    const now = this.#now();
    this.#database.transaction(() => {
      for (const id of opened.keys()) this.#used(id, now);
    });
    return places;
  }

  /**
   * Remembers files, in one transaction; what was known of the same inodes, and of other ones at those paths, is
   * replaced. Lists that are not whole are passed over.
   */
  remember(files: Iterable<KnownFile>): void {
    this.#database.transaction(() => {
      for (const file of files) {
        if (isWhole(file.chunks) && sizeOf(file.stamp) === file.chunks.size) this.#put(file);
      }
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
    this.#database.compact();
  }

  /** Gives every known file, for a check against the disk; do not change the index meanwhile. */
  *all(): Generator<KnownFile> {
    let last = 0;
    while (true) {
      const rows = this.#database.all<FileRow>(
        "SELECT * FROM files WHERE id > ? ORDER BY id LIMIT 100",
        last,
      );
      if (rows.length === 0) return;
      for (const row of rows) {
        const file = fileOf(row);
        if (file !== undefined) yield file;
        last = row.id;
      }
    }
  }

  totals(): IndexTotals {
    const row = this.#database.get<{ files: number; chunks: number; size: number }>(
      "SELECT count(*) AS files, coalesce(sum(chunk_count), 0) AS chunks, coalesce(sum(size), 0) AS size FROM files",
    )!;
    return { files: row.files, chunks: row.chunks, fileBytes: row.size, bytes: this.#database.bytes };
  }

  /** Gives what is wrong with the index itself; nothing when all is well. */
  check(): string[] {
    return this.#database.check();
  }

  [Symbol.dispose](): void {
    this.#database[Symbol.dispose]();
  }

  #search(id: Uint8Array, opened: Map<number, OpenedFile | undefined>): Found | undefined {
    const rows = this.#database.all<{ file: number; ordinal: number }>(
      "SELECT file, ordinal FROM chunks WHERE prefix = ? LIMIT ?",
      prefixOf(id),
      MAX_CANDIDATES,
    );
    for (const { file: fileId, ordinal } of rows) {
      if (!opened.has(fileId)) opened.set(fileId, this.#open(fileId));
      const file = opened.get(fileId);
      const found = file && { file, ordinal };
      if (found !== undefined && holds(found, id)) return found;
    }
    return undefined;
  }

  #open(id: number): OpenedFile | undefined {
    const row = this.#database.get<FileRow>("SELECT * FROM files WHERE id = ?", id);
    const known = row && fileOf(row);
    return known && { ...known, offsets: chunkOffsets(known.chunks) };
  }

  #put(file: KnownFile): void {
    const { path, stamp, settled, chunks, version } = file;
    const identity = stamp.slice(0, IDENTITY_BYTES);
    const chunking = chunkingNumber(chunks.chunking);
    for (const other of this.#database.all<FileRow>("SELECT * FROM files WHERE path = ?", path)) {
      if (!sameBytes(other.stamp.subarray(0, IDENTITY_BYTES), identity)) this.#forget(other);
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
    if (old !== undefined && !isSame) this.#forget(old);
    const id = isSame ? old.id : this.#add(file, { identity, chunking, sizes });
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
    { identity, chunking, sizes }: {
      identity: Uint8Array<ArrayBuffer>;
      chunking: number;
      sizes: Uint8Array<ArrayBuffer> | null;
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
    for (let ordinal = 0; ordinal < count; ordinal++) {
      const id = idAt(chunks, ordinal);
      if (!isKnown(id)) continue;
      this.#database.run("INSERT INTO chunks VALUES (?, ?, ?)", prefixOf(id), rowId, ordinal);
    }
    return rowId;
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
      for (let ordinal = 0; ordinal < chunkCount(row); ordinal++) {
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
      for (const row of rows) {
        if (chunks <= goal) break;
        this.#forget(row);
        chunks -= chunkCount(row);
      }
    }
    this.#headroom = Math.min(this.#maxChunks - chunks, this.#maxChunks * EVICT_SHARE);
  }

  #used(id: number, now: number): void {
    this.#database.run("UPDATE files SET used_ms = ? WHERE id = ?", now, id);
  }

  #files(sql: string, ...values: (number | Uint8Array<ArrayBuffer>)[]): KnownFile[] {
    return this.#database.all<FileRow>(sql, ...values).map(fileOf).filter((file) => file !== undefined);
  }
}

/** A file while ids are looked up. */
interface OpenedFile extends KnownFile {
  readonly offsets: Float64Array;
}

interface Found {
  readonly file: OpenedFile;
  readonly ordinal: number;
}

function holds({ file: { chunks }, ordinal }: Found, id: Uint8Array): boolean {
  return ordinal < chunkCount(chunks) && sameBytes(idAt(chunks, ordinal), id);
}

function placeOf({ file: { path, stamp, settled, offsets }, ordinal }: Found): ChunkPlace {
  const offset = offsets[ordinal]!;
  return { path, stamp, offset, length: offsets[ordinal + 1]! - offset, settled };
}

function idAt({ ids }: { ids: Uint8Array }, ordinal: number): Uint8Array {
  return ids.subarray(ordinal * CHUNK_ID_BYTES, (ordinal + 1) * CHUNK_ID_BYTES);
}

/** An id of zeros stands for a chunk whose id is not known. */
function isKnown(id: Uint8Array): boolean {
  return id.some((byte) => byte !== 0);
}

/** Gives the file of a row; undefined when what the row says does not fit together. */
function fileOf(row: FileRow): KnownFile | undefined {
  const { chunking, path, stamp, size, settled, ids, sizes, sum } = row;
  const chunks: ChunkList = {
    chunking: chunking === 0 ? "cdc" : chunking,
    size,
    ids,
    ...sizes !== null && sizes.length % 4 === 0 && { sizes: new Uint32Array(sizes.slice().buffer) },
  };
  if (stamp.length !== STAMP_BYTES || sum !== fileSum(row) || !isWhole(chunks)) return undefined;
  return { path, stamp, settled: settled === 1, chunks };
}

function fileSum(
  { chunking, path, stamp, size, settled, ids, sizes }: Omit<FileRow, "id" | "sum">,
): number {
  return rowSum(chunking, path, stamp, size, settled, ids, sizes);
}

/** The sum of a version is also over the content, so that an id that is used anew, or is damaged, names nothing else. */
function versionSum(
  { peer, version, file: { chunks } }: FileVersion & { file: KnownFile },
): number {
  return rowSum(peer, version, chunks.size, chunks.ids);
}

function chunkingNumber(chunking: Chunking): number {
  return chunking === "cdc" ? 0 : chunking;
}

/** The first 48 bits of an id, which a number holds exactly. */
function prefixOf(id: Uint8Array): number {
  return ((id[0]! * 0x100 + id[1]!) * 0x100 + id[2]!) * 0x1000000 + (id[3]! * 0x100 + id[4]!) * 0x100 +
    id[5]!;
}
