/** What both ends have in common once the changes of a plan were tried: the ancestor of the next run. */
import { isSettledWhenPlaced } from "../store/file_stamp.ts";
import { type Done, isFailure } from "./end.ts";
import { type AgreedRow, ALPHA, BETA, type Change, type Plan, type Side } from "./plan.ts";
import { DIRECTORY, FILE, type NewEntry, OPAQUE, type Snapshot, SnapshotBuilder } from "./snapshot.ts";

/** What became of a plan. */
export interface Tried {
  readonly plan: Plan;
  readonly ancestor: Snapshot;
  readonly alpha: Snapshot;
  readonly beta: Snapshot;
  /** For each side, one for each change; undefined where it was not tried. */
  readonly done: readonly [readonly (Done | undefined)[], readonly (Done | undefined)[]];
  /** ms since 1970, not after the first change: what is written later has a later time than what was older then. */
  readonly now: number;
}

const NO_STAMP = new Uint8Array(40);

/**
 * Gives the next ancestor: an entry is agreed when both ends have it now; where a change failed, what was agreed before
 * stays, so that the next run sees the same differences again. What has lost its folder is forgotten, which is always
 * safe: nothing is deleted because of it.
 */
export function agreedSnapshot(tried: Tried): Snapshot {
  const { plan, ancestor } = tried;
  const builder = new SnapshotBuilder({ ends: 2, capacity: Math.max(4, plan.agreed.count) });
  // Whether the entry at each depth of the path at hand is a folder that was added.
  const open: boolean[] = [];
  for (let index = 0; index < plan.agreed.count; index++) {
    const same = filesInRow(tried, index);
    if (same > 1) {
      const { alpha: from, beta } = plan.agreed.at(index);
      const depth = tried.alpha.depth(from);
      open.length = Math.min(open.length, depth);
      if (depth === 0 || open[depth - 1] === true) {
        const ends = [{ snapshot: tried.alpha, end: 0, from }, { snapshot: tried.beta, end: 0, from: beta }];
        builder.addRows(tried.alpha, { from, to: from + same, ends });
      }
      index += same - 1;
      continue;
    }
    const row = plan.agreed.at(index);
    const entry = isDone(tried, row.first) && isDone(tried, row.second)
      ? row.gone ? undefined : entryOf(tried, row)
      : row.ancestor < 0 || isMovedAway(tried, row.first) || isMovedAway(tried, row.second)
      ? undefined
      : oldEntry(ancestor, row.ancestor);
    const depth = depthOf(tried, row);
    if (depth < 0) continue;
    open.length = Math.min(open.length, depth);
    while (open.length < depth) open.push(false);
    const hasParent = depth === 0 || open[depth - 1] === true;
    open[depth] = entry !== undefined && hasParent && entry.kind === DIRECTORY;
    if (entry !== undefined && hasParent && entry.kind !== OPAQUE) builder.add(entry);
  }
  return builder.finish();
}

/** Gives how many rows from `index` on are files of one folder that both have, nothing being done with them. */
function filesInRow({ plan: { agreed }, alpha }: Tried, index: number): number {
  const most = agreed.run(index);
  if (most < 2) return most;
  const first = agreed.at(index).alpha;
  const { kinds, depths } = alpha.columns;
  let rows = 0;
  while (rows < most && kinds[first + rows] === FILE && depths[first + rows] === depths[first]) rows++;
  return rows;
}

/** Gives the change and what became of it; `reference` is (index << 1 | side). */
function resultOf({ plan, done }: Tried, reference: number): { change: Change; done: Done | undefined } {
  const side = (reference & 1) as Side, index = reference >> 1;
  const change = plan.changes[side][index]!;
  return { change, done: done[side][change.do === "away" ? change.move : index] };
}

function isDone(tried: Tried, reference: number): boolean {
  if (reference < 0) return true;
  const { done } = resultOf(tried, reference);
  return done !== undefined && !isFailure(done);
}

/**
 * Tells whether what was here has gone to its new name, though what shall be here has not come: it is agreed there, and whatever is
 * here by now is new, also when it is that again, moved back by somebody meanwhile.
 */
function isMovedAway(tried: Tried, reference: number): boolean {
  return reference >= 0 && resultOf(tried, reference).change.do === "away" && isDone(tried, reference);
}

function depthOf({ ancestor, alpha, beta }: Tried, row: AgreedRow): number {
  if (row.alpha >= 0) return alpha.depth(row.alpha);
  if (row.beta >= 0) return beta.depth(row.beta);
  return row.ancestor >= 0 ? ancestor.depth(row.ancestor) : -1;
}

function oldEntry(ancestor: Snapshot, row: number): NewEntry {
  return {
    kind: ancestor.kind(row),
    depth: ancestor.depth(row),
    name: ancestor.nameBytes(row),
    mode: ancestor.mode(row),
    size: ancestor.size(row),
    mtime: ancestor.mtime(row),
    content: ancestor.content(row),
    stamps: [ancestor.stamp(row, ALPHA), ancestor.stamp(row, BETA)],
    settled: ancestor.columns.settled[row]!,
  };
}

function entryOf(tried: Tried, row: AgreedRow): NewEntry {
  const sides = [tried.alpha, tried.beta] as const;
  const rows = [row.alpha, row.beta] as const;
  if (rows[ALPHA] < 0 && rows[BETA] < 0) return oldEntry(tried.ancestor, row.ancestor);
  const side = rows[ALPHA] >= 0 ? ALPHA : BETA;
  const snapshot = sides[side], at = rows[side];
  const kind = snapshot.kind(at);
  const stamps: Uint8Array[] = [NO_STAMP, NO_STAMP];
  let settled = 0;
  for (const end of kind === DIRECTORY ? [] : [ALPHA, BETA] as const) {
    const placed = placedStamp(tried, row, end);
    if (placed !== undefined) {
      stamps[end] = placed.stamp;
      if (kind === FILE && placed.isSettled) settled |= 1 << end;
    } else if (rows[end] >= 0) {
      stamps[end] = sides[end].stamp(rows[end]);
      if (sides[end].isSettled(rows[end], 0)) settled |= 1 << end;
    }
  }
  return {
    kind,
    depth: snapshot.depth(at),
    name: snapshot.nameBytes(at),
    mode: row.mode >= 0 ? row.mode : snapshot.mode(at),
    size: snapshot.size(at),
    mtime: snapshot.mtime(at),
    content: snapshot.content(at),
    stamps,
    settled,
  };
}

/** Gives the stamp that a change of this row left at an end, if one did, and whether it is proof. */
function placedStamp(
  tried: Tried,
  { first, second }: AgreedRow,
  end: Side,
): { stamp: Uint8Array; isSettled: boolean } | undefined {
  for (const reference of [first, second]) {
    if (reference < 0 || (reference & 1) !== end) continue;
    const { change, done } = resultOf(tried, reference);
    if (done === undefined || isFailure(done) || done.stamp === undefined) continue;
    const stamp = done.stamp as Uint8Array<ArrayBuffer>;
    // What was moved, or got other permissions, is what the scan has read, and may have changed in the clock's step after that.
    const isSettled = change.do === "move" || change.do === "mode"
      ? (end === ALPHA ? tried.alpha : tried.beta).isSettled(change.was, 0)
      : isSettledWhenPlaced(stamp, tried.now);
    return { stamp, isSettled };
  }
  return undefined;
}
