/**
 * When a session that lost its link tries again, and when it gives up: a pure machine. Events and the time (ms, of a
 * clock that only goes forward) go in, actions come out.
 */

/** What happened. */
export type PlanEvent =
  /** The link died; `moved`: it had carried the session on since it was made. */
  | { readonly type: "lost"; readonly moved: boolean }
  /** The attempt that `try` asked for came to nothing. */
  | { readonly type: "failed" }
  /** There is a link again. */
  | { readonly type: "connected" }
  /** This machine has other addresses than a moment ago. */
  | { readonly type: "network_changed" }
  /** The peer is known to be elsewhere than where the last attempt looked. */
  | { readonly type: "found" }
  /** The time that {@linkcode ReconnectPlan.deadline} told has come. */
  | { readonly type: "tick" };

/** What is to be done. */
export type PlanAction =
  /** Tell whoever watches: attempt `attempt`, from 1, begins in `waitMs`; `leftMs` until all is given up. */
  | { readonly type: "wait"; readonly attempt: number; readonly waitMs: number; readonly leftMs: number }
  | { readonly type: "try"; readonly attempt: number }
  /** End the attempt that is under way; it gives no `failed`. */
  | { readonly type: "abandon" }
  | { readonly type: "give_up" };

/** How long one attempt may take, in ms: TCP repeats its first packet after 1, 3 and 7 s. */
export const ATTEMPT_MS = 8000;

/**
 * The longest pause between two attempts, in ms. A network that comes back just after the last packet of an attempt is
 * met by the next one 1 + 6 s later; between two packets of one attempt there are at most 4 s. So it takes well below
 * 15 s, the handshake over a long path included.
 */
export const MAX_PAUSE_MS = 6000;

/**
 * An attempt that began longer ago than this, in ms, is not waited for when the network has changed: what it sent is lost, and
 * it repeats it ever more seldom.
 */
const STALE_MS = 1000;

/** Pauses before the first attempt, so that both ends do not dial at the same instant, and before the second. */
const FIRST_PAUSE_MS = 300;
const SECOND_PAUSE_MS = 1000;

/** Options of {@linkcode ReconnectPlan}. */
export interface ReconnectPlanOptions {
  /** Time after a loss, in ms, until it is given up. */
  readonly limitMs: number;
  /** Gives a number from 0 to below 1. */
  readonly random: () => number;
}

/** Decides for one session, over all losses of its link. */
export class ReconnectPlan {
  readonly #options: ReconnectPlanOptions;
  #state: "linked" | "waiting" | "trying" | "over" = "linked";
  /** Attempts since the link that last moved something. */
  #attempt = 0;
  /** Attempts since the back-off began. */
  #rung = 0;
  /** When the next attempt begins, or the last one began. */
  #triesAt = Infinity;
  #givesUpAt = Infinity;

  constructor(options: ReconnectPlanOptions) {
    this.#options = options;
  }

  /** When a tick is due, in ms; Infinity while nothing is to be waited for. */
  get deadline(): number {
    switch (this.#state) {
      case "waiting":
        return Math.min(this.#triesAt, this.#givesUpAt);
      case "trying":
        return this.#givesUpAt;
      default:
        return Infinity;
    }
  }

  /** Takes one event and gives what is to be done now. */
  handle(event: PlanEvent, now: number): PlanAction[] {
    if (this.#state === "over") return [];
    switch (event.type) {
      case "lost":
        // A link that carried nothing is no recovery: time goes on from the loss before it.
        if (event.moved || this.#givesUpAt === Infinity) {
          this.#attempt = this.#rung = 0;
          this.#givesUpAt = now + this.#options.limitMs;
        }
        return this.#pause(now);
      case "failed":
        return this.#state === "trying" ? this.#pause(now) : [];
      case "connected":
        this.#state = "linked";
        return [];
      case "network_changed":
        return this.#again(now, { staleMs: STALE_MS });
      case "found":
        return this.#again(now, { staleMs: 0 });
      case "tick":
        return this.#tick(now);
    }
  }

  /** Does not wait any longer, nor for an attempt that began `staleMs` ago or before. */
  #again(now: number, { staleMs }: { staleMs: number }): PlanAction[] {
    const isStale = this.#state === "trying" && now - this.#triesAt >= staleMs;
    if (this.#state !== "waiting" && !isStale) return [];
    if (this.#state === "waiting") this.#attempt--;
    this.#rung = 0;
    return [...isStale ? [{ type: "abandon" } as const] : [], ...this.#pause(now)];
  }

  #tick(now: number): PlanAction[] {
    if (this.#state === "linked") return [];
    if (now >= this.#givesUpAt) {
      this.#state = "over";
      return [{ type: "give_up" }];
    }
    if (this.#state !== "waiting" || now < this.#triesAt) return [];
    this.#state = "trying";
    this.#triesAt = now;
    return [{ type: "try", attempt: this.#attempt }];
  }

  #pause(now: number): PlanAction[] {
    if (now >= this.#givesUpAt) {
      this.#state = "over";
      return [{ type: "give_up" }];
    }
    this.#state = "waiting";
    this.#attempt++;
    const waitMs = pauseBefore(++this.#rung, this.#options.random());
    this.#triesAt = now + waitMs;
    return [{ type: "wait", attempt: this.#attempt, waitMs, leftMs: this.#givesUpAt - now }];
  }
}

/** Gives the pause before attempt `rung`, from 1: doubled each time up to the longest, and between half and whole of that. */
function pauseBefore(rung: number, random: number): number {
  if (rung === 1) return Math.round(FIRST_PAUSE_MS * random);
  const longest = Math.min(MAX_PAUSE_MS, SECOND_PAUSE_MS * 2 ** Math.min(rung - 2, 16));
  return Math.round(longest * (0.5 + random / 2));
}
