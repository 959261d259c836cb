import { anySignal } from "../base/any_signal.ts";
import { WormholeError } from "../base/errors.ts";

/** One who may guess now. Disposed of without {@linkcode Guess.right} it was wrong. */
export interface Guess extends Disposable {
  /** The other side has shown that it knows the code. */
  right(): void;
}

/**
 * Bounds what strangers can guess of a code that more than one may use: however many come at once, no more than `limit`
 * ever learn that they were wrong. spec/pairing.md §7.
 */
export class GuessGate {
  readonly limit: number;
  readonly #dead = new AbortController();
  readonly #waiting: (() => void)[] = [];
  #open = 0;
  #wrong = 0;

  constructor({ limit }: { limit: number }) {
    this.limit = limit;
  }

  /** Guesses that were wrong, and those who went silent where one more word would have shown it. */
  get wrong(): number {
    return this.#wrong;
  }

  /** Aborts with CODE_WRONG when the code is used up. */
  get dead(): AbortSignal {
    return this.#dead.signal;
  }

  /**
   * Waits until one more guess cannot exceed the limit.
   *
   * @throws {WormholeError} CODE_WRONG when the code is used up; the signal's reason.
   */
  async enter({ signal }: { signal?: AbortSignal | undefined } = {}): Promise<Guess> {
    const either = anySignal(signal, this.dead);
    for (;;) {
      either.throwIfAborted();
      if (this.#wrong + this.#open < this.limit) return this.#guess();
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#waiting.push(resolve);
      either.addEventListener("abort", () => resolve(), { once: true });
      await promise;
    }
  }

  #guess(): Guess {
    this.#open++;
    let isOpen = true;
    const end = (isRight: boolean) => {
      if (!isOpen) return;
      isOpen = false;
      this.#open--;
      if (!isRight) this.#wrong++;
      if (this.#wrong >= this.limit) this.#dead.abort(this.#usedUp());
      for (const wake of this.#waiting.splice(0)) wake();
    };
    return { right: () => end(true), [Symbol.dispose]: () => end(false) };
  }

  #usedUp(): WormholeError {
    const guesses = this.limit === 1 ? "a wrong code was" : `${this.limit} wrong codes were`;
    return new WormholeError(
      "CODE_WRONG",
      `Cannot go on with this code: ${guesses} tried, so it is used up; run send again for a new one`,
    );
  }
}
