/**
 * The receiver's look at its own disk: decides which files of a page may be here already, and finds the bytes of listed
 * chunks in known files, in unfinished transfers and in what will be replaced. Native code compares stamps and hashes
 * before it believes any of it. Design: docs/design/dedup_and_resume.md.
 */
import { concat, sameBytes } from "../../base/bytes.ts";
import { encodeName } from "../../base/names.ts";
import { hashChunks } from "../../native/hash.ts";
import { RECORD_BYTES } from "../../native/leftover.ts";
import type { NativeQueue } from "../../native/queue.ts";
import type { ExpectResult, NativeReceive } from "../../native/receive.ts";
import { fileStamps, MAX_STAMPS, packPieces } from "../../native/reuse.ts";
import {
  type ChunkList,
  chunkOffsets,
  type FileStamp,
  type Journal,
  sizeOf,
  wasSettledWhenRead,
} from "../../store/mod.ts";
import type { Columns } from "../../wire/mod.ts";
import { CHUNK_BYTES } from "../../wire/mod.ts";
import type { LargeFile } from "../manifest_reader.ts";
import { judge, type OldFile } from "./candidates.ts";
import { ChunkPlaces, type Known, type WantedChunk } from "./chunk_places.ts";
import type { KnownContent } from "./known_content.ts";
import { type Learned, versionOf } from "./learned.ts";
import type { Cut, ListedChunks } from "./list_reader.ts";
import type { HeldEntry, PlacedEntry } from "./questions.ts";
import { UnfinishedContent } from "./unfinished_content.ts";

/** What a finder is made from. */
export interface FinderOptions {
  readonly queue: NativeQueue;
  readonly engine: NativeReceive;
  readonly known: KnownContent;
  readonly learned: Learned;
  readonly journal?: Journal;
  /** 32 bytes: the sender's machine key. */
  readonly peer: Uint8Array;
  /** Folder that is received into, bytes of the system. */
  readonly destination: Uint8Array;
  /** Gives where older versions are that will not be replaced themselves, by path in the destination. */
  olderAt?(path: readonly string[]): string | undefined;
}

/** What is decided for a page before the engine expects it. */
export interface PagePlan {
  /** A bit per entry. */
  readonly held: Uint8Array;
  readonly kept: Uint8Array;
  /** 40 bytes for each entry that is kept. */
  readonly kept_stamps: Uint8Array;
}

/** A file that is held, with what is known of it. */
interface Candidate {
  readonly held: HeldEntry;
  readonly match?: Known;
  readonly old?: OldFile;
  /** Some other file of its size is known. */
  readonly isSizeKnown: boolean;
}

/** Files that are cut before their lists are there: the sender makes one list after the other. */
const MAX_EARLY = 2;

/** See the top of this file. */
export class Finder {
  readonly #options: FinderOptions;
  readonly #unfinished: UnfinishedContent | undefined;
  /** Of the page that the engine is about to expect. */
  readonly #planned = new Map<number, Candidate>();
  readonly #candidates = new Map<number, Candidate>();
  /** What is being cut before its list is there, by entry. */
  readonly #early = new Map<number, Promise<Known | undefined>>();

  constructor(options: FinderOptions) {
    this.#options = options;
    this.#unfinished = options.journal && new UnfinishedContent(options.journal);
  }

