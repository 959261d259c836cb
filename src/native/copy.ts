import { type ErrorCode, errorCode } from "../base/errors.ts";
import { decodeName, encodeName } from "../base/names.ts";
import type { CallOptions, NativeQueue } from "./queue.ts";

/** Ways to move a file's bytes; `auto` goes on with another one where the kernel refuses. */
export type CopyMethod =
  | "auto"
  | "reflink"
  | "copy_file_range"
  | "splice"
  | "io_uring"
  | "read_write"
  | "direct"
  | "mmap";

/** What is copied and how; `docs/design/copy.md` says what each field means. */
export interface CopyPolicy {
  /** `target` is the path that the root itself gets; the folder that holds it must be there. */
  readonly roots: readonly { readonly source: string; readonly target: string }[];
  /** 0: one for each core that this process may use. */
  readonly threads?: number;
  /** Each thread stays on one core, where there are as many cores. */
  readonly pin?: boolean;
  /** Count ahead how much there is, so that a long copy knows it before its end. */
  readonly countAhead?: boolean;
  /** Reads and writes under way in one ring; 0: what measured best. */
  readonly queueDepth?: number;
  /** 0: no limit but the threads. */
  readonly maxFilesInFlight?: number;
  /** Bytes of one read and write; 0: what measured best. */
  readonly bufferSize?: number;
  readonly method?: CopyMethod;
  /** Large files past the page cache where the file system can; `method: "direct"` insists on it. */
  readonly directIo?: boolean;
  readonly sparse?: "keep" | "make" | "fill";
  readonly preallocate?: boolean;
  readonly preserve?: {
    readonly mode?: boolean;
    readonly owner?: boolean;
    readonly times?: boolean;
    readonly xattrs?: boolean;
    readonly acl?: boolean;
    readonly hardlinks?: boolean;
    readonly specials?: boolean;
    readonly flags?: boolean;
    /** What this user or the target's file system cannot keep is a problem, not only counted. */
    readonly required?: boolean;
  };
  readonly oneFileSystem?: boolean;
  /** Globs in gitignore syntax, relative to each root. */
  readonly exclude?: readonly string[];
  readonly existing?: "replace" | "skip" | "fail" | "update";
  /** With `existing: "update"`: when a file counts as the same. `newer`: also when the target's is newer. */
  readonly compare?: "size_mtime" | "checksum" | "newer";
  /** List what the targets have and the sources have not, and wait for {@linkcode CopyRun.delete}. */
  readonly delete?: boolean;
  readonly dryRun?: boolean;
  /** Tell each change. */
  readonly itemize?: boolean;
  readonly verify?: boolean;
  readonly fsync?: "none" | "end" | "each";
  /** How often a transient failure is tried again. */
  readonly retries?: number;
  /** Journal of a run that may be stopped and gone on with. */
  readonly journal?: string | undefined;
  /** Go on where the journal ends; without it the journal begins anew. */
  readonly resume?: boolean;
}

/** What is done until now; `total…` is what the walk has found until now, all of it (links and specials too) once `counted`. */
export interface CopyProgress {
  readonly files: number;
  readonly directories: number;
  readonly symlinks: number;
  readonly specials: number;
  readonly hardlinks: number;
  readonly bytes: number;
  readonly unchanged: number;
  /** Of files that are unchanged. */
  readonly unchangedBytes: number;
  readonly deleted: number;
  readonly failed: number;
  /** Attributes that this user or the target's file system cannot keep. */
  readonly attributesLeft: number;
  readonly totalFiles: number;
  readonly totalBytes: number;
  readonly counted: boolean;
}

/** What became of one entry of the target, or would in a dry run. */
export interface CopyChange {
  readonly path: string;
  readonly what: "new" | "content" | "attributes" | "kind" | "delete";
  readonly kind: "file" | "directory" | "symlink" | "special";
  readonly bytes: number;
  /** How a file's bytes were moved; null where none were. */
  readonly method: CopyMethod | null;
}

/** Something that could not be copied; the rest was. */
export interface CopyProblem {
  readonly path: string;
  readonly code: ErrorCode;
  /** The whole sentence: `Cannot open "x": permission denied`. */
  readonly message: string;
}

/** What the targets have and the sources have not, out of so many entries. */
export interface CopyDeletions {
  readonly entries: number;
  readonly directories: number;
  readonly of: number;
}

