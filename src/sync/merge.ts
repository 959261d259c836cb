/** Three-way merges of what both ends have edited: what there is to merge, and what came of it. */
import type { End } from "./end.ts";
import type { Conflict, Side } from "./plan.ts";
import { FILE, type Snapshot } from "./snapshot.ts";

/** Largest file that is merged, in bytes, and largest result: text, of which versions are kept to merge with. */
export const MAX_MERGE_BYTES = 1024 * 1024;

/** One version of a file. */
export interface Version {
  readonly size: number;
  /** 32 bytes. */
  readonly content: Uint8Array;
  readonly mode: number;
  readonly mtime: bigint;
}

/** A file that both ends have edited. */
export interface MergeCase {
  readonly path: string;
  /** What both had in common. */
  readonly base: Version;
  readonly versions: readonly [Version, Version];
}

/** What a merge came to, as a file of {@linkcode Merger.end}. */
export interface MergedFile {
  readonly path: string;
  readonly size: number;
  /** 32 bytes. */
  readonly content: Uint8Array;
  /** ns since 1970. */
  readonly mtime: bigint;
}

/** Merges files. */
export interface Merger {
  /** Where merged files are copied from. */
  readonly end: End;
  /** Gives what came of the cases that could be merged, by path. What could not stays a conflict. */
  merge(cases: readonly MergeCase[], ends: readonly [End, End]): Promise<ReadonlyMap<string, MergedFile>>;
}

/** Gives the conflicts that a merge may settle: edits of one small file that both had in common. */
export function mergeCases(
  conflicts: readonly Conflict[],
  snapshots: { readonly ancestor: Snapshot; readonly alpha: Snapshot; readonly beta: Snapshot },
): MergeCase[] {
  const of = [snapshots.ancestor, snapshots.alpha, snapshots.beta] as const;
  return conflicts.flatMap(({ path, kind }) => {
    if (kind !== "edit") return [];
    const [base, alpha, beta] = of.map((snapshot) => versionAt(snapshot, path));
    return base && alpha && beta ? [{ path, base, versions: [alpha, beta] as const }] : [];
  });
}

/** Gives the number of a staged copy of a case's version. */
export function slotOf(index: number, side: Side): number {
  return 2 * index + side;
}

function versionAt(snapshot: Snapshot, path: string): Version | undefined {
  const row = snapshot.find(path);
  if (row < 0 || snapshot.kind(row) !== FILE || snapshot.size(row) > MAX_MERGE_BYTES) return undefined;
  return {
    size: snapshot.size(row),
    content: snapshot.content(row),
    mode: snapshot.mode(row),
    mtime: snapshot.mtime(row),
  };
}
