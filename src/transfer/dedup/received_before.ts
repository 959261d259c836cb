/**
 * Small files that came before: the manifest pages of the last transfers from the same machine into the same folder, kept
 * by the journal, tell which files lie there as they came. One look at each file's times settles it; nothing is asked
 * and nothing read. Design: docs/design/dedup_and_resume.md.
 */
import { concat } from "../../base/bytes.ts";
import { isWormholeError } from "../../base/errors.ts";
import { decodeName, encodeName } from "../../base/names.ts";
import { decodeVersionedPage } from "../../native/leftover.ts";
import type { NativeQueue } from "../../native/queue.ts";
import { fileStamps, MAX_STAMPS } from "../../native/reuse.ts";
import { type FileStamp, isAsPlaced, type Journal, STAMP_BYTES } from "../../store/mod.ts";
import { type Columns, readEntries } from "../../wire/mod.ts";
import { LARGE_BYTES } from "../manifest_reader.ts";
import type { PagePlan } from "./finder.ts";

/** Files that are remembered of one transfer; the others come again. Caps memory at about 200 MiB. */
const MAX_FILES = 1 << 20;

/** What {@linkcode ReceivedBefore.open} needs. */
export interface ReceivedBeforeOptions {
  readonly journal: Journal;
  readonly queue: NativeQueue;
  /** 32 bytes: the sender's machine key. */
  readonly peer: Uint8Array;
  /** Folder that is received into, bytes of the system. */
  readonly destination: Uint8Array;
}

/** A page of the manifest at hand. */
export interface PageToLookAt {
  readonly columns: Columns;
  /** u64 per entry. */
  readonly versions: Uint8Array;
  /** A bit per entry; names of those that have none were not found good. */
  readonly wanted: Uint8Array;
}

interface PlacedFile {
  /** Path below the destination. */
  readonly path: string;
  readonly size: number;
  /** ns since 1970. */
  readonly mtime: bigint;
  /** End of its transfer, ms since 1970. */
  readonly placedMs: number;
}

/** See the top of this file. */
export class ReceivedBefore {
  readonly #options: ReceivedBeforeOptions;
  readonly #files: ReadonlyMap<bigint, PlacedFile>;
  /** Paths of the directories of the manifest at hand. */
  readonly #directories = new Map<number, string>();

  private constructor(options: ReceivedBeforeOptions, files: ReadonlyMap<bigint, PlacedFile>) {
    this.#options = options;
    this.#files = files;
  }

  /** Reads what the journal has; a damaged record costs what it said. */
  static open(options: ReceivedBeforeOptions): ReceivedBefore {
    const { journal, peer, destination } = options;
    const files = new Map<bigint, PlacedFile>();
    for (const { id, finishedMs } of journal.finished(new Uint8Array(peer), new Uint8Array(destination))) {
      try {
        addPages(journal.pages(id), { placedMs: finishedMs, files });
      } catch (error) {
        if (!isWormholeError(error)) throw error;
        journal.end(id);
      }
    }
    return new ReceivedBefore(options, files);
  }

  /** Gives those small files of a page that lie in the folder as they came, by entry, with their stamps; pages in order. */
  async look({ columns, versions, wanted }: PageToLookAt): Promise<Map<number, FileStamp>> {
    const found: { entry: number; file: PlacedFile }[] = [];
    const view = new DataView(versions.buffer, versions.byteOffset, versions.length);
    for (const { id, kind, parent, name, size } of readEntries(columns)) {
      if (kind !== "directory" && kind !== "file") continue;
      const at = id - columns.first;
      if (kind === "directory") this.#directories.set(id, pathOf(this.#directories, parent, name));
      else if (size > 0 && size < LARGE_BYTES && (wanted[at >> 3]! >> (at & 7) & 1) === 1) {
        const file = this.#files.get(view.getBigUint64(8 * at, true));
        if (file === undefined || file.size !== size) continue;
        if (file.path === pathOf(this.#directories, parent, name)) found.push({ entry: id, file });
      }
    }
    return await this.#untouched(found);
  }

  async #untouched(found: readonly { entry: number; file: PlacedFile }[]): Promise<Map<number, FileStamp>> {
    const { queue, destination } = this.#options;
    const untouched = new Map<number, FileStamp>();
    for (let from = 0; from < found.length; from += MAX_STAMPS) {
      const some = found.slice(from, from + MAX_STAMPS);
      const paths = some.map(({ file }) => concat(destination, encodeName(`/${file.path}`)));
      const stamps = await fileStamps(queue, paths);
      for (const [i, { entry, file }] of some.entries()) {
        const stamp: FileStamp = stamps.slice(STAMP_BYTES * i, STAMP_BYTES * (i + 1));
        if (isAsPlaced(stamp, file)) untouched.set(entry, stamp);
      }
    }
    return untouched;
  }
}

/** Adds small files that stay where they are, by entry, to what was planned for a page's large ones. */
export function withKept(
  { first, count }: { readonly first: number; readonly count: number },
  { untouched, plan }: { untouched: ReadonlyMap<number, FileStamp>; plan: PagePlan | undefined },
): PagePlan | undefined {
  if (untouched.size === 0) return plan;
  const kept = new Uint8Array(Math.ceil(count / 8));
  const stamps: Uint8Array[] = [];
  let planned = 0;
  for (let at = 0; at < count; at++) {
    const bit = 1 << (at & 7);
    const isPlanned = ((plan?.kept[at >> 3] ?? 0) & bit) !== 0;
    const stamp = isPlanned
      ? plan!.kept_stamps.subarray(STAMP_BYTES * planned, STAMP_BYTES * ++planned)
      : untouched.get(first + at);
    if (stamp === undefined) continue;
    kept[at >> 3]! |= bit;
    stamps.push(stamp);
  }
  return { held: plan?.held ?? new Uint8Array(kept.length), kept, kept_stamps: concat(...stamps) };
}

function addPages(
  pages: readonly Uint8Array[],
  { placedMs, files }: { placedMs: number; files: Map<bigint, PlacedFile> },
): void {
  const directories = new Map<number, string>();
  for (const page of pages) {
    const { columns, versions } = decodeVersionedPage(page);
    const view = new DataView(versions.buffer, versions.byteOffset, versions.length);
    for (const { id, kind, parent, name, size, mtime } of readEntries(columns)) {
      const at = 8 * (id - columns.first);
      if (kind === "directory") directories.set(id, pathOf(directories, parent, name));
      if (kind !== "file" || size === 0 || size >= LARGE_BYTES || at + 8 > view.byteLength) continue;
      if (files.size >= MAX_FILES) return;
      const version = view.getBigUint64(at, true);
      // The newest transfer is read first, and it knows best.
      if (version === 0n || files.has(version)) continue;
      files.set(version, { path: pathOf(directories, parent, name), size, mtime, placedMs });
    }
  }
}

function pathOf(
  directories: ReadonlyMap<number, string>,
  parent: number | undefined,
  name: Uint8Array,
): string {
  return parent === undefined ? decodeName(name) : `${directories.get(parent) ?? ""}/${decodeName(name)}`;
}
