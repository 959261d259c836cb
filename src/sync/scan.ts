/** Looks at a folder of this machine: a native walk, and hashes of what is not known to be as it was. */
import { compareBytes } from "../base/bytes.ts";
import { isWormholeError, WormholeError } from "../base/errors.ts";
import { encodeName } from "../base/names.ts";
import { join } from "../base/paths.ts";
import { hashBuffer, hashChunks, hashFiles } from "../native/hash.ts";
import { fileStamps } from "../native/reuse.ts";
import { LEFT_OUT, type Walk } from "../native/walk.ts";
import { type FileIndex, type KnownFile, wasSettledWhenRead } from "../store/mod.ts";
import type { Known, Problem, Scanned } from "./end.ts";
import { openWalk, type WalkOptions } from "./open_walk.ts";
import { OWN_FOLDER } from "./places.ts";
import {
  CONTENT_BYTES,
  DIRECTORY,
  FILE,
  OPAQUE,
  type Snapshot,
  SnapshotBuilder,
  STAMP_BYTES,
  stampAt,
  SYMLINK,
} from "./snapshot.ts";

/** Files up to this many bytes are one chunk, whose id is their content; ffi/src/io/change.rs has the same. */
const CHUNK_BYTES = 4 * 1024 * 1024;

/** Files hashed by one call. */
const BATCH_FILES = 512;

/** Large files hashed at once: one for each of the processors that read and hash. */
const LARGE_AT_ONCE = 2;

/** From this size on the index of known content is asked, and told: hashing less is as fast. */
const INDEX_BYTES = 1024 * 1024;

/** Options of {@linkcode scanFolder}. */
export interface ScanOptions extends WalkOptions {
  /** A walk with the same rules that has begun; it is closed. */
  readonly ahead?: Walk;
  /** Hash nothing: contents are zeros. */
  readonly namesOnly?: boolean;
  /** What is known of large files on this machine. */
  readonly index?: FileIndex;
  /** ms since 1970. */
  readonly now: () => number;
}

/**
 * Gives everything below `root`. What cannot be read, is of no kind that can be copied, or changes while it is hashed is
 * opaque.
 *
 * @throws {WormholeError} NOT_FOUND and its kin when the root cannot be read; INVALID_ARGUMENT for a glob.
 */
export async function scanFolder(root: string, known: Known, options: ScanOptions): Promise<Scanned> {
  const { signal } = options;
  const cancel = signal === undefined ? {} : { signal };
  const walking = new Walking(root, known);
  {
    await using walk = options.ahead ?? await openWalk(root, known.exclude ?? [], options);
    const ask = () => {
      const page = walk.next({ maxEntries: 16_384, ...cancel });
      page.catch(() => {}); // whoever waits for it is told; nobody does when an earlier one failed
      return page;
    };
    let next = ask();
    for (let last = false; !last;) {
      const page = await next;
      last = page.columns.last;
      // The walk goes on while this page is taken in.
      if (!last) next = ask();
      walking.take(page);
    }
  }
  const { snapshot, problems, unknown, isEmpty } = walking.finish();
  if (!options.namesOnly) await hashUnknown(root, { snapshot, unknown, problems }, options);
  return { snapshot, problems, isEmpty, isKnown: unknown.length === 0 };
}

/** Follows a walk and the ancestor side by side. */
class Walking {
  readonly #root: string;
  readonly #known: Known;
  readonly #builder: SnapshotBuilder;
  readonly #problems: Problem[] = [];
  readonly #unknown: number[] = [];
  /** By number of the walk's directories. */
  readonly #depths = new Map<number, number>();
  /** For each depth, where in the ancestor the names of the directory at hand are. */
  readonly #cursors: ({ at: number; end: number } | undefined)[];
  /** Of the ancestor, in bytes. */
  readonly #mtimes: Uint8Array;
  /** Rows of the ancestor that are as they were, and not added yet. */
  #same = { from: 0, to: 0 };

