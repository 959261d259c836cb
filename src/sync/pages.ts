/**
 * A snapshot as pages, for a database or the wire: each a part of the columns that is named by its hash, cut where the names
 * say so that a change rewrites one page, not all that follow. Format: wire/spec/sync.md §4.
 */
import { concat } from "../base/bytes.ts";
import { hashBuffer } from "../native/hash.ts";
import { MAX_NAME_BYTES } from "../wire/mod.ts";
import { CONTENT_BYTES, Snapshot, type SnapshotColumns, STAMP_BYTES } from "./snapshot.ts";

/** Bytes of a page's id: its BLAKE3-256. */
export const PAGE_ID_BYTES = 32;

/** How a snapshot is cut into pages. */
export interface PageCut {
  /** A page ends at a name whose sum has these bits zero. */
  readonly mask: number;
  /** Fewest rows of a page. */
  readonly minRows: number;
  /** A page ends before it has more bytes than this and a row. */
  readonly maxBytes: number;
}

/** Pages of an ancestor: 1024 rows on average. */
const ANCESTOR_CUT: PageCut = { mask: 1023, minRows: 128, maxBytes: Infinity };

/** Pages that cross the wire, where a change costs a page: 320 rows on average; each fits a control frame. */
export const WIRE_CUT: PageCut = { mask: 255, minRows: 64, maxBytes: 768 * 1024 };

/** Most rows of a page. */
const MAX_ROWS = 8192;

/** Bytes of a row beside its name and stamps: kind, settled, depth, mode, name length, size, mtime, content. */
const ROW_BYTES = 1 + 1 + 2 + 2 + 2 + 8 + 8 + CONTENT_BYTES;

/** A part of a snapshot. */
export interface Page {
  /** 32 bytes. */
  readonly id: Uint8Array<ArrayBuffer>;
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Rows from the first to before the last. */
  readonly from: number;
  readonly to: number;
}

/** Gives the pages of a snapshot with their ids. */
export function* pagesOf(snapshot: Snapshot, cut: PageCut = ANCESTOR_CUT): Generator<Page> {
  for (let from = 0; from < snapshot.count;) {
    const to = pageEnd(snapshot, from, cut);
    const bytes = encodePage(snapshot, from, to);
    yield { id: hashBuffer(bytes), bytes, from, to };
    from = to;
  }
}

/** Gives the snapshot of whole pages with stamps for `ends` ends; undefined when they do not fit together. */
export function snapshotOf(pages: readonly Uint8Array[], ends = 2): Snapshot | undefined {
  const parts = pages.map((page) => decodePage(page, ends));
  if (parts.some((part) => part === undefined)) return undefined;
  const whole = parts as SnapshotColumns[];
  const count = whole.reduce((sum, { kinds }) => sum + kinds.length, 0);
  const nameStarts = new Uint32Array(count + 1);
  let row = 0, nameBytes = 0;
  for (const part of whole) {
    for (let i = 0; i < part.kinds.length; i++) nameStarts[++row] = nameBytes + part.nameStarts[i + 1]!;
    nameBytes += part.names.length;
  }
  const depths = joined(Uint16Array, whole.map((part) => part.depths));
  // A row without a folder above it would be nobody's.
  for (let i = 0, above = -1; i < count; above = depths[i++]!) if (depths[i]! > above + 1) return undefined;
  return new Snapshot(count, {
    kinds: concat(...whole.map((part) => part.kinds)),
    settled: concat(...whole.map((part) => part.settled)),
    depths,
    modes: joined(Uint16Array, whole.map((part) => part.modes)),
    nameStarts,
    names: concat(...whole.map((part) => part.names)),
    sizes: joined(Float64Array, whole.map((part) => part.sizes)),
    mtimes: joined(BigInt64Array, whole.map((part) => part.mtimes)),
    contents: concat(...whole.map((part) => part.contents)),
    stamps: Array.from({ length: ends }, (_, end) => concat(...whole.map((part) => part.stamps[end]!))),
  });
}

/** Gives how many rows a page says that it has; undefined where it has not as many bytes as so many rows take. */
export function rowsOf(page: Uint8Array, ends = 1): number | undefined {
  if (page.length < 8) return undefined;
  const rows = new DataView(page.buffer, page.byteOffset).getUint32(0, true);
  const least = 8 + (ROW_BYTES + STAMP_BYTES * ends) * rows;
  return page.length < least || page.length > least + MAX_NAME_BYTES * rows ? undefined : rows;
}

/**
 * Gives for each of `ids` that is not among `old` the id of the page of `old` that has its place, none where there is no such.
 * Both are lists of ids in order; pages that are in both tell which places correspond.
 */
export function basesFor(ids: Uint8Array, old: Uint8Array): (Uint8Array<ArrayBuffer> | undefined)[] {
  const count = ids.length / PAGE_ID_BYTES, oldCount = old.length / PAGE_ID_BYTES;
  const at = (list: Uint8Array, page: number) =>
    list.slice(PAGE_ID_BYTES * page, PAGE_ID_BYTES * (page + 1)) as Uint8Array<ArrayBuffer>;
  const places = new Map<string, number>();
  for (let page = 0; page < oldCount; page++) places.set(at(old, page).toHex(), page);
  const kept = new Set<number>();
  const matches = Array.from({ length: count }, (_, page) => {
    const place = places.get(at(ids, page).toHex());
    if (place !== undefined) kept.add(place);
    return place;
  });
  let next = 0;
  return matches.map((place) => {
    if (place !== undefined) {
      next = place + 1;
      return undefined;
    }
    return next < oldCount && !kept.has(next) ? at(old, next++) : undefined;
  });
}

