/**
 * A look at a folder that begins before its run can: as long as a walk takes, modules are loaded, and another machine is found and
 * shakes hands.
 *
 * What it saw counts only for a run that locks the folder in the state in which it was before the look: nobody else's run was at
 * work on it in between, so that nothing that is known of the folder is newer than what was seen. docs/design/sync.md §5.
 */
import type { Clock, Timer } from "../base/clock.ts";
import { WormholeError } from "../base/errors.ts";
import { NativeQueue } from "../native/queue.ts";
import { ignoreRules } from "./ignore_rules.ts";
import { type SummedWalk, sumWalk } from "./open_walk.ts";
import { restingState } from "./own_folder.ts";

/** How old a look may be when its run begins, in ms: what changes meanwhile is only seen by the next run. */
const MAX_AGE_MS = 10_000;

/** What is looked at. */
export interface Look {
  readonly root: string;
  /** What is left alone, by the ignore files and locks of both ends. */
  readonly rules: readonly string[];
  readonly exclude: readonly string[];
  readonly oneFileSystem: boolean;
}

/** What {@linkcode LookAhead.begin} needs. */
export interface LookAheadOptions extends Omit<Look, "rules"> {
  /** What is likely to be left alone; what the folder's own ignore file says when left out. */
  readonly rules?: readonly string[];
  /** It stays the caller's; one of its own when left out. */
  readonly queue?: NativeQueue;
  readonly clock: Pick<Clock, "monotonic" | "timer">;
}

/** See the top of this file. Whatever is in its way, nobody is told: the run that follows meets it too. */
export class LookAhead implements AsyncDisposable {
  readonly #look: Look;
  readonly #state: string;
  readonly #expiry: Timer;
  readonly #over = new AbortController();
  readonly #own: NativeQueue | undefined;
  #walk: SummedWalk | undefined;

  private constructor(
    look: Look,
    state: string,
    { queue, clock }: Pick<LookAheadOptions, "queue" | "clock">,
  ) {
    this.#look = look;
    this.#state = state;
    if (queue === undefined) queue = this.#own = NativeQueue.open();
    const { root, rules, exclude, oneFileSystem } = look;
    this.#walk = sumWalk(root, rules, { queue, exclude, oneFileSystem, signal: this.#over.signal });
    this.#walk.sum.catch(() => {}); // Whoever takes it is told.
    this.#expiry = clock.timer(MAX_AGE_MS, () => void this.#drop());
  }

  /** Begins to look; undefined where that is of no use, such as for a folder that was never synchronized. */
  static async begin({ clock, queue, rules, ...look }: LookAheadOptions): Promise<LookAhead | undefined> {
    try {
      const root = await Deno.realPath(look.root);
      const state = restingState(root);
      if (state === undefined) return undefined;
      const known = { ...look, root, rules: rules ?? await ignoreRules(root) };
      return new LookAhead(known, state, { ...queue && { queue }, clock });
    } catch {
      // What is wrong with the folder its run will say.
      return undefined;
    }
  }

  /**
   * Gives the walk of just that look for a run that found the folder in `state` (`OwnFolder.found`), once; `signal` ends it.
   *
   * Whoever takes it closes it, and disposes of this only after that.
   */
  take(look: Look, state: string | undefined, signal?: AbortSignal): SummedWalk | undefined {
    if (state !== this.#state || keyOf(look) !== keyOf(this.#look)) return undefined;
    const walk = this.#walk;
    this.#walk = undefined;
    if (signal?.aborted) this.#over.abort(signal.reason);
    signal?.addEventListener("abort", () => this.#over.abort(signal.reason), { once: true });
    return walk;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#expiry.cancel();
    await this.#drop();
    await this.#own?.close();
  }

  /** Forgets what nobody has taken. */
  async #drop(): Promise<void> {
    const walk = this.#walk;
    this.#walk = undefined;
    if (walk === undefined) return;
    this.#over.abort(new WormholeError("CANCELLED", "nobody needs that look any more"));
    await (await walk.walk.catch(() => undefined))?.[Symbol.asyncDispose]();
  }
}

function keyOf({ root, rules, exclude, oneFileSystem }: Look): string {
  return JSON.stringify([root, rules, exclude, oneFileSystem]);
}
