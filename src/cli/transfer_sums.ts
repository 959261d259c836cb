/** `send --checksum` and `recv --checksum`: the checksums of what a transfer moved, once it is over. */
import { WormholeError } from "../base/errors.ts";
import { join } from "../base/paths.ts";
import type { FailedEntry, TransferFile } from "../transfer/mod.ts";
import { checksumsOf } from "../verify/mod.ts";
import type { Context } from "./context.ts";
import { counted } from "./format.ts";

/** Gives where the file lies that a list names so. */
export type Place = (name: string) => string;

/** Collects files under the name that they have in the list, and reads them at the end. */
export class TransferSums {
  readonly #files = new Map<string, number>();
  #place: Place;
  #unreadable = 0;

  constructor(place: Place = (name) => name) {
    this.#place = place;
  }

  /** The sender's files are below the paths that were given for their roots. */
  below(roots: ReadonlyMap<string, string>): void {
    this.#place = (name) => {
      const [root = "", ...rest] = name.split("/");
      return join(roots.get(root) ?? root, ...rest);
    };
  }

  /** Takes a file; the same one again (another receiver, another try) counts once. */
  add({ entry, path }: TransferFile): void {
    this.#files.set(path, entry);
  }

  /** Shows the checksum of each file that did not fail; what cannot be read is named. */
  async show(
    failed: readonly FailedEntry[],
    { output, signal }: Pick<Context<unknown>, "output"> & Partial<Pick<Context<unknown>, "signal">>,
  ): Promise<void> {
    const entries = new Set(failed.map(({ entry }) => entry));
    const paths = new Set(failed.map(({ path }) => path));
    const files = [...this.#files].flatMap(([name, entry]) =>
      entries.has(entry) || paths.has(name) ? [] : [{ name, path: this.#place(name) }]
    );
    for await (const result of checksumsOf(files, { ...signal && { signal } })) {
      if ("sum" in result) output.emit({ event: "checksum", ...result.sum, bytes: result.bytes });
      else {
        this.#unreadable++;
        output.emit({ event: "file_failed", ...result });
      }
    }
  }

  /** @throws {WormholeError} PARTIAL when some files could not be read. */
  assertRead(): void {
    if (this.#unreadable === 0) return;
    const what = counted(this.#unreadable, "file");
    throw new WormholeError("PARTIAL", `Cannot read everything again: ${what} failed`);
  }
}
