/** What one reader has not got yet: bounded, so that nobody who does not read costs anything. */
export class ReaderQueue {
  readonly #maxBytes: number;
  #parts: Uint8Array<ArrayBuffer>[] = [];
  #byteLength = 0;
  #isOver = false;
  #wake: (() => void) | undefined;

  constructor({ maxBytes }: { maxBytes: number }) {
    this.#maxBytes = maxBytes;
  }

  /** Adds to it; false when that is more than it holds, and then it is over and empty. */
  push(bytes: Uint8Array<ArrayBuffer>): boolean {
    if (this.#isOver) return false;
    this.#byteLength += bytes.length;
    if (this.#byteLength > this.#maxBytes) {
      this.#parts = [];
      this.end();
      return false;
    }
    this.#parts.push(bytes);
    this.#wake?.();
    return true;
  }

  /** Gives what is next, all of it at once, when there is something; undefined when it is over. */
  async next(): Promise<Uint8Array<ArrayBuffer> | undefined> {
    while (this.#parts.length === 0) {
      if (this.#isOver) return undefined;
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
    const bytes = new Uint8Array(this.#byteLength);
    let at = 0;
    for (const part of this.#parts) {
      bytes.set(part, at);
      at += part.length;
    }
    this.#parts = [];
    this.#byteLength = 0;
    return bytes;
  }

  /** Nothing more is added; what is there can still be taken. */
  end(): void {
    this.#isOver = true;
    this.#wake?.();
  }
}