  /**
   * Looks at a page's large files; `replaced` are names of roots whose files are replaced, `resumed` the records of files
   * that go on where an earlier transfer ended: those need no look, and no list that the sender would have to make.
   */
  async plan(
    { columns, versions, large }: { columns: Columns; versions?: Uint8Array; large: readonly LargeFile[] },
    { replaced, resumed }: { replaced: ReadonlySet<string>; resumed: Uint8Array | undefined },
  ): Promise<PagePlan> {
    this.#planned.clear();
    const bits = () => new Uint8Array(Math.ceil(columns.count / 8));
    const [held, kept, stamps] = [bits(), bits(), [] as Uint8Array[]];
    const olds = await this.#olds(large.filter(({ path }) => replaced.has(path[0]!)));
    const { known, peer } = this.#options;
    const goesOn = entriesOfRecords(resumed);
    for (const file of large) {
      if (goesOn.has(file.entry)) continue;
      const at = file.entry - columns.first;
      const version = versions && versionOf(file.entry, { first: columns.first, versions, peer });
      const match = version && await known.ask((index) => index.ofVersion(version, file.size));
      const old = olds.get(file.entry);
      const sizeKnown = this.#unfinished?.hasSize(file.size) ||
        await known.ask((index) => index.hasSize(file.size)) || false;
      const verdict = judge({ file, sizeKnown, ...match && { match }, ...old && { old } });
      if (verdict.type === "ask") continue;
      const bit = 1 << (at & 7);
      // What turns out not to be kept is held, and looked at again.
      held[at >> 3]! |= bit;
      if (verdict.type === "keep") {
        kept[at >> 3]! |= bit;
        stamps.push(verdict.stamp);
      }
      this.#planned.set(file.entry, {
        held: { ...file, question: verdict.type === "hold" ? verdict.question : undefined },
        ...match && { match: { ...match, offsets: chunkOffsets(match.chunks) } },
        ...old && { old },
        isSizeKnown: sizeKnown,
      });
    }
    return { held, kept, kept_stamps: concat(...stamps) };
  }

  /** Gives what the engine holds of a page that it expects, and what it keeps; begins what can be done until `signal`. */
  heldOf(
    { held, kept }: ExpectResult,
    { signal }: { signal: AbortSignal },
  ): { held: HeldEntry[]; kept: HeldEntry[] } {
    // Small ones that are kept are nothing to look for.
    const keeps = entriesOf(kept).map((entry) => this.#planned.get(entry)).filter((kept) =>
      kept !== undefined
    );
    for (const { held: { entry }, match } of keeps) {
      // Of what is placed the engine tells itself which chunks it verified.
      const { chunks, stamp } = match!;
      this.#options.learned.kept(entry, stamp);
      if (chunks.chunking === CHUNK_BYTES) {
        this.#options.learned.chunks(entry, { offset: 0, ids: chunks.ids });
      }
    }
    const holds = entriesOf(held).map((entry) => this.#planned.get(entry)!);
    for (const candidate of holds) {
      this.#candidates.set(candidate.held.entry, candidate);
      this.#cutEarly(candidate, signal);
    }
    return { held: holds.map(({ held }) => held), kept: keeps.map(({ held }) => held) };
  }

  /** Puts what is here of a held entry in place; it is held no longer. @throws {WormholeError} what the disk says. */
  async place(
    { entry, list }: { entry: number; list?: ListedChunks },
    { signal }: { signal: AbortSignal },
  ): Promise<PlacedEntry> {
    const candidate = this.#candidates.get(entry)!;
    const { engine } = this.#options;
    const places = await this.#find(candidate, list, signal);
    this.#early.delete(entry);
    const { sources, pieces } = places.pieces();
    if (pieces.length === 0) return await this.release(entry);
    this.#candidates.delete(entry);
    const { ranges, complete, placed, stale, rejected } = await engine.place({
      entry,
      sources,
      pieces: packPieces(pieces),
    }, { signal });
    await places.used({ stale: new Set(stale), rejected });
    const { size } = candidate.held;
    return { entry, whole: false, complete, ranges: ranges.slice(), found: placed, size };
  }

  /** Looks for nothing of a held entry. */
  async release(entry: number): Promise<PlacedEntry> {
    const { size } = this.#candidates.get(entry)!.held;
    this.#candidates.delete(entry);
    this.#early.delete(entry);
    const { whole, complete, ranges } = await this.#options.engine.release(entry);
    return { entry, whole, complete, ranges: ranges.slice(), found: 0, size };
  }

  async #find(
    { match, old, held }: Candidate,
    list: ListedChunks | undefined,
    signal: AbortSignal,
  ): Promise<ChunkPlaces> {
    const wanted = list === undefined ? chunksOf(match!) : listed(list);
    const { queue, known, learned } = this.#options;
    const places = new ChunkPlaces({ queue, known, learned, wanted });
    if (match !== undefined) await places.inFile(match, { isTheSame: true });
    await places.inIndex();
    if (this.#unfinished !== undefined) await places.inUnfinished(this.#unfinished);
    if (old !== undefined && held.question !== undefined && places.missing > 0) {
      const cut = await (this.#early.get(held.entry) ?? this.#cut(old, held.question, signal));
      if (cut !== undefined) await places.inFile(cut, { isTheSame: false });
    }
    return places;
  }

  /** Cuts what will be replaced while the sender makes its list, which takes it as long. */
  #cutEarly({ held: { entry, question }, old, isSizeKnown }: Candidate, signal: AbortSignal): void {
    // Of a size that is known the index will most likely have all.
    if (old === undefined || question === undefined || isSizeKnown || this.#early.size >= MAX_EARLY) return;
    const cutting = this.#cut(old, question, signal);
    this.#early.set(entry, cutting);
    // Whoever places the entry hears of it.
    cutting.catch(() => undefined);
  }

  /** Cuts the file that will be replaced as the list is cut. */
  async #cut(old: OldFile, as: Cut, signal: AbortSignal): Promise<Known | undefined> {
    const { queue, known, learned } = this.#options;
    const chunkBytes = as === "content" ? "cdc" : CHUNK_BYTES;
    const { path } = old;
    const cut = await known.ask((index) => index.find(old.stamp, chunkBytes));
    if (cut && cut.ids.length > 0 && isComplete(cut.ids)) {
      return { path, stamp: old.stamp, settled: true, chunks: cut, offsets: chunkOffsets(cut) };
    }
    const readMs = Date.now();
    try {
      const { hashes: ids, sizes, size, stamp } = await hashChunks(queue, path, { chunkBytes, signal });
      const chunks: ChunkList = { chunking: chunkBytes, size, ids, ...sizes && { sizes } };
      const file = { path, stamp, settled: wasSettledWhenRead(stamp, readMs), chunks };
      learned.other(file);
      return { ...file, offsets: chunkOffsets(chunks) };
    } catch (error) {
      if (signal.aborted) throw error;
      // It is gone, changes just now, or must not be read: then nothing of it is used.
      return undefined;
    }
  }

  /** Looks what lies where files will be placed. */
  async #olds(files: readonly LargeFile[]): Promise<Map<number, OldFile>> {
    const { queue, destination, olderAt } = this.#options;
    const olds = new Map<number, OldFile>();
    const places = files.flatMap((file) => {
      if (olderAt === undefined) {
        return [{ ...file, at: concat(destination, encodeName(`/${file.path.join("/")}`)) }];
      }
      const at = olderAt(file.path);
      return at === undefined ? [] : [{ ...file, at: encodeName(at) }];
    });
    for (let from = 0; from < places.length; from += MAX_STAMPS) {
      const some = places.slice(from, from + MAX_STAMPS);
      const paths = some.map(({ at }) => at);
      const stamps = await fileStamps(queue, paths);
      for (const [i, { entry }] of some.entries()) {
        const stamp: FileStamp = stamps.slice(40 * i, 40 * (i + 1));
        if (sameBytes(stamp, NO_STAMP)) continue;
        olds.set(entry, { path: paths[i]!, stamp, size: sizeOf(stamp), stays: olderAt !== undefined });
      }
    }
    return olds;
  }
}