/** Gives the same ancestor as the other end's first. */
export function flipped(snapshot: Snapshot): Snapshot {
  const { columns, count } = snapshot;
  return new Snapshot(count, {
    ...columns,
    stamps: [columns.stamps[1]!, columns.stamps[0]!],
    settled: columns.settled.map((bits) => bits >> 1 | (bits & 1) << 1),
  });
}

function pageEnd(snapshot: Snapshot, from: number, { mask, minRows, maxBytes }: PageCut): number {
  const { names, nameStarts, stamps } = snapshot.columns;
  const rowBytes = ROW_BYTES + STAMP_BYTES * stamps.length;
  const last = Math.min(from + MAX_ROWS, snapshot.count);
  for (let row = from + minRows; row < last; row++) {
    if (rowBytes * (row - from) + nameStarts[row]! - nameStarts[from]! > maxBytes) return row;
    let sum = snapshot.depth(row);
    for (let at = nameStarts[row]!; at < nameStarts[row + 1]!; at++) {
      sum = Math.imul(sum ^ names[at]!, 0x01000193);
    }
    if (((sum ^ sum >>> 16) & mask) === 0) return row;
  }
  return last;
}

/** Count u32, then the columns one after the other, widest first, the names last; little endian. */
export function encodePage({ columns }: Snapshot, from: number, to: number): Uint8Array<ArrayBuffer> {
  const rows = to - from;
  const [namesFrom, namesTo] = [columns.nameStarts[from]!, columns.nameStarts[to]!];
  const rowBytes = ROW_BYTES + STAMP_BYTES * columns.stamps.length;
  const bytes = new Uint8Array(8 + rowBytes * rows + namesTo - namesFrom);
  new DataView(bytes.buffer).setUint32(0, rows, true);
  let at = 8;
  const put = (part: ArrayBufferView) => {
    bytes.set(new Uint8Array(part.buffer, part.byteOffset, part.byteLength), at);
    at += part.byteLength;
  };
  put(columns.sizes.subarray(from, to));
  put(columns.mtimes.subarray(from, to));
  put(columns.contents.subarray(CONTENT_BYTES * from, CONTENT_BYTES * to));
  for (const stamps of columns.stamps) put(stamps.subarray(STAMP_BYTES * from, STAMP_BYTES * to));
  put(columns.depths.subarray(from, to));
  put(columns.modes.subarray(from, to));
  const lengths = new Uint16Array(rows);
  for (let i = 0; i < rows; i++) {
    lengths[i] = columns.nameStarts[from + i + 1]! - columns.nameStarts[from + i]!;
  }
  put(lengths);
  put(columns.kinds.subarray(from, to));
  put(columns.settled.subarray(from, to));
  put(columns.names.subarray(namesFrom, namesTo));
  return bytes;
}

function decodePage(page: Uint8Array, ends: number): SnapshotColumns | undefined {
  // Columns are read where they lie, so they must lie where their numbers may.
  const bytes = page.byteOffset % 8 === 0 ? page : page.slice();
  if (bytes.length < 8) return undefined;
  const rows = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
  if (rows > MAX_ROWS || bytes.length < 8 + (ROW_BYTES + STAMP_BYTES * ends) * rows) return undefined;
  const begin = bytes.byteOffset;
  let at = 8;
  const next = (byteLength: number) => (at += byteLength) - byteLength;
  const sizes = new Float64Array(bytes.buffer, begin + next(8 * rows), rows);
  const mtimes = new BigInt64Array(bytes.buffer, begin + next(8 * rows), rows);
  const contents = bytes.subarray(next(CONTENT_BYTES * rows), at);
  const stamps = Array.from({ length: ends }, () => bytes.subarray(next(STAMP_BYTES * rows), at));
  const depths = new Uint16Array(bytes.buffer, begin + next(2 * rows), rows);
  const modes = new Uint16Array(bytes.buffer, begin + next(2 * rows), rows);
  const lengths = new Uint16Array(bytes.buffer, begin + next(2 * rows), rows);
  const kinds = bytes.subarray(next(rows), at), settled = bytes.subarray(next(rows), at);
  const nameStarts = new Uint32Array(rows + 1);
  for (let i = 0; i < rows; i++) nameStarts[i + 1] = nameStarts[i]! + lengths[i]!;
  if (nameStarts[rows] !== bytes.length - at) return undefined;
  return {
    kinds,
    settled,
    depths,
    modes,
    nameStarts,
    names: bytes.subarray(at),
    sizes,
    mtimes,
    contents,
    stamps,
  };
}

function joined<T extends Uint16Array | Float64Array | BigInt64Array>(
  kind: new (length: number) => T,
  parts: readonly T[],
): T {
  const whole = new kind(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    (whole as Float64Array).set(part as Float64Array, at);
    at += part.length;
  }
  return whole;
}
