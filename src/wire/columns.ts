/**
 * Manifest pages as columns of little-endian numbers: checked once, then read in place, entry by entry.
 * The same byte strings go to and come from the native library. Spec: spec/manifest.md §2.
 */
import { type ErrorCode, WormholeError } from "../base/errors.ts";
import { MAX_FILE_BYTES, MAX_NAME_BYTES, MAX_TARGET_BYTES } from "./limits.ts";
import type { Columns, MessageOf } from "./message.ts";

/** What an entry is, by its number in `kinds`. */
export const ENTRY_KINDS = { file: 1, directory: 2, symlink: 3, stream: 4 } as const;

/** What an entry is. */
export type EntryKind = keyof typeof ENTRY_KINDS;

/** Parent of an entry that has none. */
export const NO_PARENT = 0xffffffff;

const KIND_NAMES: readonly (EntryKind | undefined)[] = [undefined, "file", "directory", "symlink", "stream"];
const STREAM_SIZE = 2n ** 64n - 1n;
const MAX_MODE = 0o7777;

/** One entry of a page; its byte arrays are views of the page's columns. */
export interface Entry {
  readonly id: number;
  readonly kind: EntryKind;
  /** Id of the parent directory; undefined for a root. */
  readonly parent: number | undefined;
  /** One path component, not yet checked: `tree/path.ts` does that. */
  readonly name: Uint8Array;
  /** Permission bits. */
  readonly mode: number;
  /** Bytes of a file; 0 for everything else (a stream's size is not known). */
  readonly size: number;
  /** ns since 1970. */
  readonly mtime: bigint;
  /** Symlink's target, not yet checked; empty for everything else. */
  readonly target: Uint8Array;
}

/** Picks the columns out of a page message, as the native library takes them. */
export function columnsOf(page: MessageOf<"manifest_page">): Columns {
  const { first, count, kinds, parents, name_lengths, names, modes, sizes, mtimes, targets, last } = page;
  return { first, count, kinds, parents, name_lengths, names, modes, sizes, mtimes, targets, last };
}

/**
 * Gives the versions of a page's entries, u64 each; undefined when the sender gives none.
 *
 * @throws {WormholeError} PROTOCOL when they are not as many as the entries.
 */
export function versionsOf({ count, versions }: MessageOf<"manifest_page">): Uint8Array | undefined {
  if (versions !== undefined && versions.length !== count * 8) {
    throw pageError(`column "versions" has ${versions.length} bytes, not ${count * 8}`);
  }
  return versions;
}

/**
 * Gives the entries of one page in order, after checking the page as a whole: column lengths, kinds, name and
 * target lengths, sizes, modes, and that a parent precedes its children.
 *
 * @throws {WormholeError} PROTOCOL when columns contradict each other; LIMIT_EXCEEDED when a size is over its limit.
 */
export function* readEntries(columns: Columns): Generator<Entry, void> {
  checkLengths(columns);
  const { first, count, kinds, names, targets } = columns;
  const parents = view(columns.parents);
  const nameLengths = view(columns.name_lengths);
  const modes = view(columns.modes);
  const sizes = view(columns.sizes);
  const mtimes = view(columns.mtimes);
  let nameAt = 0;
  let targetAt = 0;
  for (let i = 0; i < count; i++) {
    const id = first + i;
    const kind = KIND_NAMES[kinds[i]!];
    if (kind === undefined) throw bad(id, `is of unknown kind ${kinds[i]}`);
    const parent = parents.getUint32(i * 4, true);
    if (parent !== NO_PARENT && parent >= id) throw bad(id, `precedes its parent ${parent}`);
    const nameLength = nameLengths.getUint16(i * 2, true);
    if (nameLength > MAX_NAME_BYTES) {
      throw bad(id, `has a name of ${nameLength} bytes, the limit is ${MAX_NAME_BYTES}`, "LIMIT_EXCEEDED");
    }
    if (nameLength > names.length - nameAt) throw bad(id, "has a name beyond the page's names");
    const mode = modes.getUint32(i * 4, true);
    if (mode > MAX_MODE) throw bad(id, `has mode ${mode.toString(8)}, which is not permission bits`);
    const size = readSize(id, kind, sizes.getBigUint64(i * 8, true));
    const targetLength = kind === "symlink" ? size : 0;
    if (targetLength > targets.length - targetAt) throw bad(id, "has a target beyond the page's targets");
    yield {
      id,
      kind,
      parent: parent === NO_PARENT ? undefined : parent,
      name: names.subarray(nameAt, nameAt += nameLength),
      mode,
      size: kind === "file" ? size : 0,
      mtime: mtimes.getBigInt64(i * 8, true),
      target: targets.subarray(targetAt, targetAt += targetLength),
    };
  }
  if (nameAt !== names.length) throw pageError("its names are longer than their lengths say");
  if (targetAt !== targets.length) throw pageError("its targets are longer than their sizes say");
}

