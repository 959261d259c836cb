import { isWormholeError, type WormholeError } from "../../base/errors.ts";

/** What a file says, read again and again; while it cannot be read, what it said last. */
export class Latest<T> {
  readonly #load: () => Promise<T>;
  readonly #tell: (sentence: string) => void;
  #last: { readonly value: T } | undefined;
  #isTold = false;

  /** `tell`: gets a sentence each time that the file cannot be read any more. */
  constructor(load: () => Promise<T>, tell: (sentence: string) => void) {
    this.#load = load;
    this.#tell = tell;
  }

  /** Gives what it says. @throws {WormholeError} what `load` throws, where it could never be read. */
  async read(): Promise<T> {
    try {
      this.#last = { value: await this.#load() };
      this.#isTold = false;
    } catch (error) {
      if (this.#last === undefined || !isWormholeError(error)) throw error;
      this.failed(error);
    }
    return this.#last.value;
  }

  /** Tells that it cannot be read, unless that was told since it could be: whoever else reads it meets the same. */
  failed({ message }: WormholeError): void {
    if (this.#isTold) return;
    this.#isTold = true;
    this.#tell(`${message}; what it said before counts until it can be read again, and nothing new begins`);
  }
}
