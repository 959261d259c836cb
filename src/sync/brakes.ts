/** What stops a run before it changes anything, since it looks more like an accident than like somebody's wish. */
import type { Scanned } from "./end.ts";
import { lossesOf } from "./moves.ts";
import type { Plan } from "./plan.ts";
import { DIRECTORY, FILE, type Snapshot, STAMP_BYTES } from "./snapshot.ts";

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
    if (losses > 0 && other.isEmpty) {
      const all = losses === 1 ? "the only file" : `all ${losses} files`;
      return `"${names[1 - side]}" is empty, and ${all} of "${names[side]}" would be deleted`;
    }
    const missing = losses === 0 ? 0 : missingDisk(ancestor, other.snapshot, 1 - side);
    if (missing > 0 && losses >= missing) {
      const all = missing === 1 ? "the only file" : `all ${missing} files`;
      return `${all} of another disk within "${
        names[1 - side]
      }" went with it (is it mounted?), and would be deleted in "${names[side]}"`;
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

/** Gives how many files of the ancestor were on a disk of which nothing is there any more, while others are. */
function missingDisk(ancestor: Snapshot, now: Snapshot, side: number): number {
  const before = filesByDisk(ancestor, side), after = filesByDisk(now, 0);
  const kept = [...before.keys()].some((disk) => after.has(disk));
  if (!kept) return 0;
  let missing = 0;
  for (const [disk, files] of before) if (!after.has(disk)) missing += files;
  return missing;
}

/** Gives the number of files by the device in their stamps. */
function filesByDisk(snapshot: Snapshot, end: number): Map<bigint, number> {
  const stamps = snapshot.columns.stamps[end]!;
  const view = new DataView(stamps.buffer, stamps.byteOffset, stamps.length);
  const files = new Map<bigint, number>();
  for (let row = 0; row < snapshot.count; row++) {
    if (snapshot.kind(row) !== FILE) continue;
    const disk = view.getBigUint64(STAMP_BYTES * row, true);
    files.set(disk, (files.get(disk) ?? 0) + 1);
  }
  return files;
}

function fileCount(snapshot: Snapshot): number {
  let count = 0;
  for (let row = 0; row < snapshot.count; row++) if (snapshot.kind(row) !== DIRECTORY) count++;
  return count;
}