/** Makes the columns of a page; for tests and for entries that do not come from a disk. */
export function writeColumns(
  entries: readonly Omit<Entry, "id">[],
  { first, last }: { first: number; last: boolean },
): Columns {
  const count = entries.length;
  const columns = {
    first,
    count,
    kinds: Uint8Array.from(entries, (entry) => ENTRY_KINDS[entry.kind]),
    parents: new Uint8Array(count * 4),
    name_lengths: new Uint8Array(count * 2),
    names: concat(entries.map((entry) => entry.name)),
    modes: new Uint8Array(count * 4),
    sizes: new Uint8Array(count * 8),
    mtimes: new Uint8Array(count * 8),
    targets: concat(entries.map((entry) => entry.target)),
    last,
  };
  entries.forEach((entry, i) => {
    view(columns.parents).setUint32(i * 4, entry.parent ?? NO_PARENT, true);
    view(columns.name_lengths).setUint16(i * 2, entry.name.length, true);
    view(columns.modes).setUint32(i * 4, entry.mode, true);
    const size = entry.kind === "stream"
      ? STREAM_SIZE
      : BigInt(entry.kind === "symlink" ? entry.target.length : entry.size);
    view(columns.sizes).setBigUint64(i * 8, size, true);
    view(columns.mtimes).setBigInt64(i * 8, entry.mtime, true);
  });
  return columns;
}

/** One piece of a file that is asked for. */
export interface Range {
  readonly entry: number;
  readonly offset: number;
  readonly length: number;
}

/** What a request asks for: runs of whole entries, and ranges. */
export interface ChunkRequest {
  /** First and last entry of each run, both included. */
  readonly runs: readonly (readonly [first: number, last: number])[];
  readonly ranges: readonly Range[];
}

/**
 * Reads a request after checking it, `released` included, against the `known` entries that were announced (ids
 * below it).
 *
 * @throws {WormholeError} PROTOCOL when columns contradict each other or name an unknown entry; LIMIT_EXCEEDED when
 * a range ends above 2^53.
 */
export function readRequest(message: MessageOf<"request_chunks">, known: number): ChunkRequest {
  const { range_entries, range_offsets, range_lengths, released = 0 } = message;
  const count = range_entries.length / 4;
  if (range_offsets.length !== count * 8 || range_lengths.length !== count * 8) {
    throw requestError("its range columns differ in length");
  }
  if (released > 0 && released >= known) {
    throw requestError(`it gives up entry ${released}, which was not announced`);
  }
  const ranges: Range[] = [];
  for (let i = 0; i < count; i++) {
    const entry = view(range_entries).getUint32(i * 4, true);
    const offset = view(range_offsets).getBigUint64(i * 8, true);
    const length = view(range_lengths).getBigUint64(i * 8, true);
    if (entry >= known) throw requestError(`it asks for entry ${entry}, which was not announced`);
    if (offset + length > BigInt(MAX_FILE_BYTES)) {
      throw requestError(`its range of entry ${entry} ends too high`, "LIMIT_EXCEEDED");
    }
    ranges.push({ entry, offset: Number(offset), length: Number(length) });
  }
  return { runs: readRuns(message.runs, known), ranges };
}

