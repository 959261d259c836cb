/**
 * Every entry of a folder at one moment, as columns: depth first, names of a directory in the order of their bytes.
 *
 * Columns instead of objects, since a folder may have a million entries: about 120 bytes each beside the name, outside
 * of JavaScript's heap (docs/design/sync.md).
 */
import { decodeName, encodeName } from "../base/names.ts";

/** What an entry is; the numbers are those of a walk's columns (docs/design/contracts.md §1). */
export const FILE = 1, DIRECTORY = 2, SYMLINK = 3;

/** Something that sync keeps its hands off: ignored, unreadable, or of a kind that cannot be copied. Nothing is known of what is below it. */
export const OPAQUE = 5;

/** Bytes of an entry's content: BLAKE3 of a file of one chunk or a symlink's target, of the chunks' ids for more. */
export const CONTENT_BYTES = 32;

/** Bytes of a stamp (`src/store/file_stamp.ts`). */
export const STAMP_BYTES = 40;

/** Gives one of many stamps, in place. */
export function stampAt<T extends ArrayBufferLike>(stamps: Uint8Array<T>, index: number): Uint8Array<T> {
  return stamps.subarray(STAMP_BYTES * index, STAMP_BYTES * (index + 1));
}

/** One entry that is added to a {@linkcode SnapshotBuilder}. */
export interface NewEntry {
  readonly kind: number;
  /** 0 directly below the root. */
  readonly depth: number;
  readonly name: Uint8Array;
  /** Permission bits. */
  readonly mode: number;
  readonly size: number;
  /** ns since 1970. */
  readonly mtime: bigint;
  /** 32 bytes; zeros or nothing for a directory and for a file that is not hashed yet. */
  readonly content?: Uint8Array;
  /** 40 bytes for each end that the snapshot is of. */
  readonly stamps?: readonly Uint8Array[];
  /** Bit e: the stamp for end e is proof that the file has this content. */
  readonly settled?: number;
}

/** The columns; rows are entries. All have the same number of rows. */
export interface SnapshotColumns {
  readonly kinds: Uint8Array;
  readonly depths: Uint16Array;
  /** Where each name begins in `names`; one more than there are rows. */
  readonly nameStarts: Uint32Array;
  readonly names: Uint8Array;
  readonly modes: Uint16Array;
  readonly sizes: Float64Array;
  readonly mtimes: BigInt64Array;
  readonly contents: Uint8Array;
  /** For each end. */
  readonly stamps: readonly Uint8Array[];
  readonly settled: Uint8Array;
}

/** See the top of this file. Nothing changes it but a scan that fills in contents. */
export class Snapshot {
  readonly count: number;
  readonly columns: SnapshotColumns;
  /** For each row, the row after everything below it. */
  readonly ends: Uint32Array;
  readonly #words: Uint32Array;

  constructor(count: number, columns: SnapshotColumns) {
    this.count = count;
    this.columns = columns;
    this.ends = endsOf(columns.depths, count);
    const { buffer, byteOffset } = columns.contents;
    this.#words = new Uint32Array(buffer, byteOffset, count * CONTENT_BYTES / 4);
  }

  /** Nothing. `ends`: how many ends it has stamps for. */
  static empty(ends: number): Snapshot {
    return new SnapshotBuilder({ ends }).finish();
  }

  kind(row: number): number {
    return this.columns.kinds[row]!;
  }

  mode(row: number): number {
    return this.columns.modes[row]!;
  }

  size(row: number): number {
    return this.columns.sizes[row]!;
  }

  mtime(row: number): bigint {
    return this.columns.mtimes[row]!;
  }

  depth(row: number): number {
    return this.columns.depths[row]!;
  }

  isSettled(row: number, end: number): boolean {
    return (this.columns.settled[row]! >> end & 1) === 1;
  }

  nameBytes(row: number): Uint8Array {
    const { names, nameStarts } = this.columns;
    return names.subarray(nameStarts[row]!, nameStarts[row + 1]!);
  }

  name(row: number): string {
    return decodeName(this.nameBytes(row));
  }

  content(row: number): Uint8Array {
    return this.columns.contents.subarray(CONTENT_BYTES * row, CONTENT_BYTES * (row + 1));
  }

  stamp(row: number, end = 0): Uint8Array {
    return stampAt(this.columns.stamps[end]!, row);
  }