  constructor(root: string, known: Known) {
    this.#root = root;
    this.#known = known;
    const { buffer, byteOffset, byteLength } = known.snapshot.columns.mtimes;
    this.#mtimes = new Uint8Array(buffer, byteOffset, byteLength);
    this.#builder = new SnapshotBuilder({ ends: 1, capacity: Math.max(known.snapshot.count + 64, 1024) });
    this.#cursors = [{ at: 0, end: known.snapshot.count }];
  }

  take({ columns, problems, stamps }: Awaited<ReturnType<Walk["next"]>>): void {
    for (const { path, code, message } of problems) {
      // Of a root that cannot be read nothing is known; it is not empty.
      if (path === this.#root) throw new WormholeError(code, synchronizing(message));
      // Somebody removed it in the middle of the walk.
      if (code === "NOT_FOUND") continue;
      this.#problems.push({ path, code, message: synchronizing(message) });
    }
    const { count, first, kinds, names, targets } = columns;
    const [parents, lengths] = [viewOf(columns.parents), viewOf(columns.name_lengths)];
    const [modes, sizes, mtimes] = [viewOf(columns.modes), viewOf(columns.sizes), viewOf(columns.mtimes)];
    for (let i = 0, nameAt = 0, targetAt = 0, above = NO_PARENT, depth = 0; i < count; i++) {
      const kind = kinds[i]!;
      const nameFrom = nameAt;
      nameAt += lengths.getUint16(2 * i, true);
      const parent = parents.getUint32(4 * i, true);
      if (parent === NO_PARENT) {
        this.#depths.set(first + i, 0);
        continue;
      }
      if (parent !== above) depth = this.#depths.get(above = parent)!;
      const mode = modes.getUint32(4 * i, true) & 0o777;
      const at = { names, from: nameFrom, to: nameAt, mtimes: columns.mtimes, stamps, i };
      if (kind === FILE && this.#isAsBefore(depth, mode, at)) continue;
      const name = names.subarray(nameFrom, nameAt);
      const size = Number(sizes.getBigUint64(8 * i, true));
      const target = kind === SYMLINK ? targets.subarray(targetAt, targetAt += size) : undefined;
      if (kind === DIRECTORY) this.#depths.set(first + i, depth + 1);
      if (depth === 0 && isOwn(name)) continue;
      this.#add({
        kind: kind === LEFT_OUT ? OPAQUE : kind,
        depth,
        name,
        mode,
        size: kind === DIRECTORY ? 0 : size,
        mtime: mtimes.getBigInt64(8 * i, true),
        stamp: stampAt(stamps, i),
        target,
      });
    }
  }

