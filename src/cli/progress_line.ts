/** The progress line: drawn over itself, gone when done. */
import type { Clock, Timer } from "../base/clock.ts";
import type { ProgressEvent, ReconnectingEvent } from "./events.ts";
import { displayWidth, formatDuration, formatRate, formatSize, shorten } from "./format.ts";
import { reconnectingText } from "./human.ts";
import { REDRAW_MS } from "./progress.ts";
import { safe } from "./safe.ts";

/** A transfer shorter than this shows no line: it would only flicker. */
const WORTH_SHOWING_MS = 1000;

/** Time after the first event before a line may appear, so that its guess of the time left is sound. */
const FIRST_LOOK_MS = 300;

/** How often the time until the next attempt is counted down. */
const COUNT_MS = 1000;

const MIN_BAR = 10;
const MAX_BAR = 30;
const MIN_NAME = 12;

/** What a progress line needs from its terminal. */
export interface ProgressLineOptions {
  readonly write: (text: string) => void;
  readonly columns: () => number;
  readonly clock: Clock;
}

/** Draws progress events on one line of a terminal, at most ten times per second. */
export class ProgressLine {
  readonly #options: ProgressLineOptions;
  #latest: ProgressEvent | undefined;
  #begun: number | undefined;
  #drawnAt = -Infinity;
  #drawn = "";
  #timer: Timer | undefined;
  #paused = false;
  /** The lost connection that is shown instead of progress. */
  #waiting: { attempt: number; triesAt: number; givesUpAt: number } | undefined;

  constructor(options: ProgressLineOptions) {
    this.#options = options;
  }

  /** Takes the newest event and draws it now or when the next drawing is due. */
  update(event: ProgressEvent): void {
    if (this.#waiting !== undefined) this.#endCount();
    this.#latest = event;
    this.#begun ??= this.#options.clock.monotonic();
    this.#schedule();
  }

  /** Shows, and counts down, that the connection is tried again; until the next event, or `waitOver`. */
  wait({ attempt, wait_ms, left_ms }: ReconnectingEvent): void {
    const now = this.#options.clock.monotonic();
    this.#endCount();
    this.#waiting = { attempt, triesAt: now + wait_ms, givesUpAt: now + left_ms };
    this.#count();
  }

  /** There is a connection again. */
  waitOver(): void {
    if (this.#waiting !== undefined) this.#endCount();
  }

  /** Takes the line away so that something else can be written. */
  pause(): void {
    this.#paused = true;
    this.#erase();
  }

  /** Lets the line come back with the next event. */
  resume(): void {
    this.#paused = false;
    this.#drawnAt = -Infinity;
  }

  /** Takes the line away for good. */
  close(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#latest = undefined;
    this.#begun = undefined;
    this.#waiting = undefined;
    this.#erase();
  }

  #endCount(): void {
    this.#waiting = undefined;
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #count(): void {
    this.#timer = undefined;
    if (this.#waiting === undefined) return;
    const { attempt, triesAt, givesUpAt } = this.#waiting;
    const now = this.#options.clock.monotonic();
    const left = { wait_ms: Math.max(0, triesAt - now), left_ms: Math.max(0, givesUpAt - now) };
    const text = reconnectingText({ attempt }, left);
    if (!this.#paused) this.#show(shorten(text, Math.max(1, this.#options.columns() - 1)));
    this.#timer = this.#options.clock.timer(COUNT_MS, () => this.#count());
  }

  #schedule(): void {
    if (this.#timer || this.#paused) return;
    const wait = this.#drawnAt + REDRAW_MS - this.#options.clock.monotonic();
    if (wait <= 0) this.#draw();
    else {
      this.#timer = this.#options.clock.timer(wait, () => {
        this.#timer = undefined;
        this.#draw();
      });
    }
  }

  #draw(): void {
    const event = this.#latest;
    const now = this.#options.clock.monotonic();
    if (
      !event || this.#paused || this.#waiting || !(this.#drawn || isWorthShowing(event, now - this.#begun!))
    ) return;
    this.#show(progressText(event, this.#options.columns()));
  }

