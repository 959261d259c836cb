/**
 * Notices a peer that answers and yet sends nothing of what it was asked for; wire/spec/liveness.md. Pure: times in ms
 * come from outside.
 */
import { WormholeError } from "../base/errors.ts";

/** How long nothing may come of content that was asked for, in ms: disks that wake up and shares that hang take less. */
export const WITHHELD_AFTER_MS = 60_000;

/**
 * How long the list may stand still with nothing asked for, in ms: a walk may pass over millions of excluded files. And how
 * long a part of a chunk list may take: the sender may read up to 32 GiB for it.
 */
export const UNLISTED_AFTER_MS = 600_000;

/**
 * What counts as something coming, in bytes over all links: more than the control messages and acknowledgements of
 * {@linkcode WITHHELD_AFTER_MS}, and less than the slowest link that is of use brings in that time.
 */
const LEAST_BYTES = 16 * 1024;

/** How often we look, in ms. A look that comes much later counts no more: this machine was asleep, not the peer. */
const LOOK_EVERY_MS = 2000;

/** What is waited for at a look. */
export type Awaited = "content" | "lists" | "pages" | undefined;

/** One peer's data. */
export class Withheld {
  #lookAt: number;
  #lookedAt: number;
  #idleMs = 0;
  #received = 0;
  #marked = 0;

  constructor(now: number) {
    this.#lookedAt = now;
    this.#lookAt = now + LOOK_EVERY_MS;
  }

  /** When {@linkcode Withheld.tick} is to be called next. */
  get deadline(): number {
    return this.#lookAt;
  }

  /** Something of it has arrived whole. */
  moved(): void {
    this.#idleMs = 0;
    this.#marked = this.#received;
  }

  /** Bytes that have come over all links so far, of anything. */
  received(bytes: number): void {
    this.#received = bytes;
    if (bytes - this.#marked >= LEAST_BYTES) this.moved();
  }

  /** @throws {WormholeError} PEER_FROZEN when what is `awaited` has not come for too long. */
  tick(now: number, awaited: Awaited): void {
    if (now < this.#lookAt) return;
    const passed = Math.min(now - this.#lookedAt, 2 * LOOK_EVERY_MS);
    this.#lookedAt = now;
    this.#lookAt = now + LOOK_EVERY_MS;
    if (awaited === undefined) return this.moved();
    this.#idleMs += passed;
    if (this.#idleMs < (awaited === "content" ? WITHHELD_AFTER_MS : UNLISTED_AFTER_MS)) return;
    throw new WormholeError(
      "PEER_FROZEN",
      "Cannot finish the transfer: the other side answers, but sends nothing of what it was asked for",
    );
  }
}
