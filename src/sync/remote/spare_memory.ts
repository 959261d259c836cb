/** Gives the memory of a run back once it is over: a machine that serves does nothing else until somebody comes again. */
import type { NativeQueue } from "../../native/queue.ts";

/** Less than this is not worth the while, in bytes. */
const MIN_BYTES = 32 * 1024 * 1024;

/** See the top of this file. For one process. */
export class SpareMemory {
  readonly #queue: NativeQueue;
  /** What the process had when this was done last. */
  #least = 0;
  #giving: Promise<void> | undefined;

  constructor(queue: NativeQueue) {
    this.#queue = queue;
  }

  /** A run is over; resolves when what it leaves is given back. */
  giveBack(): Promise<void> {
    return this.#giving ??= this.#give().finally(() => this.#giving = undefined);
  }

  async #give(): Promise<void> {
    if (Deno.memoryUsage().rss < this.#least + MIN_BYTES) return;
    // Not needed by whoever only calls.
    const { giveMemoryBack } = await import("../../native/memory.ts");
    await giveMemoryBack(this.#queue);
    this.#least = Deno.memoryUsage().rss;
  }
}
