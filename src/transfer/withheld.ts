/**
 * Notices a peer that answers and yet sends nothing of what it was asked for; wire/spec/liveness.md. Pure: times in ms
 * come from outside.
 */
import { WormholeError } from "../base/errors.ts";
import { FROZEN_AFTER_MS } from "./liveness.ts";

/** How long nothing may come of content that was asked for, in ms: disks that wake up and shares that hang take less. */
export const WITHHELD_AFTER_MS = 60_000;

/** The same while the sender says that it waits for nothing but the link: as long as for a peer that is silent. */
export const HELD_UP_AFTER_MS = FROZEN_AFTER_MS;

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

/** The same for {@linkcode HELD_UP_AFTER_MS}. */
const LEAST_SOON_BYTES = 4 * 1024;

/** How often we look, in ms. A look that comes much later counts no more: this machine was asleep, not the peer. */
const LOOK_EVERY_MS = 2000;

/** What is waited for at a look. */
export type Awaited = "content" | "lists" | "pages" | undefined;

/** One peer's data. */
export class Withheld {
  #lookAt: number;
  #lookedAt: number;
  readonly #all = new Silence(LEAST_BYTES);
  readonly #soon = new Silence(LEAST_SOON_BYTES);
  #received = 0;
  /** The sender's last word is that it waits for the link. */
  #isHeldUp = false;

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
    this.#all.end(this.#received);
    this.#soon.end(this.#received);
  }

  /** Bytes that have come over all links so far, of anything. */
  received(bytes: number): void {
    this.#received = bytes;
    this.#all.received(bytes);
    this.#soon.received(bytes);
  }

  /** The sender says whether it is reading or encoding; undefined: it does not say. */
  heard(isBusy: boolean | undefined): void {
    this.#isHeldUp = isBusy === false;
    if (!this.#isHeldUp) this.#soon.end(this.#received);
  }

  /** @throws {WormholeError} PEER_FROZEN when what is `awaited` has not come for too long. */
  tick(now: number, awaited: Awaited): void {
    if (now < this.#lookAt) return;
    const passed = Math.min(now - this.#lookedAt, 2 * LOOK_EVERY_MS);
    this.#lookedAt = now;
    this.#lookAt = now + LOOK_EVERY_MS;
    if (awaited === undefined) return this.moved();
    const silence = this.#all.passed(passed);
    const soon = this.#soon.passed(passed);
    if (awaited === "content" && this.#isHeldUp && soon >= HELD_UP_AFTER_MS) {
      throw new WormholeError(
        "PEER_FROZEN",
        "Cannot finish the transfer: the other side answers, but nothing of what it sends gets through",
      );
    }
    if (silence < (awaited === "content" ? WITHHELD_AFTER_MS : UNLISTED_AFTER_MS)) return;
    throw new WormholeError(
      "PEER_FROZEN",
      "Cannot finish the transfer: the other side answers, but sends nothing of what it was asked for",
    );
  }
}

/** How long less than `least` bytes have come. */
class Silence {
  readonly #least: number;
  #marked = 0;
  #ms = 0;

  constructor(least: number) {
    this.#least = least;
  }

  received(bytes: number): void {
    if (bytes - this.#marked >= this.#least) this.end(bytes);
  }

  end(bytes: number): void {
    this.#marked = bytes;
    this.#ms = 0;
  }

  passed(ms: number): number {
    return this.#ms += ms;
  }
}
