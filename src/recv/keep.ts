/** `recv --keep-chunks`: what was received goes into the store as well. */
import { isWormholeError } from "../base/errors.ts";
import { decodeName } from "../base/names.ts";
import type { Folders } from "../config/paths.ts";
import type { Store } from "../store/mod.ts";

/** What keeping needs. */
export interface KeepOptions {
  /** Folder of the index. */
  readonly cacheDir: string;
  /** Most chunks that are remembered (`dedup_index_size`). */
  readonly maxChunks: number;
  /** Most bytes of the store's packs. */
  readonly quota: number;
}

/**
 * Keeps the chunks of the files that become known in the index while it is open. That they are not kept is no failure of
 * a transfer that is in place: `onWarning` is told why.
 */
export class Keeper implements AsyncDisposable {
  readonly #destination: string;
  readonly #onWarning: (sentence: string) => void;
  readonly #store: Store | undefined;
  readonly #mark: number;

  private constructor(
    { destination, onWarning, store }: {
      destination: string;
      onWarning: (sentence: string) => void;
      store?: Store;
    },
  ) {
    this.#destination = destination.endsWith("/") ? destination : `${destination}/`;
    this.#onWarning = onWarning;
    this.#store = store;
    this.#mark = store?.index.mark() ?? 0;
  }

  /** Notes what the index knows; call it before anything is received. */
  static async open(
    options: KeepOptions & {
      readonly destination: string;
      readonly folders: Folders;
      readonly signal: AbortSignal;
      onWarning?(sentence: string): void;
    },
  ): Promise<Keeper> {
    const { destination, folders, cacheDir, maxChunks, quota, signal } = options;
    const onWarning = (sentence: string) => options.onWarning?.(sentence);
    try {
      // SQLite is loaded here and not before.
      const { Store } = await import("../store/mod.ts");
      const store = await Store.open({
        cacheDir,
        dataDir: folders.dataDir,
        maxChunks,
        quota,
        onWarning,
        signal,
      });
      return new Keeper({ destination, onWarning, store });
    } catch (error) {
      onWarning(notKept(error));
      return new Keeper({ destination, onWarning });
    }
  }

  /** Keeps what came below the destination since then. */
  async keep(): Promise<void> {
    if (this.#store === undefined) return;
    try {
      const { stopped } = await this.#store.packs.keep(this.#received(this.#store));
      if (stopped === "quota") {
        this.#onWarning("Not all that was received is kept: it is more than store_quota allows");
      }
      if (stopped === "space") this.#onWarning("Not all that was received is kept: the disk is nearly full");
    } catch (error) {
      this.#onWarning(notKept(error));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#store?.[Symbol.asyncDispose]();
  }

  *#received({ index }: Store) {
    for (const file of index.all({ after: this.#mark })) {
      if (decodeName(file.path).startsWith(this.#destination)) yield file;
    }
  }
}

function notKept(error: unknown): string {
  // Disk, database or permissions; anything else is a mistake of ours.
  if (!isWormholeError(error) && !(error instanceof Error && "code" in error)) throw error;
  return `What was received is not kept in the store: ${(error as Error).message}`;
}
