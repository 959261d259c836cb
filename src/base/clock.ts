/** Time, passed in: the system's clock for the program and a simulated one for tests. */

/** What tells the time and waits. */
export interface Clock {
  /** Wall-clock time in ms since 1970; may jump. */
  now(): number;
  /** Time in ms from some fixed moment; never goes back. For measuring and for deadlines. */
  monotonic(): number;
  /** Calls `run` once after `ms`; disposing the timer before then prevents it. */
  timer(ms: number, run: () => void): Timer;
  /** Resolves after `ms`; rejects with the signal's reason when aborted. */
  sleep(ms: number, options?: { signal?: AbortSignal }): Promise<void>;
}

/** A call that is still to come; see {@linkcode Clock.timer}. */
export interface Timer extends Disposable {
  /** Prevents the call; nothing happens when it was made already. */
  cancel(): void;
}

/** The system's clock. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  timer(ms, run) {
    const id = setTimeout(run, ms);
    return timerThatCancels(() => clearTimeout(id));
  },
  sleep(ms, options) {
    return sleepOn(systemClock, ms, options?.signal);
  },
};

interface Planned {
  readonly at: number;
  readonly order: number;
  readonly run: () => void;
}

/** A clock that stands still until a test moves it with {@linkcode SimulatedClock.advance}. */
export class SimulatedClock implements Clock {
  #elapsed = 0;
  #order = 0;
  readonly #start: number;
  readonly #planned = new Set<Planned>();

  /** `start` is the wall-clock time in ms at which the clock begins. */
  constructor({ start = Date.UTC(2025, 0, 1) }: { start?: number } = {}) {
    this.#start = start;
  }

  now(): number {
    return this.#start + this.#elapsed;
  }

  monotonic(): number {
    return this.#elapsed;
  }

  timer(ms: number, run: () => void): Timer {
    const planned: Planned = { at: this.#elapsed + Math.max(0, ms), order: this.#order++, run };
    this.#planned.add(planned);
    return timerThatCancels(() => this.#planned.delete(planned));
  }

  sleep(ms: number, options: { signal?: AbortSignal } = {}): Promise<void> {
    return sleepOn(this, ms, options.signal);
  }

  /** Timers that have not run yet. */
  get pending(): number {
    return this.#planned.size;
  }

  /**
   * Moves time on by `ms` and runs every timer that falls due, in order; between two timers the
   * promises that the first one settled get their turn, so timers they set are seen too.
   */
  async advance(ms: number): Promise<void> {
    const end = this.#elapsed + ms;
    await settle();
    for (let next = this.#next(end); next; next = this.#next(end)) {
      this.#planned.delete(next);
      this.#elapsed = next.at;
      next.run();
      await settle();
    }
    this.#elapsed = end;
  }

  #next(end: number): Planned | undefined {
    let first: Planned | undefined;
    for (const one of this.#planned) {
      if (one.at > end) continue;
      if (!first || one.at < first.at || (one.at === first.at && one.order < first.order)) first = one;
    }
    return first;
  }
}

/** Lets promises that are ready run: one turn of the event loop, in which no time passes. */
function settle(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}

function timerThatCancels(cancel: () => void): Timer {
  return { cancel, [Symbol.dispose]: cancel };
}

function sleepOn(clock: Clock, ms: number, signal: AbortSignal | undefined): Promise<void> {
  if (signal?.aborted) return Promise.reject(signal.reason);
  return new Promise((resolve, reject) => {
    const timer = clock.timer(ms, () => {
      signal?.removeEventListener("abort", abort);
      resolve();
    });
    const abort = () => {
      timer.cancel();
      reject(signal!.reason);
    };
    signal?.addEventListener("abort", abort, { once: true });
  });
}
