import { type ErrorCode, errorCode } from "../base/errors.ts";
import { decodeName } from "../base/names.ts";
import type { NativeFailure, NativeProblem } from "../native/entries.ts";
import { MAX_LISTED_FAILURES, NO_PARENT } from "../wire/mod.ts";
import type { Receipt } from "./receipt.ts";

/** One entry that did not arrive. */
export interface FailedEntry {
  /** Its number in the manifest, where it has one. */
  readonly entry?: number;
  /** Path as far as known, by `decodeName`: show it through `printable`. */
  readonly path: string;
  readonly code: ErrorCode;
  /** A sentence for the person at this machine. */
  readonly message: string;
}

/** How a transfer ended that did not fail as a whole. */
export interface TransferOutcome {
  readonly kind: "files" | "text" | "stream";
  /** What is in place at the receiver. */
  readonly files: number;
  readonly directories: number;
  readonly symlinks: number;
  /** Bytes of content. */
  readonly bytes: number;
  /** Of those, what the receiver had before: left by an earlier transfer, or found on its disk; as it says, at the sender. */
  readonly bytesFound: number;
  /** Bytes that crossed the bulk streams. */
  readonly bytesWire: number;
  /** Entries that the receiver had already or did not want; 0 at the sender. */
  readonly skipped: number;
  /** The first failures; {@linkcode TransferOutcome.failedCount} counts all. */
  readonly failed: readonly FailedEntry[];
  readonly failedCount: number;
  /** What both ends noted of the transfer; left out where this end noted nothing. */
  readonly receipt?: Receipt;
  /** The received text. */
  readonly text?: string;
  /** From the answer to the end. */
  readonly durationMs: number;
}

/** How far a transfer is. */
export interface Progress {
  readonly phase: "counting" | "waiting" | "transferring" | "placing" | "done";
  readonly bytesDone: number;
  /** Of those, what was there before and says nothing of the speed. */
  readonly bytesFound: number;
  /** undefined: not known yet. */
  readonly bytesTotal: number | undefined;
  readonly filesDone: number;
  readonly filesTotal: number | undefined;
  readonly bytesWire: number;
  readonly failedCount: number;
}

/** Collects failures: the first ones by name, the rest by number. */
export class Failures {
  readonly #listed: FailedEntry[] = [];
  readonly #entries: { entry: number; code: ErrorCode }[] = [];
  #count = 0;

  /** All of them. */
  get count(): number {
    return this.#count;
  }

  /** The first ones. */
  get listed(): readonly FailedEntry[] {
    return this.#listed;
  }

  /** The first ones that have an id, for `done`. */
  get entries(): readonly { entry: number; code: ErrorCode }[] {
    return this.#entries;
  }

  add(failed: FailedEntry, entry?: number): void {
    this.#count++;
    const listed = entry === undefined || entry === NO_PARENT ? failed : { ...failed, entry };
    if (this.#listed.length < MAX_LISTED_FAILURES) this.#listed.push(listed);
    if (entry !== undefined && entry !== NO_PARENT && this.#entries.length < MAX_LISTED_FAILURES) {
      this.#entries.push({ entry, code: failed.code });
    }
  }

  /** Adds the native library's; `path` makes a path that a person knows out of its own. */
  addNative(
    failures: readonly (NativeProblem & Partial<NativeFailure>)[],
    path: (failure: NativeProblem & Partial<NativeFailure>) => string = ({ path }) => decodeName(path),
  ): void {
    for (const failure of failures) {
      this.add({ path: path(failure), code: errorCode(failure.kind), message: failure.text }, failure.entry);
    }
  }

  /** Counts failures that nobody can name. */
  addUnnamed(count: number): void {
    this.#count += count;
  }
}
