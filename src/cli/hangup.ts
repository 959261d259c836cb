/** What SIGHUP is to the command that runs: its end, or, for one that takes it, a wish to read its files anew. */
export class Hangup {
  #handler: (() => void) | undefined;

  /** From now on, until disposed, `handler` is called instead of ending the program. */
  take(handler: () => void): Disposable {
    this.#handler = handler;
    return { [Symbol.dispose]: () => this.#handler = undefined };
  }

  /** A SIGHUP came; false when nobody takes it. */
  fire(): boolean {
    this.#handler?.();
    return this.#handler !== undefined;
  }
}
