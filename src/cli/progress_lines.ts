/** One progress line for each receiver, and one for those that do not fit; drawn over themselves. */
import type { Timer } from "../base/clock.ts";
import type { ProgressEvent } from "./events.ts";
import { formatRate, formatSize, shorten } from "./format.ts";
import { REDRAW_MS } from "./progress.ts";
import { isWorthShowing, type ProgressLineOptions, progressText } from "./progress_line.ts";

/** Receivers with a line of their own; more would scroll on a small terminal. */
const MAX_LINES = 8;

/** Draws the progress of several receivers below each other, at most ten times per second. */
export class ProgressLines {
  readonly #options: ProgressLineOptions;
  readonly #latest = new Map<number, ProgressEvent>();
  #begun: number | undefined;
  #drawnAt = -Infinity;
  /** Lines on the screen; the cursor is at the end of the last. */
  #rows = 0;
  #timer: Timer | undefined;
  #paused = false;

  constructor(options: ProgressLineOptions) {
    this.#options = options;
  }

  /** Takes the newest event of a receiver and draws it now or when the next drawing is due. */
  update(receiver: number, event: ProgressEvent): void {
    this.#latest.set(receiver, event);
    this.#begun ??= this.#options.clock.monotonic();
    this.#schedule();
  }

  /** A receiver has its end. */
  remove(receiver: number): void {
    this.#latest.delete(receiver);
  }

  /** Takes the lines away so that something else can be written. */
  pause(): void {
    this.#paused = true;
    this.#erase();
  }

  /** Lets the lines come back with the next event. */
  resume(): void {
    this.#paused = false;
    this.#drawnAt = -Infinity;
  }

  /** Takes the lines away for good. */
  close(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#latest.clear();
    this.#erase();
  }

  #schedule(): void {
    if (this.#timer || this.#paused) return;
    const wait = this.#drawnAt + REDRAW_MS - this.#options.clock.monotonic();
    if (wait <= 0) return this.#draw();
    this.#timer = this.#options.clock.timer(wait, () => {
      this.#timer = undefined;
      this.#draw();
    });
  }

  #draw(): void {
    const now = this.#options.clock.monotonic();
    const elapsed = now - (this.#begun ?? now);
    const events = [...this.#latest].sort(([a], [b]) => a - b);
    const isWorth = this.#rows > 0 || events.some(([, event]) => isWorthShowing(event, elapsed));
    if (this.#paused || !isWorth || events.length === 0) return;
    const lines = progressLines(events, this.#options.columns());
    this.#options.write(`${this.#toTop()}${lines.map((line) => `${line}\x1b[K`).join("\n")}\x1b[J`);
    this.#rows = lines.length;
    this.#drawnAt = now;
  }

  #erase(): void {
    if (this.#rows > 0) this.#options.write(`${this.#toTop()}\x1b[J`);
    this.#rows = 0;
  }

  #toTop(): string {
    return this.#rows > 1 ? `\x1b[${this.#rows - 1}A\r` : "\r";
  }
}

/** Gives the lines for receivers by number, each shorter than `columns`. */
export function progressLines(
  events: readonly (readonly [receiver: number, event: ProgressEvent])[],
  columns: number,
): string[] {
  const width = String(events.at(-1)?.[0] ?? 0).length;
  const lines = events.slice(0, MAX_LINES).map(([receiver, event]) => {
    const label = `${String(receiver).padStart(width)}: `;
    return label + progressText(event, Math.max(1, columns - label.length));
  });
  const others = events.slice(MAX_LINES).map(([, event]) => event);
  if (others.length > 0) lines.push(shorten(othersText(others), Math.max(1, columns - 1)));
  return lines;
}

function othersText(events: readonly ProgressEvent[]): string {
  const sum = (of: (event: ProgressEvent) => number) => events.reduce((sum, event) => sum + of(event), 0);
  const total = events.some(({ bytes_total }) => bytes_total === null)
    ? ""
    : `/${formatSize(sum(({ bytes_total }) => bytes_total ?? 0))}`;
  const rate = formatRate(sum(({ bytes_per_second }) => bytes_per_second));
  return `and ${events.length} more: ${formatSize(sum(({ bytes }) => bytes))}${total}  ${rate}`;
}
