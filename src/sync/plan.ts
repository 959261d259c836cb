/** What reconciling gives: what to change at each end, and what is agreed once that is done. */

import type { MergedFile } from "./merge.ts";

/** An end by its number, which is also the bit of its flags. */
export const ALPHA = 0, BETA = 1;

/** One of {@linkcode ALPHA} and {@linkcode BETA}. */
export type Side = typeof ALPHA | typeof BETA;

/** A change at one end. Rows are those of that end's snapshot, `source` rows those of the other one's. */
export type Change =
  | { readonly do: "make"; readonly path: string; readonly mode: number; readonly source: number }
  | { readonly do: "drop"; readonly path: string; readonly was: number }
  | { readonly do: "take"; readonly path: string; readonly was: number }
  | {
    /** Puts a file or symlink of the other end, or what came of a merge, where `was` is; -1: where nothing is. */
    readonly do: "put";
    readonly path: string;
    readonly was: number;
    readonly source: number;
    readonly mode: number;
    /** Where what is displaced goes to instead of the trash: it lost a conflict. */
    readonly keep?: string;
    /** Instead of `source`, which is -1 then. */
    readonly merged?: MergedFile;
  }
  | {
    /** Renames. Of a move that the other end made `source` is the row there; of one aside it is -1. */
    readonly do: "move";
    readonly path: string;
    readonly from: string;
    readonly was: number;
    readonly source: number;
  }
  /** What a move takes from its old place; nothing to do beside that. */
  | { readonly do: "away"; readonly path: string; readonly was: number; readonly move: number }
  | { readonly do: "mode"; readonly path: string; readonly was: number; readonly mode: number };

/** What kind of conflict it is. */
export type ConflictKind =
  /** Both have changed it, or both have made it, differently. */
  | "edit"
  /** One has changed it, the other has deleted it. */
  | "delete"
  /** One has a file where the other has a folder, or a symlink. */
  | "type"
  /** Two names that are one where case or Unicode forms do not count. */
  | "name"
  /** It cannot be replaced: something that is ignored or unreadable is in it. */
  | "blocked";

/** Something that cannot be decided by who changed it. */
export interface Conflict {
  readonly path: string;
  readonly kind: ConflictKind;
  /** Whose version has the name afterwards; none: both were left as they are. */
  readonly winner?: Side;
  /** Where the other version is kept; none: in the trash, or there is none. */
  readonly copy?: string;
  /** It is none any more: what both wrote was merged. */
  readonly isMerged?: true;
}

/**
 * What will be agreed, in the order of a snapshot. `first` and `second` are changes that must succeed, as (index << 1 |
 * side), -1 for none; otherwise the row of the ancestor, if there is one, stays.
 */
export class AgreedRows {
  static readonly width = 6;

  #count = 0;
  #columns = new Int32Array(8 * AgreedRows.width);

  get count(): number {
    return this.#count;
  }

  /** Adds a row; `alpha` and `beta` are its rows there, negative where it is not yet. */
  add(row: NewAgreedRow): void {
    const at = this.#count++ * AgreedRows.width;
    if (at === this.#columns.length) {
      const larger = new Int32Array(this.#columns.length * 2);
      larger.set(this.#columns);
      this.#columns = larger;
    }
    this.set(at / AgreedRows.width, row);
  }

  /** Changes a row. */
  set(index: number, row: NewAgreedRow): void {
    const at = index * AgreedRows.width;
    this.#columns[at] = row.ancestor;
    this.#columns[at + 1] = row.alpha;
    this.#columns[at + 2] = row.beta;
    this.#columns[at + 3] = row.first ?? -1;
    this.#columns[at + 4] = row.second ?? -1;
    this.#columns[at + 5] = row.gone ? -2 : row.mode ?? -1;
  }

  /**
   * Gives how many rows from `index` on both ends have already, one after the other in either's snapshot; 0 where more is to be
   * said of that one.
   */
  run(index: number): number {
    const columns = this.#columns, width = AgreedRows.width;
    const first = index * width, alpha = columns[first + 1]!, beta = columns[first + 2]!;
    if (alpha < 0 || beta < 0) return 0;
    let rows = 0;
    for (let at = first; index + rows < this.#count; rows++, at += width) {
      const isNext = columns[at + 1] === alpha + rows && columns[at + 2] === beta + rows;
      // Nothing has to be done first, and permissions are alpha's.
      if (!isNext || (columns[at + 3]! & columns[at + 4]! & columns[at + 5]!) !== -1) break;
    }
    return rows;
  }

  /** Gives a row. */
  at(index: number): AgreedRow {
    const at = index * AgreedRows.width;
    const [ancestor, alpha, beta, first, second, rest] = this.#columns.subarray(at, at + AgreedRows.width);
    return {
      ancestor: ancestor!,
      alpha: alpha!,
      beta: beta!,
      first: first!,
      second: second!,
      gone: rest === -2,
      mode: rest! < 0 ? -1 : rest!,
    };
  }
}

/** What is said of a row of {@linkcode AgreedRows}. */
export type NewAgreedRow =
  & Pick<AgreedRow, "ancestor" | "alpha" | "beta">
  & Partial<Pick<AgreedRow, "first" | "second" | "gone" | "mode">>;

/** See {@linkcode AgreedRows}. */
export interface AgreedRow {
  readonly ancestor: number;
  readonly alpha: number;
  readonly beta: number;
  readonly first: number;
  readonly second: number;
  /** It will be nowhere. */
  readonly gone: boolean;
  /** Permissions when they are neither's; -1 otherwise. */
  readonly mode: number;
}

/** What to do, and what will be agreed. */
export interface Plan {
  /** By {@linkcode Side}, in no particular order; `order` in changes.ts gives one that works. */
  readonly changes: readonly [Change[], Change[]];
  readonly conflicts: readonly Conflict[];
  readonly agreed: AgreedRows;
  /** Something of the ancestor is not as it will be agreed, so that it has to be written. */
  readonly isNews: boolean;
}
