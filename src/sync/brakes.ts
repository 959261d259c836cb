/** What stops a run before it changes anything, since it looks more like an accident than like somebody's wish. */
import type { Scanned } from "./end.ts";
import { lossesOf } from "./moves.ts";
import type { Plan } from "./plan.ts";
import { DIRECTORY, type Snapshot } from "./snapshot.ts";

/** How much may go without a question: so many files, or such a share of them. */
export type MaxDelete = { readonly files: number } | { readonly share: number };

/** More than half of all files. */
export const DEFAULT_MAX_DELETE: MaxDelete = { share: 0.5 };

/** Below this many files a share says nothing: two of three are deleted every day. */
const FEW_FILES = 10;

/** Names of the sides in messages. */
const SIDES = ["alpha", "beta"] as const;

/**
 * Gives why a plan must not be carried out without somebody's word: an end that had something is empty, or more would be
 * deleted than `maxDelete`. undefined when nothing speaks against it.
 */
export function brake(
  { ancestor, scanned, plan, maxDelete, names }: {
    readonly ancestor: Snapshot;
    readonly scanned: readonly [Scanned, Scanned];
    readonly plan: Plan;
    readonly maxDelete: MaxDelete;
    /** What the ends are called. */
    readonly names: readonly [string, string];
  },
): string | undefined {
  for (const side of [0, 1] as const) {
    const losses = lossesOf(plan.changes[side]);
    const other = scanned[1 - side]!;
    if (losses > 0 && ancestor.count > 0 && other.isEmpty) {
      const all = losses === 1 ? "the only file" : `all ${losses} files`;
      return `"${names[1 - side]}" is empty, and ${all} of "${names[side]}" would be deleted`;
    }
    const files = fileCount(scanned[side].snapshot);
    const isTooMuch = "files" in maxDelete
      ? losses > maxDelete.files
      : losses >= FEW_FILES && losses > files * maxDelete.share;
    if (isTooMuch) {
      return `${losses} of the ${files} files of "${names[side]}" (${SIDES[side]}) would be deleted`;
    }
  }
  return undefined;
}

function fileCount(snapshot: Snapshot): number {
  let count = 0;
  for (let row = 0; row < snapshot.count; row++) if (snapshot.kind(row) !== DIRECTORY) count++;
  return count;
}