  finish(): { snapshot: Snapshot; problems: Problem[]; unknown: number[]; isEmpty: boolean } {
    this.#addSame();
    const snapshot = this.#builder.finish();
    const above = this.#root === "/" ? "/" : `${this.#root}/`;
    const problems = this.#problems.map(({ path, ...problem }) => ({
      ...problem,
      path: path.startsWith(above) ? path.slice(above.length) : path,
    }));
    return { snapshot, problems, unknown: this.#unknown, isEmpty: snapshot.count === 0 };
  }

  /** Tells whether a file is the next one of the ancestor, and exactly as it was; takes note of it then. */
  #isAsBefore(
    depth: number,
    mode: number,
    { names, from, to, mtimes, stamps, i }: {
      names: Uint8Array;
      from: number;
      to: number;
      mtimes: Uint8Array;
      stamps: Uint8Array;
      i: number;
    },
  ): boolean {
    const { snapshot, side } = this.#known;
    const cursor = this.#cursors[depth];
    if (cursor === undefined || cursor.at >= cursor.end) return false;
    const row = cursor.at;
    const { kinds, modes, nameStarts, names: known, stamps: knownStamps } = snapshot.columns;
    const nameAt = nameStarts[row]!;
    if (
      kinds[row] !== FILE || modes[row] !== mode || !snapshot.isSettled(row, side) ||
      nameStarts[row + 1]! - nameAt !== to - from || !sameRange(known, nameAt, names, from, to - from) ||
      !sameRange(knownStamps[side]!, STAMP_BYTES * row, stamps, STAMP_BYTES * i, STAMP_BYTES) ||
      // The ancestor has one of either end, and a time alone is no change.
      !sameRange(this.#mtimes, 8 * row, mtimes, 8 * i, 8)
    ) return false;
    cursor.at = row + 1;
    if (this.#same.to !== row) {
      this.#addSame();
      this.#same.from = row;
    }
    this.#same.to = row + 1;
    return true;
  }

  #addSame(): void {
    const { from, to } = this.#same;
    const { snapshot, side } = this.#known;
    if (to > from) this.#builder.addRows(snapshot, { from, to, ends: [{ snapshot, end: side, from }] });
    this.#same = { from: 0, to: 0 };
  }

  #add(
    { depth, name, kind, stamp, target, ...entry }: {
      kind: number;
      depth: number;
      name: Uint8Array;
      mode: number;
      size: number;
      mtime: bigint;
      stamp: Uint8Array;
      target: Uint8Array | undefined;
    },
  ): void {
    this.#addSame();
    const { snapshot, side } = this.#known;
    const known = this.#find(depth, name);
    if (kind === DIRECTORY) {
      const isKnown = known >= 0 && snapshot.kind(known) === DIRECTORY;
      this.#cursors[depth + 1] = isKnown ? { at: known + 1, end: snapshot.ends[known]! } : undefined;
    }
    let content = target === undefined ? undefined : hashBuffer(target);
    const isAsBefore = kind === FILE && known >= 0 && snapshot.kind(known) === FILE &&
      snapshot.isSettled(known, side) && same(snapshot.stamp(known, side), stamp);
    if (isAsBefore) content = snapshot.content(known) as Uint8Array<ArrayBuffer>;
    const row = this.#builder.add({
      ...entry,
      kind,
      depth,
      name,
      stamps: [stamp],
      settled: isAsBefore ? 1 : 0,
      ...content && { content },
    });
    if (kind === FILE && !isAsBefore) this.#unknown.push(row);
  }

  /** Gives the ancestor's row for the name at hand, -1 when there is none. */
  #find(depth: number, name: Uint8Array): number {
    const cursor = this.#cursors[depth];
    if (cursor === undefined) return -1;
    const { snapshot } = this.#known;
    while (cursor.at < cursor.end) {
      const order = compareBytes(snapshot.nameBytes(cursor.at), name);
      if (order > 0) return -1;
      const row = cursor.at;
      cursor.at = snapshot.ends[row]!;
      if (order === 0) return row;
    }
    return -1;
  }
}

interface Unknown {
  readonly snapshot: Snapshot;
  readonly unknown: readonly number[];
  readonly problems: Problem[];
}

/** Fills in the contents of rows; those that turn out to be in flux become opaque. */
async function hashUnknown(
  root: string,
  { snapshot, unknown, problems }: Unknown,
  options: ScanOptions,
): Promise<void> {
  if (unknown.length === 0) return;
  const wanted = new Set(unknown);
  const small: Row[] = [], large: Row[] = [];
  const { index } = options;
  for (const { row, path } of snapshot.paths(wanted)) {
    const stamp = snapshot.stamp(row).slice() as Uint8Array<ArrayBuffer>;
    if (index !== undefined && snapshot.size(row) >= INDEX_BYTES) {
      const ids = index.find(stamp, CHUNK_BYTES)?.ids;
      if (ids !== undefined) {
        fill(snapshot, row, contentOfChunks(ids), true);
        continue;
      }
    }
    (snapshot.size(row) <= CHUNK_BYTES ? small : large).push({ row, path, stamp });
  }
  const fail = (row: Row, failure?: Omit<Problem, "path">) => {
    snapshot.columns.kinds[row.row] = OPAQUE;
    if (failure !== undefined && failure.code !== "NOT_FOUND" && failure.code !== "SOURCE_CHANGED") {
      problems.push({ path: row.path, ...failure });
    }
  };
  const remembered: KnownFile[] = [];
  for (let at = 0; at < small.length; at += BATCH_FILES) {
    options.signal?.throwIfAborted();
    await hashSmall(root, small.slice(at, at + BATCH_FILES), { snapshot, fail, ...options });
  }
  let next = 0;
  await Promise.all(Array.from({ length: LARGE_AT_ONCE }, async () => {
    while (next < large.length) {
      await hashLarge(root, large[next++]!, { snapshot, fail, remembered, ...options });
    }
  }));
  index?.remember(remembered);
}