const NO_STAMP = new Uint8Array(40);

function entriesOf(entries: Uint8Array): number[] {
  const view = new DataView(entries.buffer, entries.byteOffset, entries.length);
  return Array.from({ length: entries.length / 4 }, (_, i) => view.getUint32(4 * i, true));
}

function entriesOfRecords(records: Uint8Array = new Uint8Array(0)): Set<number> {
  const view = new DataView(records.buffer, records.byteOffset, records.length);
  const entries = new Set<number>();
  for (let at = 0; at < records.length; at += RECORD_BYTES) entries.add(view.getUint32(at, true));
  return entries;
}

function isComplete(ids: Uint8Array): boolean {
  for (let at = 0; at < ids.length; at += 32) {
    if (ids.subarray(at, at + 32).every((byte) => byte === 0)) return false;
  }
  return true;
}

function chunksOf({ chunks, offsets }: Known): WantedChunk[] {
  return Array.from({ length: chunks.ids.length / 32 }, (_, i) => ({
    id: chunks.ids.subarray(32 * i, 32 * (i + 1)),
    offset: offsets[i]!,
    length: offsets[i + 1]! - offsets[i]!,
  }));
}

function listed({ sizes, ids }: ListedChunks): WantedChunk[] {
  let offset = 0;
  return Array.from(sizes, (length, i) => {
    const chunk = { id: ids.subarray(32 * i, 32 * (i + 1)), offset, length };
    offset += length;
    return chunk;
  });
}
