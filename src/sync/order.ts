/** Brings the changes of one end into an order that works, and makes steps of them. */
import type { Staged, Step } from "./end.ts";
import type { Change } from "./plan.ts";
import { type Snapshot, SYMLINK } from "./snapshot.ts";

/** Owner's bits without which nothing can be put into a folder. */
const OWNER = 0o700;

/** Phases in their order; LEFT_FOLDER: where something was that has moved, LATE_FOLDER: where something had to go. */
const ASIDE = 0,
  FOLDER = 1,
  MOVE = 2,
  LEFT_FOLDER = 3,
  COME = 4,
  TAKE = 5,
  DROP = 6,
  LATE_FOLDER = 7,
  REPLACE = 8,
  MODE = 9;

const PHASES = 10;

/** What has to be done at one end. */
export interface Ordered {
  readonly staged: readonly Staged[];
  /** As `staged`, of where merges are. */
  readonly merged: readonly Staged[];
  /** In order; each with the place of its change in the list. */
  readonly steps: readonly { readonly index: number; readonly step: Step }[];
}

/**
 * Gives the steps of `changes`: what steps aside first, then folders that nothing is in the way of, then moves, then folders in the
 * place of what has moved, then what comes and has nothing in its way, so that after a crash something is there rather under both names than under none, then what goes, then what
 * comes in its place, last the permissions.
 */
export function order(changes: readonly Change[], here: Snapshot, there: Snapshot): Ordered {
  const phases: { index: number; step: Step }[][] = Array.from({ length: PHASES }, () => []);
  const staged: Staged[] = [], merged: Staged[] = [];
  const busy = new Set<string>(), left = new Set<string>();
  for (const change of changes) {
    if (change.do === "take" || change.do === "drop") busy.add(change.path);
    else if (change.do === "away") left.add(change.path);
  }
  for (const [index, change] of changes.entries()) {
    const { path } = change;
    const add = (phase: number, step: Step) => void phases[phase]!.push({ index, step });
    switch (change.do) {
      case "move":
        add(change.source < 0 ? ASIDE : MOVE, {
          do: "move",
          path,
          from: change.from,
          was: here.stamp(change.was),
        });
        break;
      case "make":
        add(isBelow(path, busy) ? LATE_FOLDER : isBelow(path, left) ? LEFT_FOLDER : FOLDER, {
          do: "make",
          path,
          mode: change.mode | OWNER,
        });
        break;
      case "take":
        add(TAKE, { do: "take", path, was: here.stamp(change.was) });
        break;
      case "drop":
        add(DROP, { do: "drop", path });
        break;
      case "put": {
        const was = change.was < 0 ? {} : { was: here.stamp(change.was) };
        const keep = change.keep === undefined ? {} : { keep: change.keep };
        add(change.was < 0 && !isBelow(path, busy) ? COME : REPLACE, {
          do: "put",
          path,
          slot: index,
          ...was,
          ...keep,
        });
        if (change.merged !== undefined) {
          merged.push({ ...change.merged, slot: index, isSymlink: false, mode: change.mode });
          break;
        }
        staged.push({
          slot: index,
          path,
          isSymlink: there.kind(change.source) === SYMLINK,
          size: there.size(change.source),
          mtime: there.mtime(change.source),
          mode: change.mode,
          content: there.content(change.source),
        });
        break;
      }
      case "mode":
        add(MODE, { do: "mode", path, was: here.stamp(change.was), mode: change.mode });
    }
  }
  for (const phase of [FOLDER, LEFT_FOLDER, LATE_FOLDER]) {
    phases[phase]!.sort((a, b) => byPath(a.step, b.step));
  }
  for (const phase of [DROP, MODE]) phases[phase]!.sort((a, b) => byPath(b.step, a.step));
  return { staged, merged, steps: phases.flat() };
}

function byPath(a: Step, b: Step): number {
  return a.path < b.path ? -1 : a.path > b.path ? 1 : 0;
}

/** Tells whether one of `busy`, the paths that something must leave first, is `path` or above it. */
export function isBelow(path: string, busy: ReadonlySet<string>): boolean {
  for (let end = path.length; end > 0; end = path.lastIndexOf("/", end - 1)) {
    if (busy.has(path.slice(0, end))) return true;
  }
  return false;
}
