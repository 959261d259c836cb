import { sameBytes } from "../../base/bytes.ts";
import { RECORD_BYTES } from "../../native/leftover.ts";
import type { StampsResult } from "../../native/reuse.ts";
import type { ChunkList, FileStamp, FileVersion, KnownFile } from "../../store/mod.ts";
import { CHUNK_BYTES, type Columns, ENTRY_KINDS } from "../../wire/mod.ts";
import { LARGE_BYTES } from "../manifest_reader.ts";
import type { KnownContent } from "./known_content.ts";

/** A file of a transfer that is worth remembering. */
export interface LearnedFile {
  readonly entry: number;
  readonly size: number;
  readonly version?: FileVersion;
}

/** Chunks of one transfer that are remembered: 4 TiB, 32 bytes of memory each. */
const MAX_CHUNKS = 1024 * 1024;

/** Files of one transfer that are remembered. */
const MAX_FILES = 256 * 1024;

/** Stamps that the engine gives at once. */
const MAX_STAMPS = 4096;

/** What one transfer found out about content, to be remembered when it is over. */
export class Learned {
  readonly #files = new Map<number, LearnedFile>();
  /** Ids of a file's chunks of 4 MiB, zeros where one is not known. */
  readonly #ids = new Map<number, Uint8Array<ArrayBuffer>>();
  /** Stamps of files that stay as they are remembered. */
  readonly #kept = new Map<number, FileStamp>();
  readonly #others: KnownFile[] = [];
  #chunks = 0;

  /** Takes note of files of a page whose chunks may be told later; `from`: whose versions they have. */
  page(
    files: readonly { readonly entry: number; readonly size: number }[],
    from?: { readonly first: number; readonly versions: Uint8Array; readonly peer: Uint8Array },
  ): void {
    for (const { entry, size } of files) {
      if (this.#files.size >= MAX_FILES) return;
      const version = from && versionOf(entry, from);
      this.#files.set(entry, { entry, size, ...version && { version } });
    }
  }

  /** Takes records of chunks that were hashed; those that are not cut every 4 MiB are passed over. */
  records(records: Uint8Array): void {
    const view = new DataView(records.buffer, records.byteOffset, records.length);
    for (let at = 0; at + RECORD_BYTES <= records.length; at += RECORD_BYTES) {
      const file = this.#files.get(view.getUint32(at, true));
      if (file === undefined) continue;
      const offset = Number(view.getBigUint64(at + 8, true));
      const isWhole = view.getUint32(at + 4, true) === Math.min(CHUNK_BYTES, file.size - offset);
      if (offset % CHUNK_BYTES !== 0 || !isWhole) continue;
      this.#set(file, offset / CHUNK_BYTES, records.subarray(at + 16, at + RECORD_BYTES));
    }
  }

  /** Takes the ids of a file's chunks of 4 MiB from the one at `offset` on. */
  chunks(entry: number, { offset, ids }: { offset: number; ids: Uint8Array }): void {
    const file = this.#files.get(entry);
    if (file !== undefined) this.#set(file, offset / CHUNK_BYTES, ids);
  }

  /** The file is remembered with `stamp`; while it has that there is nothing to add. */
  kept(entry: number, stamp: FileStamp): void {
    this.#kept.set(entry, stamp);
  }

  /** Takes a file that is none of the transfer's. */
  other(file: KnownFile): void {
    this.#others.push(file);
  }

  /**
   * Remembers all of it, at once. `stamps` tells where entries (u32 each) are; what has no place is not remembered, nor is
   * what has neither a chunk nor a version.
   */
  async remember(
    known: KnownContent,
    { stamps, isSettled, savedBytes = 0 }: {
      stamps: (entries: Uint8Array) => Promise<StampsResult>;
      isSettled: (stamp: FileStamp) => boolean;
      /** Bytes that did not have to be sent. */
      savedBytes?: number;
    },
  ): Promise<void> {
    const entries = [...this.#files.values()]
      .filter(({ entry, version }) => version !== undefined || this.#ids.has(entry));
    const files: KnownFile[] = [...this.#others];
    for (let at = 0; at < entries.length; at += MAX_STAMPS) {
      const some = entries.slice(at, at + MAX_STAMPS);
      const numbers = new Uint8Array(Uint32Array.from(some, ({ entry }) => entry).buffer);
      const found = await stamps(numbers);
      for (const [i, file] of some.entries()) {
        const path = found.paths[i]!.slice();
        if (path.length === 0) continue;
        const stamp = found.stamps.slice(40 * i, 40 * (i + 1));
        const kept = this.#kept.get(file.entry);
        if (kept !== undefined && sameBytes(kept, stamp)) continue;
        files.push({
          path,
          stamp,
          settled: isSettled(stamp),
          chunks: this.#listOf(file),
          ...file.version && { version: file.version },
        });
      }
    }
    if (files.length === 0 && savedBytes === 0) return;
    await known.tell((index) => {
      index.remember(files);
      if (savedBytes > 0) index.countSaved(savedBytes);
    });
  }

  #set(file: LearnedFile, first: number, ids: Uint8Array): void {
    if (ids.every((byte) => byte === 0)) return;
    let all = this.#ids.get(file.entry);
    if (all === undefined) {
      const count = Math.ceil(file.size / CHUNK_BYTES);
      if (this.#chunks + count > MAX_CHUNKS) return;
      this.#chunks += count;
      this.#ids.set(file.entry, all = new Uint8Array(32 * count));
    }
    if (32 * first + ids.length <= all.length) all.set(ids, 32 * first);
  }

  #listOf({ entry, size }: LearnedFile): ChunkList {
    const ids = this.#ids.get(entry) ?? new Uint8Array(32 * Math.ceil(size / CHUNK_BYTES));
    return { chunking: CHUNK_BYTES, size, ids };
  }
}

/** Gives the version of an entry of a page; undefined where it has none. */
export function versionOf(
  entry: number,
  { first, versions, peer }: { first: number; versions: Uint8Array; peer: Uint8Array },
): FileVersion | undefined {
  const version = versions.slice(8 * (entry - first), 8 * (entry - first + 1));
  if (version.every((byte) => byte === 0)) return undefined;
  return { peer: new Uint8Array(peer), version: new Uint8Array(version) };
}

/** Gives the files of a page that are worth remembering. */
export function largeFiles(columns: Columns): { entry: number; size: number }[] {
  const { first, count, kinds, sizes } = columns;
  const view = new DataView(sizes.buffer, sizes.byteOffset, sizes.length);
  const files: { entry: number; size: number }[] = [];
  for (let i = 0; i < count; i++) {
    if (kinds[i] !== ENTRY_KINDS.file) continue;
    const size = Number(view.getBigUint64(8 * i, true));
    if (size >= LARGE_BYTES) files.push({ entry: first + i, size });
  }
  return files;
}
