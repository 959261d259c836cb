import { anySignal } from "../base/any_signal.ts";
import { type Clock, systemClock } from "../base/clock.ts";

/** Options of {@linkcode withDeadline}. */
export interface DeadlineOptions {
  readonly ms: number;
  /** Makes what is thrown when the time is up; `cause` is how `run` then ended. */
  readonly late: (cause: unknown) => Error;
  readonly clock?: Clock;
  readonly signal?: AbortSignal;
}

/** Runs `run` with a signal that aborts after `ms` or with the caller's signal. */
export async function withDeadline<T>(
  run: (signal: AbortSignal) => Promise<T>,
  { ms, late, clock = systemClock, signal }: DeadlineOptions,
): Promise<T> {
  const deadline = new AbortController();
  using _timer = clock.timer(ms, () => deadline.abort());
  try {
    return await run(anySignal(signal, deadline.signal));
  } catch (error) {
    if (signal?.aborted || !deadline.signal.aborted) throw error;
    throw late(error);
  }
}
