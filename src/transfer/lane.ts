/** Runs operations one after the other, in the order they came. */
export class Lane {
  #last: Promise<unknown> = Promise.resolve();

  /** Runs `operation` after all earlier ones have succeeded; after a failure nothing runs any more. */
  run<T>(operation: () => Promise<T>): Promise<T> {
    const run = this.#last.then(operation);
    this.#last = run;
    return run;
  }

  /** Resolves when nothing runs. */
  async idle(): Promise<void> {
    await Promise.allSettled([this.#last]);
  }
}
