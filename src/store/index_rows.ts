/** The tables of the index, and what their rows say. */
import { CHUNK_ID_BYTES, chunkCount, type Chunking, type ChunkList, isWhole } from "./chunk_list.ts";
import { STAMP_BYTES } from "./file_stamp.ts";
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

/** SQL of each version of the tables; append only. */
export const MIGRATIONS = [
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
  // Prefixes are signed from here on; what dedup has saved is added up.
  `
  DELETE FROM versions;
  DELETE FROM chunks;
  DELETE FROM files;
  CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
`,
];

/** A row of `files`. */
export interface FileRow {
  id: number;
  chunking: number;
  path: Uint8Array<ArrayBuffer>;
  stamp: Uint8Array<ArrayBuffer>;
  size: number;
  chunk_count: number;
  settled: number;
  ids: Uint8Array<ArrayBuffer>;
  sizes: Uint8Array<ArrayBuffer> | null;
  sum: number;
}

/** Gives the id of one chunk of a list. */
export function idAt({ ids }: { ids: Uint8Array }, ordinal: number): Uint8Array {
  return ids.subarray(ordinal * CHUNK_ID_BYTES, (ordinal + 1) * CHUNK_ID_BYTES);
}

/** An id of zeros stands for a chunk whose id is not known. */
export function isKnown(id: Uint8Array): boolean {
  return id.some((byte) => byte !== 0);
}

/** Gives the file of a row; undefined when what the row says does not fit together. */
export function fileOf(row: FileRow): KnownFile | undefined {
  const { chunking, path, stamp, size, settled, ids, sizes, sum } = row;
  if (sum !== fileSum(row)) return undefined;
  const chunks: ChunkList = {
    chunking: chunking === 0 ? "cdc" : chunking,
    size,
    ids,
    ...sizes !== null && sizes.length % 4 === 0 && { sizes: new Uint32Array(sizes.slice().buffer) },
  };
  if (stamp.length !== STAMP_BYTES || !isWhole(chunks)) return undefined;
  return { path, stamp, settled: settled === 1, chunks };
}

/** Gives the sum of a row of `files`. */
export function fileSum(
  { chunking, path, stamp, size, settled, ids, sizes }: Omit<FileRow, "id" | "sum" | "chunk_count">,
): number {
  return rowSum(chunking, path, stamp, size, settled, ids, sizes);
}

/** The sum of a version is also over the content, so that an id that is used anew, or is damaged, names nothing else. */
export function versionSum(
  { peer, version, file: { chunks } }: FileVersion & { file: KnownFile },
): number {
  return rowSum(peer, version, chunks.size, chunks.ids);
}

/** Gives how a way of cutting is written in a row. */
export function chunkingNumber(chunking: Chunking): number {
  return chunking === "cdc" ? 0 : chunking;
}

/** The first 48 bits of an id as a signed number, which SQLite keeps in 6 bytes. */
export function prefixOf(id: Uint8Array): number {
  return (id[0]! << 24 | id[1]! << 16 | id[2]! << 8 | id[3]!) * 0x10000 + (id[4]! << 8 | id[5]!);
}

/** Chunks that wait to be inserted. */
export class AddedChunks {
  #files: { file: number; ids: Uint8Array }[] = [];

  add(file: number, ids: Uint8Array): void {
    this.#files.push({ file, ids });
  }

  /** Gives those whose ids are known in the order of their prefixes, and forgets them. */
  *take(): Generator<{ prefix: number; file: number; ordinal: number }> {
    const files = this.#files;
    this.#files = [];
    const count = files.reduce((sum, list) => sum + chunkCount(list), 0);
    const [prefixes, owners, ordinals] = [
      new Float64Array(count),
      new Float64Array(count),
      new Uint32Array(count),
    ];
    let added = 0;
    for (const { file, ids } of files) {
      for (let ordinal = 0; ordinal < chunkCount({ ids }); ordinal++) {
        const id = idAt({ ids }, ordinal);
        if (!isKnown(id)) continue;
        prefixes[added] = prefixOf(id);
        owners[added] = file;
        ordinals[added++] = ordinal;
      }
    }
    const order = Uint32Array.from({ length: added }, (_, i) => i).sort((a, b) =>
      prefixes[a]! - prefixes[b]!
    );
    for (const i of order) yield { prefix: prefixes[i]!, file: owners[i]!, ordinal: ordinals[i]! };
  }
}
