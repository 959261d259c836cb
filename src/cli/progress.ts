/** From raw counters to progress events: speed, time left, pace; pure but for the clock. */
import type { Clock } from "../base/clock.ts";
import type { ProgressEvent } from "./events.ts";

/** Least time between two events or drawings: ten per second are smooth enough. */
export const REDRAW_MS = 100;

/** Time over which speed is averaged; shorter jumps, longer lags behind a change of path. */
const SPEED_WINDOW_MS = 4000;

/** Least time before a speed is believed: the first buffers fill at the speed of memory. */
const SPEED_WARMUP_MS = 200;

interface Sample {
  readonly at: number;
  readonly bytes: number;
}

/** Average speed over the last few seconds. */
export class SpeedEstimator {
  readonly #samples: Sample[] = [];

  /** Takes the number of bytes done at monotonic time `at`. A number that goes back starts anew. */
  add(at: number, bytes: number): void {
    const last = this.#samples.at(-1);
    if (last && bytes < last.bytes) this.#samples.length = 0;
    this.#samples.push({ at, bytes });
    while (this.#samples.length > 2 && this.#samples[1]!.at <= at - SPEED_WINDOW_MS) this.#samples.shift();
  }

  /** Gives bytes/s as seen at `at`: falls towards 0 while nothing comes; 0 before there is enough to tell. */
  rate(at: number): number {
    const first = this.#samples[0];
    const last = this.#samples.at(-1);
    if (!first || !last || at - first.at < SPEED_WARMUP_MS) return 0;
    return (last.bytes - first.bytes) / ((at - first.at) / 1000);
  }
}

/** What a transfer counts. */
export type Counters = Omit<ProgressEvent, "event" | "bytes_per_second" | "eta_ms">;

/** Makes events from counters, no faster than people can read. */
export class ProgressMeter {
  readonly #clock: Clock;
  readonly #speed = new SpeedEstimator();
  #lastEvent = -Infinity;
  /** Bytes that came over the network. */
  #moved = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#speed.add(clock.monotonic(), 0);
  }

  /**
   * Gives the event for `counters`; undefined when the last one is too recent (`final` is never). `found` of the bytes
   * were there before and say nothing of the speed.
   */
  event(
    counters: Counters,
    { found = 0, final = false }: { found?: number; final?: boolean } = {},
  ): ProgressEvent | undefined {
    const now = this.#clock.monotonic();
    if (!final && now - this.#lastEvent < REDRAW_MS) return undefined;
    this.#lastEvent = now;
    // What is found late may be counted before it is known to be found.
    this.#moved = Math.max(this.#moved, counters.bytes - found);
    this.#speed.add(now, this.#moved);
    const rate = this.#speed.rate(now);
    return {
      event: "progress",
      ...counters,
      bytes_per_second: Math.round(rate),
      eta_ms: timeLeft(counters, rate),
    };
  }
}

/** Gives the ms to go at `rate`; null when nobody can tell. */
export function timeLeft({ bytes, bytes_total }: Pick<Counters, "bytes" | "bytes_total">, rate: number) {
  if (bytes_total === null) return null;
  const rest = Math.max(0, bytes_total - bytes);
  if (rest === 0) return 0;
  return rate > 0 ? Math.round(rest / rate * 1000) : null;
}