/** Makes the native library's form of ranges: u32 entry, u32 zero, u64 offset, u64 length, little-endian. */
export function packRanges(ranges: readonly Range[]): Uint8Array {
  const packed = new Uint8Array(ranges.length * 24);
  ranges.forEach(({ entry, offset, length }, i) => {
    view(packed).setUint32(i * 24, entry, true);
    view(packed).setBigUint64(i * 24 + 8, BigInt(offset), true);
    view(packed).setBigUint64(i * 24 + 16, BigInt(length), true);
  });
  return packed;
}

/** Reads what {@linkcode packRanges} made, from the native library. */
export function unpackRanges(packed: Uint8Array): Range[] {
  const from = view(packed);
  return Array.from({ length: packed.length / 24 }, (_, i) => ({
    entry: from.getUint32(i * 24, true),
    offset: Number(from.getBigUint64(i * 24 + 8, true)),
    length: Number(from.getBigUint64(i * 24 + 16, true)),
  }));
}

/** Makes the columns of a request. */
export function writeRequest(
  { runs, ranges }: ChunkRequest,
): Omit<MessageOf<"request_chunks">, "type" | "released"> {
  const columns = {
    runs: new Uint8Array(runs.length * 8),
    range_entries: new Uint8Array(ranges.length * 4),
    range_offsets: new Uint8Array(ranges.length * 8),
    range_lengths: new Uint8Array(ranges.length * 8),
  };
  runs.forEach(([first, last], i) => {
    view(columns.runs).setUint32(i * 8, first, true);
    view(columns.runs).setUint32(i * 8 + 4, last, true);
  });
  ranges.forEach(({ entry, offset, length }, i) => {
    view(columns.range_entries).setUint32(i * 4, entry, true);
    view(columns.range_offsets).setBigUint64(i * 8, BigInt(offset), true);
    view(columns.range_lengths).setBigUint64(i * 8, BigInt(length), true);
  });
  return columns;
}

function readRuns(runs: Uint8Array, known: number): [number, number][] {
  if (runs.length % 8 !== 0) throw requestError("a run has no end");
  const result: [number, number][] = [];
  for (let at = 0; at < runs.length; at += 8) {
    const first = view(runs).getUint32(at, true);
    const last = view(runs).getUint32(at + 4, true);
    if (first > last) throw requestError(`its run ${first}..${last} is backwards`);
    if (last >= known) throw requestError(`it asks for entry ${last}, which was not announced`);
    result.push([first, last]);
  }
  return result;
}

function readSize(id: number, kind: EntryKind, size: bigint): number {
  if (kind === "stream") {
    if (size !== STREAM_SIZE) throw bad(id, "is a stream with a size");
    return 0;
  }
  if (kind === "directory" && size !== 0n) throw bad(id, "is a directory with a size");
  const limit = kind === "symlink" ? MAX_TARGET_BYTES : MAX_FILE_BYTES;
  if (size > BigInt(limit)) throw bad(id, `has size ${size}, the limit is ${limit}`, "LIMIT_EXCEEDED");
  if (kind === "symlink" && size === 0n) throw bad(id, "is a symlink without a target");
  return Number(size);
}

function checkLengths({ count, kinds, parents, name_lengths, modes, sizes, mtimes }: Columns): void {
  const columns: [string, Uint8Array, number][] = [
    ["kinds", kinds, 1],
    ["parents", parents, 4],
    ["name_lengths", name_lengths, 2],
    ["modes", modes, 4],
    ["sizes", sizes, 8],
    ["mtimes", mtimes, 8],
  ];
  for (const [name, column, width] of columns) {
    if (column.length !== count * width) {
      throw pageError(`column "${name}" has ${column.length} bytes, not ${count * width}`);
    }
  }
}

function bad(id: number, state: string, code: ErrorCode = "PROTOCOL"): WormholeError {
  return new WormholeError(code, `Cannot read a manifest page: entry ${id} ${state}`);
}

function pageError(state: string): WormholeError {
  return new WormholeError("PROTOCOL", `Cannot read a manifest page: ${state}`);
}

function requestError(state: string, code: ErrorCode = "PROTOCOL"): WormholeError {
  return new WormholeError(code, `Cannot read a request for chunks: ${state}`);
}

function view(column: Uint8Array): DataView {
  return new DataView(column.buffer, column.byteOffset, column.byteLength);
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