/** One answer of {@linkcode CopyRun.next}. */
export interface CopyNews {
  readonly done: boolean;
  readonly progress: CopyProgress;
  readonly changes: readonly CopyChange[];
  readonly problems: readonly CopyProblem[];
  /** Files by the way in which their bytes moved. */
  readonly methods: Readonly<Record<string, number>>;
  /** Once everything else is done: the copy waits for {@linkcode CopyRun.delete}. */
  readonly deletions?: CopyDeletions | undefined;
  /** Jobs that a thread took from another, and how often one had nothing to do. */
  readonly steals: number;
  readonly sleeps: number;
}

type Numbers<K extends string> = Record<K, number | bigint>;

interface NativeNews {
  done: boolean;
  progress: Record<string, number | bigint> & { counted: boolean };
  changes: {
    path: Uint8Array;
    what: CopyChange["what"];
    kind: number;
    bytes: number | bigint;
    method: string;
  }[];
  problems: { path: Uint8Array; kind: number; text: string }[];
  methods: Numbers<string>;
  deletions: Numbers<keyof CopyDeletions> | null;
  steals: number | bigint;
  sleeps: number | bigint;
}

/** Kinds by their number; what is not listed is a special. */
const KINDS = ["special", "file", "directory", "symlink"] as const;

/** A copy in progress. Disposing of it stops it and waits until nothing is under way. */
export class CopyRun implements AsyncDisposable {
  readonly #queue: NativeQueue;
  readonly #copy: number;
  #closed = false;

  private constructor(queue: NativeQueue, copy: number) {
    this.#queue = queue;
    this.#copy = copy;
  }

  /**
   * Starts a copy.
   *
   * @throws {WormholeError} INVALID_ARGUMENT for a number or a pattern that cannot be used; what is wrong with a
   * root is a problem of {@linkcode CopyRun.next}.
   */
  static async open(queue: NativeQueue, policy: CopyPolicy): Promise<CopyRun> {
    const { roots, journal, ...rest } = policy;
    const { copy } = await queue.call<{ copy: number }>("copy.open", {
      ...Object.fromEntries(Object.entries(rest).map(([key, value]) => [snake(key), value])),
      roots: roots.map(({ source, target }) => ({ source: encodeName(source), target: encodeName(target) })),
      ...journal !== undefined && { journal: encodeName(journal) },
    });
    return new CopyRun(queue, copy);
  }

  /** Waits until there is something to tell or the copy is done, `waitMs` (at most 10,000) at most. */
  async next({ waitMs, signal }: CallOptions & { waitMs: number }): Promise<CopyNews> {
    const news = await this.#queue.call<NativeNews>(
      "copy.next",
      { copy: this.#copy, wait_ms: waitMs },
      { signal },
    );
    const { counted, ...counts } = news.progress;
    return {
      done: news.done,
      progress: { ...numbers(counts), counted } as unknown as CopyProgress,
      changes: news.changes.map(({ path, what, kind, bytes, method }) => ({
        path: decodeName(path),
        what,
        kind: KINDS[kind] ?? "special",
        bytes: Number(bytes),
        method: method === "" ? null : method as CopyMethod,
      })),
      problems: news.problems.map(({ path, kind, text }) => (
        { path: decodeName(path), code: errorCode(kind), message: text }
      )),
      methods: numbers(news.methods),
      deletions: news.deletions === null ? undefined : numbers(news.deletions) as unknown as CopyDeletions,
      steals: Number(news.steals),
      sleeps: Number(news.sleeps),
    };
  }

  /** Answers {@linkcode CopyNews.deletions}: deletes what was listed, or (`go: false`) ends the copy without. */
  async delete({ go }: { go: boolean }): Promise<void> {
    await this.#queue.call("copy.delete", { copy: this.#copy, go });
  }

  /** Begins to stop: what is under way is removed, what is complete stays; `next` says when it is done. */
  async cancel(): Promise<void> {
    await this.#queue.call("copy.cancel", { copy: this.#copy });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#queue.call("copy.close", { copy: this.#copy });
  }
}

function numbers(counts: Record<string, number | bigint>): Record<string, number> {
  const keep = (key: string) => key in METHOD_KEYS ? key : camel(key);
  return Object.fromEntries(Object.entries(counts).map(([key, value]) => [keep(key), Number(value)]));
}

/** Names of methods stay as the person writes them. */
const METHOD_KEYS = { copy_file_range: 1, io_uring: 1, read_write: 1 };

function snake(key: string): string {
  return key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

function camel(key: string): string {
  return key.replace(/_([a-z])/g, (_, letter) => letter.toUpperCase());
}
