import { decode } from "cborg";
import { concat } from "../../base/bytes.ts";
import { isWormholeError } from "../../base/errors.ts";
import { RECORD_BYTES } from "../../native/leftover.ts";
import type { Journal, UnfinishedTransfer } from "../../store/mod.ts";
import { type Columns, readEntries } from "../../wire/mod.ts";
import { LARGE_BYTES } from "../manifest_reader.ts";

/** Where an unfinished transfer has the bytes of a chunk; they must be hashed before they are used. */
export interface StagedPlace {
  readonly path: Uint8Array<ArrayBuffer>;
  readonly offset: number;
  readonly length: number;
}

/** Unfinished transfers that are looked at, the newest first. */
const MAX_TRANSFERS = 16;

/** Records that are looked at: 4 TiB in chunks of 4 MiB, 200 bytes of memory each. */
const MAX_RECORDS = 1024 * 1024;

/** Which chunks lie in the staging folders of unfinished transfers, whoever sent them. */
export class UnfinishedContent {
  readonly #sizes = new Set<number>();
  readonly #places = new Map<string, StagedPlace>();

  /** Reads what `journal` says, once; what it says wrongly is passed over. */
  constructor(journal: Journal) {
    try {
      for (const left of journal.list().slice(0, MAX_TRANSFERS)) {
        if (left.bytesDone > 0) this.#add(journal, left);
      }
    } catch (error) {
      // The journal's own users tell what is wrong with it.
      if (!isWormholeError(error)) throw error;
    }
  }

  /** Tells whether a file of `size` bytes has arrived by half. */
  hasSize(size: number): boolean {
    return this.#sizes.has(size);
  }

  /** Gives where a chunk is. */
  find(id: Uint8Array): StagedPlace | undefined {
    return this.#places.size === 0 ? undefined : this.#places.get(id.toHex());
  }

  #add(journal: Journal, left: UnfinishedTransfer): void {
    const files = stagedFiles(left, journal.pages(left.id));
    for (const records of journal.verified(left.id)) {
      const view = new DataView(records.buffer, records.byteOffset, records.length);
      for (let at = 0; at + RECORD_BYTES <= records.length; at += RECORD_BYTES) {
        const file = files.get(view.getUint32(at, true));
        if (file === undefined || this.#places.size >= MAX_RECORDS) continue;
        this.#sizes.add(file.size);
        const id = records.subarray(at + 16, at + RECORD_BYTES).toHex();
        this.#places.set(id, {
          path: file.path,
          offset: Number(view.getBigUint64(at + 8, true)),
          length: view.getUint32(at + 4, true),
        });
      }
    }
  }
}

/** Gives the large files of a transfer by entry, with where native code stages them (`ffi/src/io/stage.rs`). */
function stagedFiles(
  { destination, staging }: UnfinishedTransfer,
  pages: readonly Uint8Array[],
): Map<number, { path: Uint8Array<ArrayBuffer>; size: number }> {
  const slash = new TextEncoder().encode("/");
  const tree = concat(destination, slash, staging, new TextEncoder().encode("/tree/"));
  const directories = new Map<number, Uint8Array<ArrayBuffer>>();
  const files = new Map<number, { path: Uint8Array<ArrayBuffer>; size: number }>();
  for (const page of pages) {
    const { columns } = decode(page) as { columns: Columns };
    for (const { id, kind, parent, name, size } of readEntries(columns)) {
      const above = parent === undefined ? tree : directories.get(parent);
      if (above === undefined) continue;
      // A root is staged under its number, so that no two of them are in each other's way.
      const path = parent === undefined
        ? concat(tree, new TextEncoder().encode(String(id)))
        : concat(above, slash, name);
      if (kind === "directory") directories.set(id, path);
      else if (kind === "file" && size >= LARGE_BYTES) files.set(id, { path, size });
    }
  }
  return files;
}
