/** The paths of a transfer's files, page by page: for whoever wants to name them afterwards. */
import { decodeName } from "../base/names.ts";
import { type Columns, readEntries } from "../wire/mod.ts";

/** One file of a transfer. */
export interface TransferFile {
  readonly entry: number;
  /** Its own name after those of the folders that it is in, from the root's on; as in `base/names.ts`. */
  readonly path: string;
}

/** Which entries of a page count, and under which names the roots go. */
export interface NamedPage {
  /** A bit per entry, lowest first; all when left out. */
  readonly wanted?: Uint8Array;
  /** The root's name; undefined: it is left out with all that is in it. */
  rootName?(entry: number, name: string): string | undefined;
}

/** Follows a manifest and tells its files. Keeps the path of every folder. */
export class FileNames {
  readonly #onFile: (file: TransferFile) => void;
  readonly #folders = new Map<number, string>();

  constructor(onFile: (file: TransferFile) => void) {
    this.#onFile = onFile;
  }

  /** Takes the next page, which has been checked or is our own. */
  page(columns: Columns, { wanted, rootName = (_, name) => name }: NamedPage = {}): void {
    for (const { id, kind, parent, name: bytes } of readEntries(columns)) {
      const name = decodeName(bytes);
      const above = parent === undefined ? "" : this.#folders.get(parent);
      const own = parent === undefined ? rootName(id, name) : name;
      if (above === undefined || own === undefined) continue;
      const path = above === "" ? own : `${above}/${own}`;
      const at = id - columns.first;
      const isWanted = wanted === undefined || (wanted[at >> 3]! & 1 << (at & 7)) !== 0;
      if (kind === "directory") this.#folders.set(id, path);
      else if (kind !== "symlink" && isWanted) this.#onFile({ entry: id, path });
    }
  }
}
