/** Finds rows of a snapshot by their paths, many of them: each folder on their way is looked through once. */
import { encodeName } from "../base/names.ts";
import { DIRECTORY, type Snapshot } from "./snapshot.ts";

/** See the top of this file. Undefined as snapshot: nothing is found. */
export class PathFinder {
  readonly #snapshot: Snapshot | undefined;
  /** By the folder's path: the rows in it, in the order of their names. */
  readonly #inside = new Map<string, readonly number[]>();

  constructor(snapshot: Snapshot | undefined) {
    this.#snapshot = snapshot;
  }

  /** Gives the row at `path` ("a/b"), -1 when there is none. */
  find(path: string): number {
    const snapshot = this.#snapshot;
    if (snapshot === undefined) return -1;
    const cut = path.lastIndexOf("/");
    const rows = this.#rows(snapshot, cut < 0 ? "" : path.slice(0, cut));
    const wanted = encodeName(path.slice(cut + 1));
    let from = 0, to = rows.length;
    while (from < to) {
      const middle = from + to >> 1;
      const order = snapshot.compareName(rows[middle]!, wanted);
      if (order === 0) return rows[middle]!;
      if (order < 0) from = middle + 1;
      else to = middle;
    }
    return -1;
  }

  /** Gives the rows in a folder; "" is the root. */
  #rows(snapshot: Snapshot, folder: string): readonly number[] {
    const known = this.#inside.get(folder);
    if (known !== undefined) return known;
    const above = folder === "" ? -1 : this.find(folder);
    const isThere = folder === "" || (above >= 0 && snapshot.kind(above) === DIRECTORY);
    const end = !isThere ? 0 : folder === "" ? snapshot.count : snapshot.ends[above]!;
    const rows: number[] = [];
    for (let row = above + 1; row < end; row = snapshot.ends[row]!) rows.push(row);
    this.#inside.set(folder, rows);
    return rows;
  }
}
