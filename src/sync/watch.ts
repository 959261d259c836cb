/**
 * Tells when to look at folders again: soon after something in them changed, and every now and then in any case, since
 * what the system says of changes is a hint and never the whole truth.
 */
import type { Clock } from "../base/clock.ts";
import { OWN_FOLDER } from "./places.ts";

/** Quiet after a change before it is looked at: programs write files in several steps. */
const QUIET_MS = 300;

/** Longest wait for quiet, so that a folder in which somebody always writes is looked at too. */
const MAX_WAIT_MS = 1000;

/** Options of {@linkcode FolderWatch.open}. */
export interface WatchOptions {
  readonly roots: readonly string[];
  /** Longest time between two looks, in ms. */
  readonly intervalMs: number;
  readonly clock: Clock;
  onWarning?(sentence: string): void;
}

/** A watch of folders. Dispose it to end it. */
export class FolderWatch implements Disposable {
  readonly #options: WatchOptions;
  readonly #watcher: Deno.FsWatcher | undefined;
  #isDirty = false;
  #wake: (() => void) | undefined;

  private constructor(options: WatchOptions, watcher: Deno.FsWatcher | undefined) {
    this.#options = options;
    this.#watcher = watcher;
    if (watcher !== undefined) void this.#follow(watcher);
  }

  /** Begins to watch; where the system cannot, only the interval counts. */
  static open(options: WatchOptions): FolderWatch {
    return new FolderWatch(options, watcherOf(options));
  }

  /** Resolves when it is time for another look; rejects with the signal's reason. */
  async next(signal: AbortSignal): Promise<void> {
    const { intervalMs, clock } = this.#options;
    if (!this.#isDirty) await this.#waitFor(intervalMs, signal);
    if (!this.#isDirty) return;
    const end = clock.monotonic() + MAX_WAIT_MS;
    do {
      this.#isDirty = false;
      await this.#waitFor(QUIET_MS, signal);
    } while (this.#isDirty && clock.monotonic() < end);
    this.#isDirty = false;
  }

  /** Makes {@linkcode FolderWatch.next} resolve soon: something was left to do. */
  touch(): void {
    this.#isDirty = true;
    this.#wake?.();
  }

  [Symbol.dispose](): void {
    this.#watcher?.close();
  }

  /** Waits until something changed, at most `ms`. */
  async #waitFor(ms: number, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const abort = () => reject(signal.reason);
    using _timer = this.#options.clock.timer(ms, resolve);
    this.#wake = resolve;
    signal.addEventListener("abort", abort, { once: true });
    try {
      await promise;
    } finally {
      this.#wake = undefined;
      signal.removeEventListener("abort", abort);
    }
  }

  async #follow(watcher: Deno.FsWatcher): Promise<void> {
    try {
      for await (const { kind, paths } of watcher) {
        // What sync does in its own folder is no news. No paths, or an overflow: anything may have changed.
        const isOwn = paths.length > 0 && paths.every((path) => path.includes(`/${OWN_FOLDER}`));
        if (kind !== "access" && !isOwn) this.touch();
      }
    } catch (error) {
      this.#options.onWarning?.(unwatchable(error, this.#options));
    }
  }
}

function watcherOf(options: WatchOptions): Deno.FsWatcher | undefined {
  try {
    return Deno.watchFs([...options.roots], { recursive: true });
  } catch (error) {
    options.onWarning?.(unwatchable(error, options));
    return undefined;
  }
}

function unwatchable(error: unknown, { intervalMs }: WatchOptions): string {
  const state = error instanceof Error ? error.message : String(error);
  return `Cannot watch the folders: ${state}; they are looked at every ${Math.round(intervalMs / 1000)} s`;
}
