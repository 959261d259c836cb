/** Whether what a sync would delete may be deleted without asking; pure. */

/** Most that may be deleted: entries, or a part of what the targets hold. */
export type DeleteLimit =
  | { readonly unit: "entries"; readonly most: number }
  | { readonly unit: "percent"; readonly most: number };

/** What a sync would delete, and what speaks against it. */
export interface Deletions {
  /** Entries that the sources do not have. */
  readonly entries: number;
  /** Of them. */
  readonly directories: number;
  /** Entries that the targets hold. */
  readonly of: number;
  /** A source folder that has nothing, or cannot be read, as a disk that is not mounted looks. */
  readonly hollow?: { readonly source: string; readonly state: "empty" | "unreadable" } | undefined;
  /** Entries of the sources that could not be read. */
  readonly failed: number;
}

/** Part of the targets' entries above which nothing is deleted unasked. */
const UNASKED_PART = 0.5;

/**
 * Gives the reason to stop before deleting, in one phrase; undefined: go on.
 *
 * `allowed`: the person said yes. With `limit` the person's own number stands in for the half, and for an empty source.
 */
export function brake(
  deletions: Deletions,
  { limit, allowed = false }: { limit?: DeleteLimit | undefined; allowed?: boolean } = {},
): string | undefined {
  const { entries, of, hollow, failed } = deletions;
  if (entries === 0 || allowed) return undefined;
  if (limit !== undefined) {
    const most = limit.unit === "entries" ? limit.most : of * limit.most / 100;
    if (entries <= most) return undefined;
    return `that is more than --max-delete ${limit.most}${limit.unit === "percent" ? "%" : ""} allows`;
  }
  if (hollow?.state === "empty") return `"${hollow.source}" is empty`;
  if (hollow?.state === "unreadable") return `"${hollow.source}" cannot be read`;
  if (failed > 0) return `${failed} of the source's entries failed`;
  if (entries > of * UNASKED_PART) return "that is more than half";
  return undefined;
}
