import { type ErrorCode, errorCode } from "../base/errors.ts";
import { decodeName, encodeName } from "../base/names.ts";
import type { CallOptions, NativeQueue } from "./queue.ts";

/** One thing to walk: where it is (`-` is standard input) and what the receiver will call it. */
export interface WalkRoot {
  path: string;
  name: string;
}

/** What a walk leaves out. */
export interface WalkOptions {
  /** Globs in gitignore syntax, relative to each root. A root itself is never left out. */
  exclude?: readonly string[];
  /** Obey `.gitignore`, `.ignore` and `.wormholeignore` below each root. */
  ignoreFiles?: boolean;
  /**
   * What is left out, or cannot be read, is an entry of kind {@linkcode LEFT_OUT}, so that nobody takes it for missing; only
   * `.wormholeignore` files count; every entry has a stamp.
   */
  marks?: {
    /** Leave out folders on other file systems than their parent's. */
    readonly oneFileSystem: boolean;
  };
}

/** Kind of what a walk with marks leaves out. */
export const LEFT_OUT = 5;

/** A page of entries as columns of little-endian numbers; `docs/design/contracts.md` §1. */
export interface ColumnsPage {
  first: number;
  count: number;
  kinds: Uint8Array;
  parents: Uint8Array;
  name_lengths: Uint8Array;
  names: Uint8Array;
  modes: Uint8Array;
  sizes: Uint8Array;
  mtimes: Uint8Array;
  targets: Uint8Array;
  last: boolean;
}

/** Something that a walk left out because it cannot be sent. */
export interface WalkProblem {
  path: string;
  code: ErrorCode;
  /** The whole sentence: `Cannot send "x": it is a socket`. */
  message: string;
}

/** The next part of a walk. */
export interface WalkPage {
  columns: ColumnsPage;
  problems: WalkProblem[];
  /** With marks: 40 bytes for each entry. */
  stamps: Uint8Array;
}

/** What {@linkcode countWalk} finds; streams count as files of no bytes. */
export interface WalkTotals {
  files: number;
  directories: number;
  symlinks: number;
  bytes: number;
  /** Of them on the disk: less where files have holes. */
  allocated: number;
  problems: number;
}

/** A walk in progress: depth first, parents before children, names of a directory in byte order. */
export class Walk implements AsyncDisposable {
  readonly #queue: NativeQueue;
  readonly #handle: number;
  #closed = false;

  private constructor(queue: NativeQueue, handle: number) {
    this.#queue = queue;
    this.#handle = handle;
  }

  /**
   * Begins a walk.
   *
   * @throws {WormholeError} NOT_FOUND or UNSUPPORTED for a root that cannot be sent; INVALID_ARGUMENT for
   * a glob that cannot be understood.
   */
  static async open(
    queue: NativeQueue,
    roots: readonly WalkRoot[],
    { signal, ...options }: WalkOptions & CallOptions = {},
  ): Promise<Walk> {
    const { walk } = await queue.call<{ walk: number }>("walk.open", walkArgs(roots, options), { signal });
    return new Walk(queue, walk);
  }

  /** Gives at most `maxEntries` entries, and at most what fits one control frame; `columns.last` ends it. */
  async next({ maxEntries = 8192, signal }: CallOptions & { maxEntries?: number } = {}): Promise<WalkPage> {
    const page = await this.#queue.call<
      {
        columns: ColumnsPage;
        problems: { path: Uint8Array; kind: number; text: string }[];
        stamps: Uint8Array;
      }
    >("walk.next", { walk: this.#handle, max_entries: maxEntries }, { signal });
    const problems = page.problems.map(({ path, kind, text }) => (
      { path: decodeName(path), code: errorCode(kind), message: text }
    ));
    return { columns: page.columns, problems, stamps: page.stamps };
  }

  /**
   * Walks on to the end and gives one sum, 32 bytes, of everything that {@linkcode Walk.next} will give: the same sum, the same
   * pages. undefined when there is a problem in them, or when they take more than `keepBytes` until somebody takes them.
   */
  async sum({ keepBytes, signal }: CallOptions & { keepBytes: number }): Promise<Uint8Array | undefined> {
    const { sum } = await this.#queue.call<{ sum: Uint8Array | null }>(
      "walk.sum",
      { walk: this.#handle, keep_bytes: keepBytes },
      { signal },
    );
    return sum ?? undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#queue.call("walk.close", { walk: this.#handle });
  }
}

/**
 * Counts what a walk would give, without reading any file.
 *
 * @throws {WormholeError} as {@linkcode Walk.open}.
 */
export async function countWalk(
  queue: NativeQueue,
  roots: readonly WalkRoot[],
  { signal, ...options }: WalkOptions & CallOptions = {},
): Promise<WalkTotals> {
  const totals = await queue.call<Record<keyof WalkTotals, number | bigint>>(
    "walk.count",
    walkArgs(roots, options),
    { signal },
  );
  return {
    files: Number(totals.files),
    directories: Number(totals.directories),
    symlinks: Number(totals.symlinks),
    bytes: Number(totals.bytes),
    allocated: Number(totals.allocated),
    problems: Number(totals.problems),
  };
}

function walkArgs(
  roots: readonly WalkRoot[],
  { exclude = [], ignoreFiles = false, marks }: WalkOptions,
): object {
  return {
    roots: roots.map(({ path, name }) => ({ path: encodeName(path), name: encodeName(name) })),
    exclude: [...exclude],
    ignore_files: ignoreFiles,
    ...marks && { marks: { one_file_system: marks.oneFileSystem } },
  };
}