  /** Tells whether a row and one of another snapshot are the same but for their permissions and times. */
  same(row: number, other: Snapshot, otherRow: number): boolean {
    const kind = this.columns.kinds[row]!;
    if (kind !== other.columns.kinds[otherRow]!) return false;
    if (kind === DIRECTORY) return true;
    if (this.columns.sizes[row]! !== other.columns.sizes[otherRow]!) return false;
    const a = row * 8, b = otherRow * 8;
    for (let at = 0; at < 8; at++) if (this.#words[a + at] !== other.#words[b + at]) return false;
    return true;
  }

  /** Compares two names by their bytes: less than, equal to or greater than 0. */
  compareNames(row: number, other: Snapshot, otherRow: number): number {
    const a = this.columns, b = other.columns;
    let at = a.nameStarts[row]!, bt = b.nameStarts[otherRow]!;
    const aEnd = a.nameStarts[row + 1]!, bEnd = b.nameStarts[otherRow + 1]!;
    for (; at < aEnd && bt < bEnd; at++, bt++) {
      const difference = a.names[at]! - b.names[bt]!;
      if (difference !== 0) return difference;
    }
    return aEnd - at - (bEnd - bt);
  }

  /** As {@linkcode Snapshot.compareNames}, with a name by itself. */
  compareName(row: number, name: Uint8Array): number {
    const { names, nameStarts } = this.columns;
    const from = nameStarts[row]!, length = nameStarts[row + 1]! - from;
    for (let at = 0; at < length && at < name.length; at++) {
      const difference = names[from + at]! - name[at]!;
      if (difference !== 0) return difference;
    }
    return length - name.length;
  }

  /** Gives the row at `path` ("a/b"), -1 when there is none. */
  find(path: string): number {
    let from = 0, to = this.count, row = -1;
    for (const name of path.split("/")) {
      const wanted = encodeName(name);
      for (row = from; row < to && !equal(this.nameBytes(row), wanted);) row = this.ends[row]!;
      if (row >= to) return -1;
      from = row + 1;
      to = this.ends[row]!;
    }
    return row;
  }

  /** Gives every row with its path, or only some of them; no names but those on their paths are made strings. */
  *paths(wanted?: ReadonlySet<number>): Generator<{ row: number; path: string }> {
    // Of the path at hand: the row at each depth, and the path down to it, once somebody has asked.
    const rows: number[] = [], made: (string | undefined)[] = [];
    const pathTo = (depth: number): string =>
      made[depth] ??= depth === 0 ? this.name(rows[0]!) : `${pathTo(depth - 1)}/${this.name(rows[depth]!)}`;
    for (let row = 0; row < this.count; row++) {
      const depth = this.columns.depths[row]!;
      rows[depth] = row;
      made[depth] = undefined;
      if (wanted === undefined || wanted.has(row)) yield { row, path: pathTo(depth) };
    }
  }
}

/** Rows of a snapshot from `from` on, and one of its ends. */
export interface StampsOf {
  readonly snapshot: Snapshot;
  readonly end: number;
  readonly from: number;
}

/** Collects rows in order. */
export class SnapshotBuilder {
  #capacity = 32;
  #count = 0;
  #nameBytes = 0;
  #kinds: Uint8Array;
  #depths: Uint16Array;
  #nameStarts: Uint32Array;
  #names: Uint8Array;
  #modes: Uint16Array;
  #sizes: Float64Array;
  #mtimes: BigInt64Array;
  #contents: Uint8Array;
  #stamps: Uint8Array[];
  #settled: Uint8Array;

  /** `ends`: how many ends it has stamps for; `capacity`: rows to begin with. */
  constructor({ ends, capacity = 32 }: { ends: number; capacity?: number }) {
    this.#capacity = capacity;
    // One buffer for all columns, widest first: a small snapshot is made by the thousand in tests and rounds.
    const rowBytes = 8 + 8 + CONTENT_BYTES + STAMP_BYTES * ends + 4 + 2 + 2 + 1 + 1 + 16;
    const buffer = new ArrayBuffer(capacity * rowBytes + 4);
    let at = 0;
    const next = (bytes: number) => (at += bytes) - bytes;
    this.#sizes = new Float64Array(buffer, next(8 * capacity), capacity);
    this.#mtimes = new BigInt64Array(buffer, next(8 * capacity), capacity);
    const contentBytes = capacity * CONTENT_BYTES, stampBytes = capacity * STAMP_BYTES;
    this.#contents = new Uint8Array(buffer, next(contentBytes), contentBytes);
    this.#stamps = [];
    for (let end = 0; end < ends; end++) {
      this.#stamps.push(new Uint8Array(buffer, next(stampBytes), stampBytes));
    }
    this.#nameStarts = new Uint32Array(buffer, next(4 * capacity + 4), capacity + 1);
    this.#depths = new Uint16Array(buffer, next(2 * capacity), capacity);
    this.#modes = new Uint16Array(buffer, next(2 * capacity), capacity);
    this.#kinds = new Uint8Array(buffer, next(capacity), capacity);
    this.#settled = new Uint8Array(buffer, next(capacity), capacity);
    this.#names = new Uint8Array(buffer, next(capacity * 16), capacity * 16);
  }

  get count(): number {
    return this.#count;
  }

