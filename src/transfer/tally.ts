/** Adds up what a transfer does over one link after the other; pure. */
import type { Progress, TransferOutcome } from "./outcome.ts";

/** One transfer's numbers over all its links. */
export class Tally {
  readonly #finds: boolean;
  /** Of links that are gone. */
  #before = { bytesDone: 0, bytesFound: 0, filesDone: 0, bytesWire: 0, durationMs: 0 };
  /** Of the link in use, as of the whole transfer. */
  #now: Progress | undefined;

  /**
   * `finds`: what came over earlier links is found again, and is a part of every link's progress (at the receiver); else
   * a link's progress is about that link alone (at the sender, which is asked for what is missing only).
   */
  constructor({ finds }: { finds: boolean }) {
    this.#finds = finds;
  }

  /** Begins with another link, `tookMs` after the last one began. */
  renew(tookMs: number): void {
    const { bytesDone, bytesFound, filesDone, bytesWire } = this.#now ?? this.#before;
    const durationMs = this.#before.durationMs + tookMs;
    this.#before = { bytesDone, bytesFound, filesDone, bytesWire, durationMs };
    this.#now = undefined;
  }

  /** Gives progress over a link as that of the whole transfer; it never goes back. */
  progress(progress: Progress): Progress {
    const { bytesTotal = Infinity, filesTotal = Infinity, phase } = progress;
    const whole = (own: number, before: number, total: number) =>
      phase === "done" ? own : Math.min(total, this.#finds ? Math.max(own, before) : own + before);
    this.#now = {
      ...progress,
      bytesDone: whole(progress.bytesDone, this.#before.bytesDone, bytesTotal),
      bytesFound: this.#found(progress.bytesFound),
      filesDone: whole(progress.filesDone, this.#before.filesDone, filesTotal),
      bytesWire: progress.bytesWire + this.#before.bytesWire,
    };
    return this.#now;
  }

  /** Gives the outcome over the last link as that of the whole transfer. */
  outcome(outcome: TransferOutcome): TransferOutcome {
    return {
      ...outcome,
      bytesFound: this.#finds ? this.#found(outcome.bytesFound) : outcome.bytesFound,
      bytesWire: outcome.bytesWire + this.#before.bytesWire,
      durationMs: outcome.durationMs + this.#before.durationMs,
    };
  }

  /** What came over earlier links is found again, yet was not here before the transfer. */
  #found(own: number): number {
    const { bytesDone, bytesFound } = this.#before;
    if (!this.#finds) return own + bytesFound;
    return Math.max(bytesFound, own - (bytesDone - bytesFound));
  }
}