  #show(line: string): void {
    this.#drawnAt = this.#options.clock.monotonic();
    if (line === this.#drawn) return;
    this.#drawn = line;
    this.#options.write(`\r${line}\x1b[K`);
  }

  #erase(): void {
    if (this.#drawn) this.#options.write("\r\x1b[K");
    this.#drawn = "";
  }
}

/** Tells whether a line should appear: at once when the end is unknown, else when a second or more remains. */
export function isWorthShowing(event: ProgressEvent, elapsedMs: number): boolean {
  if (event.bytes_total === null) return true;
  if (elapsedMs >= WORTH_SHOWING_MS) return true;
  return elapsedMs >= FIRST_LOOK_MS && (event.eta_ms === null || elapsedMs + event.eta_ms > WORTH_SHOWING_MS);
}

/**
 * Gives the line for `event`, shorter than `columns` so that it never wraps.
 *
 * Whatever does not fit is left out, the least telling first: bar, name, counts, path in use, speed.
 */
export function progressText(event: ProgressEvent, columns: number): string {
  const room = Math.max(1, columns - 1);
  const parts = tellingParts(event);
  while (parts.length > 1 && width(parts) > room) parts.splice(leastTelling(parts), 1);
  const text = parts.map((part) => part.text);
  let left = room - width(parts);
  const name = event.name === null ? "" : safe(event.name);
  const fraction = fractionOf(event);
  let bar = "";
  if (fraction !== undefined && left >= MIN_BAR + 2 + (name ? MIN_NAME + 2 : 0)) {
    const wanted = left - 2 - (name ? Math.min(displayWidth(name), Math.floor(left / 2)) + 2 : 0);
    bar = barText(fraction, Math.min(MAX_BAR, Math.max(MIN_BAR, wanted)));
    left -= displayWidth(bar) + 2;
  }
  if (bar) text.unshift(bar);
  if (name && left >= MIN_NAME + 2) text.unshift(shorten(name, left - 2));
  return shorten(text.join("  "), room);
}

interface Part {
  readonly text: string;
  /** The larger, the longer it stays on a narrow terminal. */
  readonly weight: number;
}

function tellingParts(event: ProgressEvent): Part[] {
  const { bytes, bytes_total: total, bytes_per_second: rate, eta_ms: eta } = event;
  const fraction = fractionOf(event);
  const parts: Part[] = [];
  if (fraction !== undefined) parts.push({ text: `${Math.floor(fraction * 100)}%`.padStart(4), weight: 6 });
  parts.push({
    text: total === null ? formatSize(bytes) : `${formatSize(bytes)}/${formatSize(total)}`,
    weight: 5,
  });
  if (event.files_total !== null && event.files_total > 1) {
    parts.push({ text: `${event.files}/${event.files_total} files`, weight: 1 });
  }
  if (rate > 0) parts.push({ text: formatRate(rate), weight: 3 });
  if (event.files_per_second) parts.push({ text: `${event.files_per_second} files/s`, weight: 2 });
  if (eta !== null && eta > 0) parts.push({ text: `ETA ${formatDuration(eta)}`, weight: 4 });
  if (event.transport !== undefined && event.transport !== "memory") {
    parts.push({ text: `${event.transport} ${event.path}`, weight: 2 });
  }
  return parts;
}

function leastTelling(parts: readonly Part[]): number {
  let least = 0;
  for (const [at, part] of parts.entries()) if (part.weight < parts[least]!.weight) least = at;
  return least;
}

function width(parts: readonly Part[]): number {
  return parts.reduce((sum, { text }) => sum + displayWidth(text), 0) + 2 * (parts.length - 1);
}

function fractionOf({ bytes, bytes_total }: ProgressEvent): number | undefined {
  if (bytes_total === null) return undefined;
  return bytes_total === 0 ? 1 : Math.min(1, Math.max(0, bytes / bytes_total));
}

function barText(fraction: number, columns: number): string {
  const done = Math.round(fraction * columns);
  return "█".repeat(done) + "░".repeat(columns - done);
}