interface Row {
  readonly row: number;
  readonly path: string;
  readonly stamp: Uint8Array<ArrayBuffer>;
}

interface Hashing extends ScanOptions {
  readonly snapshot: Snapshot;
  fail(row: Row, failure?: Omit<Problem, "path">): void;
}

async function hashSmall(
  root: string,
  rows: readonly Row[],
  { queue, snapshot, fail, now, signal }: Hashing,
): Promise<void> {
  const paths = rows.map(({ path }) => join(root, path));
  const readMs = now();
  const sums = await hashFiles(queue, paths, { ...signal && { signal } });
  const stamps = await fileStamps(queue, paths.map(encodeName), { ...signal && { signal } });
  for (const [i, row] of rows.entries()) {
    const sum = sums[i]!;
    if ("code" in sum) fail(row, sum);
    else if (!same(stampAt(stamps, i), row.stamp)) fail(row);
    else fill(snapshot, row.row, Uint8Array.fromHex(sum.hash), wasSettledWhenRead(row.stamp, readMs));
  }
}

async function hashLarge(
  root: string,
  row: Row,
  { queue, snapshot, fail, now, signal, index, remembered }: Hashing & { remembered: KnownFile[] },
): Promise<void> {
  const path = join(root, row.path);
  const readMs = now();
  try {
    const { hashes, size, stamp } = await hashChunks(queue, path, {
      chunkBytes: CHUNK_BYTES,
      ...signal && { signal },
    });
    if (!same(stamp, row.stamp)) return fail(row);
    const settled = wasSettledWhenRead(stamp, readMs);
    fill(snapshot, row.row, contentOfChunks(hashes), settled);
    if (index === undefined) return;
    const chunks = { chunking: CHUNK_BYTES, size, ids: hashes } as const;
    remembered.push({ path: encodeName(path), stamp: row.stamp, settled, chunks });
  } catch (error) {
    if (!isWormholeError(error) || signal?.aborted) throw error;
    fail(row, { code: error.code, message: error.message });
  }
}

function fill(snapshot: Snapshot, row: number, content: Uint8Array, settled: boolean): void {
  snapshot.columns.contents.set(content, CONTENT_BYTES * row);
  snapshot.columns.settled[row] = settled ? 1 : 0;
}

function contentOfChunks(ids: Uint8Array): Uint8Array {
  return ids.length === CONTENT_BYTES ? ids : hashBuffer(ids);
}

const OWN_NAME = new TextEncoder().encode(OWN_FOLDER);

/** `parents` of a root. */
const NO_PARENT = 0xffffffff;

function synchronizing(message: string): string {
  return message.replace(/^Cannot send /, "Cannot synchronize ");
}

function isOwn(name: Uint8Array): boolean {
  return same(name, OWN_NAME);
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}

function sameRange(a: Uint8Array, aFrom: number, b: Uint8Array, bFrom: number, length: number): boolean {
  for (let at = 0; at < length; at++) if (a[aFrom + at] !== b[bFrom + at]) return false;
  return true;
}

function same(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let at = 0; at < a.length; at++) if (a[at] !== b[at]) return false;
  return true;
}
