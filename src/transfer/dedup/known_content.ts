import { isWormholeError } from "../../base/errors.ts";
import { join } from "../../base/paths.ts";
import type { FileIndex } from "../../store/mod.ts";

/** Options of {@linkcode KnownContent}. */
export interface KnownContentOptions {
  /** Folder of the index, made when there is something to remember. */
  readonly cacheDir: string;
  /** Most chunks that are remembered (`dedup_index_size`). */
  readonly maxChunks: number;
  /** Told, once, when nothing can be looked up or remembered, or when what was known is lost. */
  onWarning?(sentence: string): void;
}

/**
 * The index of known content as transfers use it: opened when it is first needed, so that a command starts without it, and
 * no reason to fail when it cannot be used.
 */
export class KnownContent implements Disposable {
  readonly #options: KnownContentOptions;
  #index: FileIndex | undefined;
  #opening: Promise<void> | undefined;
  /** Looked at once. */
  #isThere: Promise<boolean> | undefined;
  #isBroken = false;

  constructor(options: KnownContentOptions) {
    this.#options = options;
  }

  /** Asks the index; undefined when nothing has ever been remembered, or nothing can be. */
  async ask<T>(question: (index: FileIndex) => T): Promise<T | undefined> {
    if (this.#index === undefined) {
      if (this.#isBroken || !await (this.#isThere ??= exists(this.#path))) return undefined;
    }
    return await this.#use(question);
  }

  /** Changes the index, which is made when there is none. */
  async tell(change: (index: FileIndex) => void): Promise<void> {
    await this.#use(change);
    this.#isThere = undefined;
  }

  [Symbol.dispose](): void {
    const index = this.#index;
    this.#isBroken = true;
    this.#index = undefined;
    try {
      index?.[Symbol.dispose]();
    } catch (error) {
      // What it still had to write down is when its rows were used.
      if (!isHarmless(error)) throw error;
    }
  }

  get #path(): string {
    return join(this.#options.cacheDir, "index.db");
  }

  async #use<T>(use: (index: FileIndex) => T): Promise<T | undefined> {
    if (this.#isBroken) return undefined;
    try {
      await (this.#opening ??= this.#open());
      return this.#index && use(this.#index);
    } catch (error) {
      // Whatever is wrong with it (a full disk, a home that is read-only), it is none of the transfer.
      if (!isHarmless(error)) throw error;
      this[Symbol.dispose]();
      this.#warn(`What this machine has already is neither looked up nor remembered: ${error.message}`);
      return undefined;
    }
  }

  async #open(): Promise<void> {
    if (this.#isBroken) return;
    // SQLite is loaded here and not before.
    const { FileIndex } = await import("../../store/mod.ts");
    await Deno.mkdir(this.#options.cacheDir, { recursive: true, mode: 0o700 });
    if (this.#isBroken) return;
    this.#index = FileIndex.open(this.#path, {
      maxChunks: this.#options.maxChunks,
      onReplaced: (sentence) => this.#warn(sentence),
    });
  }

  #warn(sentence: string): void {
    this.#options.onWarning?.(sentence);
  }
}

/** The database, the disk or permissions; anything else is a mistake of ours. */
function isHarmless(error: unknown): error is Error {
  return isWormholeError(error) || error instanceof Error && "code" in error;
}

async function exists(path: string): Promise<boolean> {
  try {
    await Deno.stat(path);
    return true;
  } catch {
    return false;
  }
}
