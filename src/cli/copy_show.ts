import type { CopyChange, CopyProblem, CopyProgress } from "../copy/mod.ts";
import type { Context } from "./context.ts";
import type { ProgressEvent } from "./events.ts";
import { counted } from "./format.ts";
import { ProgressMeter, REDRAW_MS, SpeedEstimator } from "./progress.ts";
import { progressText } from "./progress_line.ts";

/** Failures that a person sees one by one; scripts get all of them. */
const MAX_SHOWN_FAILURES = 50;

/** How often a line of progress is written where nothing can be drawn over. */
const LINE_MS = 5000;

/** Shorter copies show no progress: it would only flicker. */
const WORTH_SHOWING_MS = 500;

/** Columns of a progress line that goes into a file or pipe. */
const LINE_COLUMNS = 120;

/** Turns what a copy tells into events. */
export class CopyShow {
  readonly #context: Pick<
    Context<{ readonly json: boolean; readonly quiet: boolean }>,
    "args" | "output" | "clock" | "terminal"
  >;
  readonly #dryRun: boolean;
  /** Whether progress is shown: where it can be drawn, everywhere, or nowhere. */
  readonly #progress: boolean | undefined;
  readonly #meter: ProgressMeter;
  readonly #files = new SpeedEstimator();
  readonly #started: number;
  #lineAt: number;
  #failures = 0;

  constructor(
    context: Pick<
      Context<{ readonly json: boolean; readonly quiet: boolean }>,
      "args" | "output" | "clock" | "terminal"
    >,
    { dryRun, progress }: { dryRun: boolean; progress: boolean | undefined },
  ) {
    this.#context = context;
    this.#dryRun = dryRun;
    this.#progress = progress;
    this.#meter = new ProgressMeter(context.clock);
    this.#started = this.#lineAt = context.clock.monotonic();
    this.#files.add(this.#started, 0);
  }

  /** Whether anybody sees progress, in whatever form. */
  get showsProgress(): boolean {
    const { args, terminal } = this.#context;
    if (this.#progress === false || args.quiet && !args.json) return false;
    return this.#progress === true || args.json || terminal.canRedraw;
  }

  change({ path, what, kind, bytes, method }: CopyChange): void {
    this.#context.output.emit({ event: "change", path, what, kind, bytes, method, dry_run: this.#dryRun });
  }

  problem({ path, code, message }: CopyProblem): void {
    this.#failures++;
    if (this.#failures > MAX_SHOWN_FAILURES && !this.#context.args.json) return;
    this.#context.output.emit({ event: "file_failed", name: path, code, message });
  }

  /** Tells how many failures were not shown, and what could not be kept. */
  end({ attributesLeft }: Pick<CopyProgress, "attributesLeft">): void {
    const { output, args } = this.#context;
    const more = this.#failures - MAX_SHOWN_FAILURES;
    if (more > 0 && !args.json) {
      output.emit({ event: "warning", message: `${counted(more, "more entry", "more entries")} failed` });
    }
    if (attributesLeft === 0) return;
    const message = `${
      counted(attributesLeft, "attribute")
    } cannot be kept there, or by this user; --preserve=all names them`;
    output.emit({ event: "warning", message });
  }

  progress(progress: CopyProgress): void {
    const { output, clock, terminal, args } = this.#context;
    const now = clock.monotonic();
    this.#files.add(now, doneOf(progress));
    if (this.#progress === false || now - this.#started < WORTH_SHOWING_MS) return;
    const event = this.#meter.event(countersOf(progress));
    if (event === undefined) return;
    const shown = withFiles(event, progress, this.#files.rate(now));
    output.emit(shown);
    if (
      !this.#progress || args.json || args.quiet || terminal.canRedraw ||
      now - this.#lineAt < LINE_MS - REDRAW_MS
    ) return;
    this.#lineAt = now;
    terminal.write(`${progressText(shown, LINE_COLUMNS)}\n`);
  }
}

function countersOf(progress: CopyProgress) {
  const { bytes, totalBytes, unchanged, unchangedBytes, failed, totalFiles, counted } = progress;
  return {
    bytes,
    // What stays is not copied, so it is no part of what is to be copied.
    bytes_total: counted ? Math.max(bytes, totalBytes - unchangedBytes) : null,
    files: doneOf(progress),
    files_total: counted ? totalFiles : null,
    name: null,
    unchanged,
    failed,
  };
}

/** Entries that need nothing more: files under each of their names, symlinks, specials. */
function doneOf({ files, symlinks, specials, hardlinks, unchanged }: CopyProgress): number {
  return files + symlinks + specials + hardlinks + unchanged;
}

/** Adds files/s, and lets the slower of bytes and files say the time that is left: small files cost more than their bytes. */
function withFiles(event: ProgressEvent, progress: CopyProgress, rate: number): ProgressEvent {
  const rest = Math.max(0, progress.totalFiles - doneOf(progress) - progress.failed);
  const byFiles = rate > 0 ? Math.round(rest / rate * 1000) : 0;
  const eta = event.eta_ms === null ? null : Math.max(event.eta_ms, byFiles);
  return { ...event, eta_ms: eta, files_per_second: Math.round(rate) };
}
