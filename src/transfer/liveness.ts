/** Notices a dead or frozen peer; wire/spec/liveness.md. Pure: times in ms come from outside. */

/** How often we ping: twice and some within {@linkcode FROZEN_AFTER_MS}, so that one late pong is no death. */
export const PING_EVERY_MS = 4000;

/**
 * Silence after which the peer counts as frozen. The last words to it and closing may take 2 s more, and all of it
 * is to be over within 15 s.
 */
export const FROZEN_AFTER_MS = 12_000;

/** A tick that comes this much late means that this machine was asleep, not the peer. */
const ASLEEP_MS = 5000;

/** One peer's signs of life. */
export class Liveness {
  #heard: number;
  #pinged: number;
  #ticked: number;

  constructor(now: number) {
    this.#heard = this.#pinged = this.#ticked = now;
  }

  /** Takes note of a sign of life. */
  heard(now: number): void {
    this.#heard = now;
  }

  /** When {@linkcode Liveness.tick} is to be called next. */
  get deadline(): number {
    return Math.min(this.#pinged + PING_EVERY_MS, this.#heard + FROZEN_AFTER_MS);
  }

  /** Tells what is due now. */
  tick(now: number): "ping" | "frozen" | undefined {
    if (now - this.#ticked > PING_EVERY_MS + ASLEEP_MS) this.#heard = now;
    this.#ticked = now;
    if (now - this.#heard >= FROZEN_AFTER_MS) return "frozen";
    if (now - this.#pinged < PING_EVERY_MS) return undefined;
    this.#pinged = now;
    return "ping";
  }
}
