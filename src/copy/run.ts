import { WormholeError } from "../base/errors.ts";
import {
  type CopyChange,
  type CopyNews,
  type CopyPolicy,
  type CopyProblem,
  type CopyProgress,
  CopyRun,
} from "../native/copy.ts";
import { NativeQueue } from "../native/queue.ts";
import type { Deletions } from "./brake.ts";
import { emptiness } from "./disk.ts";
import { makeJournalPath } from "./journal.ts";
import type { Root } from "./places.ts";
import { type Existing, existingOf, type Method, type Preserve } from "./policy.ts";

/** Longest that the native side keeps news back, in ms: the pace of a progress line. */
const NEWS_MS = 100;

/** What is copied, how, and who hears of it. */
export interface CopyOptions {
  readonly roots: readonly Root[];
  readonly existing: Existing;
  /** With `existing: "differs"`: by content. */
  readonly checksum?: boolean;
  /** Delete what the sources do not have, once `mayDelete` has said so. */
  readonly deletes?: boolean;
  readonly dryRun?: boolean;
  /** Tell of every entry that is changed. */
  readonly itemize?: boolean;
  readonly preserve: Preserve;
  readonly exclude?: readonly string[];
  readonly oneFileSystem?: boolean;
  readonly method?: Method;
  /** Large files past the page cache, where the file system can. */
  readonly directIo?: boolean;
  /** `make` holes of zeros, `fill` them, `keep` what there is. */
  readonly sparse?: "keep" | "make" | "fill";
  readonly preallocate?: boolean;
  /** Bytes; 0: chosen by the native side, as with the next three. */
  readonly bufferSize?: number;
  readonly threads?: number;
  /** Each thread stays on a core of its own. */
  readonly pin?: boolean;
  /** Somebody watches: find out how much there is before the end. */
  readonly countAhead?: boolean;
  readonly queueDepth?: number;
  readonly maxFilesInFlight?: number;
  readonly verify?: boolean;
  readonly fsync?: "none" | "end" | "each";
  readonly retries?: number;
  /** Keep a journal below this state folder, so that a run that is stopped can be gone on with. */
  readonly journalIn?: { readonly stateDir: string; readonly nowMs: number };
  /** Go on where the journal ends. */
  readonly resume?: boolean;
  readonly onProgress?: (progress: CopyProgress) => void;
  readonly onChange?: (change: CopyChange) => void;
  readonly onProblem?: (problem: CopyProblem) => void;
  /** Decides on what would be deleted, once everything is copied. */
  readonly mayDelete?: (deletions: Deletions) => Promise<boolean>;
  readonly signal?: AbortSignal;
}

/** How a copy ended. */
export interface CopyOutcome {
  readonly progress: CopyProgress;
  /** Files by the way in which their bytes moved. */
  readonly methods: Readonly<Record<string, number>>;
  /** The signal stopped it. */
  readonly interrupted: boolean;
  /** `mayDelete` said no. */
  readonly undeleted: boolean;
}

/**
 * Copies; single failures go to `onProblem` and are counted.
 *
 * @throws {WormholeError} what ends all of it at once: the library is missing, a target's folder cannot be opened.
 */
export async function copy(options: CopyOptions): Promise<CopyOutcome> {
  const { roots, journalIn, resume = false, dryRun = false, signal } = options;
  signal?.throwIfAborted();
  // A look at what would be copied again leaves nothing behind.
  const journal = journalIn === undefined || dryRun
    ? undefined
    : await makeJournalPath(journalIn.stateDir, roots, journalIn).catch((error) => {
      if (resume) throw error;
      return undefined; // nobody asked for it
    });
  const hollow = options.deletes ? hollowRoot(roots) : undefined;
  await using queue = NativeQueue.open();
  await using run = await CopyRun.open(queue, policyOf(options, journal));
  const cancel = () => void run.cancel().catch(() => {}); // The loop below hears why.
  signal?.addEventListener("abort", cancel, { once: true });
  if (signal?.aborted) cancel();
  try {
    const outcome = await follow(run, { ...options, hollow });
    const whole = !outcome.interrupted && outcome.progress.failed === 0;
    if (journal !== undefined && whole) await Deno.remove(journal).catch(ignoreMissing);
    return outcome;
  } finally {
    signal?.removeEventListener("abort", cancel);
  }
}

async function follow(
  run: CopyRun,
  { onProgress, onChange, onProblem, mayDelete, hollow, signal }: CopyOptions & {
    hollow: Deletions["hollow"];
  },
): Promise<CopyOutcome> {
  let asked = false;
  let undeleted = false;
  for (;;) {
    const news: CopyNews = await run.next({ waitMs: NEWS_MS });
    for (const problem of news.problems) onProblem?.(problem);
    for (const change of news.changes) onChange?.(change);
    onProgress?.(news.progress);
    if (news.done) {
      return {
        progress: news.progress,
        methods: news.methods,
        interrupted: signal?.aborted ?? false,
        undeleted,
      };
    }
    if (news.deletions === undefined || asked || signal?.aborted) continue;
    asked = true;
    const deletions = { ...news.deletions, hollow, failed: news.progress.failed };
    const go = await mayDelete?.(deletions) ?? false;
    undeleted = !go && news.deletions.entries > 0;
    if (!signal?.aborted) await run.delete({ go });
  }
}

function policyOf(options: CopyOptions, journal: string | undefined): CopyPolicy {
  const { existing, checksum = false, deletes = false, dryRun = false, itemize = dryRun } = options;
  return {
    roots: options.roots,
    threads: options.threads ?? 0,
    pin: options.pin ?? false,
    countAhead: options.countAhead ?? false,
    queueDepth: options.queueDepth ?? 0,
    maxFilesInFlight: options.maxFilesInFlight ?? 0,
    bufferSize: options.bufferSize ?? 0,
    method: options.method ?? "auto",
    directIo: options.directIo ?? false,
    sparse: options.sparse ?? "keep",
    preallocate: options.preallocate ?? false,
    preserve: options.preserve,
    oneFileSystem: options.oneFileSystem ?? false,
    exclude: options.exclude ?? [],
    ...existingOf({ existing, checksum, resume: options.resume ?? false }),
    delete: deletes,
    dryRun,
    itemize,
    verify: options.verify ?? false,
    fsync: options.fsync ?? "end",
    retries: options.retries ?? 0,
    journal,
    resume: options.resume ?? false,
  };
}

/** Gives the first source folder that shows nothing. */
function hollowRoot(roots: readonly Root[]): Deletions["hollow"] {
  for (const { source, folder } of roots) {
    const state = folder ? emptiness(source) : undefined;
    if (state !== undefined) return { source, state };
  }
  return undefined;
}

function ignoreMissing(error: unknown): void {
  if (error instanceof Deno.errors.NotFound) return;
  throw new WormholeError(
    "IO",
    `Cannot remove the journal: ${error instanceof Error ? error.message : error}`,
  );
}