  /** Adds a row and gives its number. */
  add({ kind, depth, name, mode, size, mtime, content, stamps = [], settled = 0 }: NewEntry): number {
    const row = this.#count++;
    if (row === this.#capacity) this.#grow();
    this.#kinds[row] = kind;
    this.#depths[row] = depth;
    if (this.#nameBytes + name.length > this.#names.length) {
      this.#names = resized(this.#names, Math.max(this.#names.length * 2, this.#nameBytes + name.length));
    }
    this.#names.set(name, this.#nameBytes);
    this.#nameStarts[row + 1] = this.#nameBytes += name.length;
    this.#modes[row] = mode;
    this.#sizes[row] = size;
    this.#mtimes[row] = mtime;
    if (content !== undefined) this.#contents.set(content, CONTENT_BYTES * row);
    for (let end = 0; end < stamps.length; end++) this.#stamps[end]!.set(stamps[end]!, STAMP_BYTES * row);
    this.#settled[row] = settled;
    return row;
  }

  /** Adds the rows from `from` to before `to` of another snapshot. `ends`: whose stamps each end gets, and what they prove. */
  addRows(
    { columns }: Snapshot,
    { from, to, ends }: { readonly from: number; readonly to: number; readonly ends: readonly StampsOf[] },
  ): void {
    const row = this.#count, rows = to - from;
    this.#count += rows;
    while (this.#count > this.#capacity) this.#grow();
    const namesFrom = columns.nameStarts[from]!, namesTo = columns.nameStarts[to]!;
    const shift = this.#nameBytes - namesFrom;
    this.#nameBytes += namesTo - namesFrom;
    if (this.#nameBytes > this.#names.length) {
      this.#names = resized(this.#names, Math.max(this.#names.length * 2, this.#nameBytes));
    }
    this.#names.set(columns.names.subarray(namesFrom, namesTo), shift + namesFrom);
    for (let i = 1; i <= rows; i++) this.#nameStarts[row + i] = columns.nameStarts[from + i]! + shift;
    this.#kinds.set(columns.kinds.subarray(from, to), row);
    this.#depths.set(columns.depths.subarray(from, to), row);
    this.#modes.set(columns.modes.subarray(from, to), row);
    this.#sizes.set(columns.sizes.subarray(from, to), row);
    this.#mtimes.set(columns.mtimes.subarray(from, to), row);
    this.#contents.set(
      columns.contents.subarray(CONTENT_BYTES * from, CONTENT_BYTES * to),
      CONTENT_BYTES * row,
    );
    for (const [end, { snapshot: { columns: its }, end: itsEnd, from: at }] of ends.entries()) {
      const stamps = its.stamps[itsEnd]!.subarray(STAMP_BYTES * at, STAMP_BYTES * (at + rows));
      this.#stamps[end]!.set(stamps, STAMP_BYTES * row);
      for (let i = 0; i < rows; i++) {
        this.#settled[row + i]! |= (its.settled[at + i]! >> itsEnd & 1) << end;
      }
    }
  }

  /** Gives the snapshot; nothing may be added afterwards. */
  finish(): Snapshot {
    const count = this.#count;
    return new Snapshot(count, {
      kinds: this.#kinds.subarray(0, count),
      depths: this.#depths.subarray(0, count),
      nameStarts: this.#nameStarts.subarray(0, count + 1),
      names: this.#names.subarray(0, this.#nameBytes),
      modes: this.#modes.subarray(0, count),
      sizes: this.#sizes.subarray(0, count),
      mtimes: this.#mtimes.subarray(0, count),
      contents: this.#contents.subarray(0, count * CONTENT_BYTES),
      stamps: this.#stamps.map((stamps) => stamps.subarray(0, count * STAMP_BYTES)),
      settled: this.#settled.subarray(0, count),
    });
  }

  #grow(): void {
    const capacity = this.#capacity *= 2;
    this.#kinds = resized(this.#kinds, capacity);
    this.#depths = resized(this.#depths, capacity);
    this.#nameStarts = resized(this.#nameStarts, capacity + 1);
    this.#modes = resized(this.#modes, capacity);
    this.#sizes = resized(this.#sizes, capacity);
    this.#mtimes = resized(this.#mtimes, capacity);
    this.#contents = resized(this.#contents, capacity * CONTENT_BYTES);
    this.#stamps = this.#stamps.map((stamps) => resized(stamps, capacity * STAMP_BYTES));
    this.#settled = resized(this.#settled, capacity);
  }
}

type Column = Uint8Array | Uint16Array | Uint32Array | Float64Array | BigInt64Array;

function resized<T extends Column>(column: T, length: number): T {
  const larger = new (column.constructor as new (length: number) => T)(length);
  (larger as Uint8Array).set(column as Uint8Array);
  return larger;
}

function endsOf(depths: Uint16Array, count: number): Uint32Array {
  const ends = new Uint32Array(count);
  const open: number[] = [];
  for (let row = 0; row < count; row++) {
    const depth = depths[row]!;
    while (open.length > depth) ends[open.pop()!] = row;
    open.push(row);
  }
  while (open.length > 0) ends[open.pop()!] = count;
  return ends;
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let at = 0; at < a.length; at++) if (a[at] !== b[at]) return false;
  return true;
}
