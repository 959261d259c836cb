/** Finds what was moved: a file that goes at one path and comes at another is renamed in place instead of copied. */
import { isBelow } from "./order.ts";
import type { Change } from "./plan.ts";
import { FILE, type Snapshot } from "./snapshot.ts";
import { basename } from "../base/paths.ts";

/**
 * Gives the changes with each pair of a removal and a new file of the same content as a move; places in the lists stay.
 * The removal becomes `away`, which succeeds when the move does.
 */
export function withMoves(
  changes: readonly [Change[], Change[]],
  { alpha, beta }: { alpha: Snapshot; beta: Snapshot },
): [Change[], Change[]] {
  return [movesAt(changes[0], alpha, beta), movesAt(changes[1], beta, alpha)];
}

function movesAt(changes: Change[], here: Snapshot, there: Snapshot): Change[] {
  const removed = new Map<string, number[]>();
  const busy = new Set<string>();
  for (const [index, change] of changes.entries()) {
    if (change.do === "take" || change.do === "drop") busy.add(change.path);
    if (change.do !== "take" || here.kind(change.was) !== FILE || here.size(change.was) === 0) continue;
    const key = keyOf(here, change.was);
    const list = removed.get(key);
    if (list === undefined) removed.set(key, [index]);
    else list.push(index);
  }
  if (removed.size === 0) return changes;
  const result = [...changes];
  for (const [index, change] of changes.entries()) {
    if (change.do !== "put" || change.was >= 0 || there.kind(change.source) !== FILE) continue;
    const from = removed.get(keyOf(there, change.source));
    if (from === undefined || from.length === 0 || isBelow(change.path, busy)) continue;
    const named = from.findIndex((at) => basename(changes[at]!.path) === basename(change.path));
    const [at] = from.splice(Math.max(named, 0), 1);
    const { path, was } = changes[at!] as Change & { do: "take" };
    result[index] = { do: "move", path: change.path, from: path, was, source: change.source };
    result[at!] = { do: "away", path, was, move: index };
  }
  return result;
}

function keyOf(snapshot: Snapshot, row: number): string {
  return `${snapshot.size(row)}:${snapshot.content(row).toHex()}`;
}

/** Gives how many files and symlinks an end loses without their coming elsewhere. */
export function lossesOf(changes: readonly Change[]): number {
  return changes.reduce((count, change) => count + (change.do === "take" ? 1 : 0), 0);
}
