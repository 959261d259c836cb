/** Notices a dead or frozen peer; wire/spec/liveness.md. Pure: times in ms come from outside. */

/** How often we ping. */
export const PING_EVERY_MS = 5000;

/** Silence after which the peer counts as frozen: with the time to notice, it is reported within 15 s. */
export const FROZEN_AFTER_MS = 14_000;

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
