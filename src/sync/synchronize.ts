/**
 * Makes two ends the same: scan, reconcile, copy what is needed to where nobody sees it, then change. Rounds follow until
 * nothing is left that a round can do.
 *
 * Every change is made by an end under the condition that what is there is what the scan saw, and what it displaces is
 * kept; so an end of the program, of the power or of the link at any moment loses nothing, and the next run goes on from
 * what it finds. Only then is it written down as agreed. docs/design/sync.md §5.
 */
import { WormholeError } from "../base/errors.ts";
import { agreedSnapshot } from "./agreed.ts";
import { brake, type MaxDelete } from "./brakes.ts";
import {
  type Done,
  type End,
  type Failure,
  isFailure,
  type Problem,
  type Scanned,
  type Staged,
} from "./end.ts";
import { rulesOfBoth } from "./ignore_rules.ts";
import { mergeCases, type Merger } from "./merge.ts";
import { order } from "./order.ts";
import { ALPHA, BETA, type Change, type Conflict, type Plan, type Side } from "./plan.ts";
import { type Policy, sharedAbilities } from "./policy.ts";
import { reconcile } from "./reconcile.ts";
import type { Snapshot } from "./snapshot.ts";
import { MAX_STAGED_PATH_BYTES } from "../wire/mod.ts";

/** Rounds of one run: a second one sees to conflict copies and to what changed meanwhile, a third to what that left. */
const MAX_ROUNDS = 3;

/** Files that are staged, or steps that are taken, in one call to an end. */
const BATCH = 1024;

/** What {@linkcode synchronize} needs. */
export interface Synchronizing {
  readonly ends: readonly [End, End];
  /** What the ends are called in messages. */
  readonly names: readonly [string, string];
  readonly policy: Omit<Policy, "abilities">;
  readonly maxDelete: MaxDelete;
  readonly ancestor: Snapshot;
  /** Merges what both have edited; without it that is a conflict. */
  readonly merger?: Merger;
  /** Changes nothing; one round. */
  readonly dryRun?: boolean;
  /** Writes down what is agreed; it is on the disk when this returns. */
  save(agreed: Snapshot): void | Promise<void>;
  /** Asks whether to go on although a brake says this; without it there is nobody to ask. */
  confirm?(reason: string): Promise<boolean>;
  onEvent?(event: SyncEvent): void;
  /** Decides instead of {@linkcode reconcile}; for tests that show that a wrong decision is noticed. */
  readonly reconcile?: typeof reconcile;
  /** ms since 1970. */
  readonly now: () => number;
  readonly signal?: AbortSignal;
}

/** What happens while folders are made the same. */
export type SyncEvent =
  | { readonly kind: "conflict"; readonly conflict: Conflict }
  /** What both have edited was merged. */
  | { readonly kind: "merged"; readonly path: string }
  /** It is done, or in a dry run would be. */
  | { readonly kind: "change"; readonly side: Side; readonly change: Change }
  /** It could not be seen to. */
  | ({ readonly kind: "problem"; readonly side: Side } & Problem)
  /** Somebody has locked it, so that it is left at both ends. */
  | {
    readonly kind: "locked";
    readonly side: Side;
    readonly path: string;
    readonly owner: string;
    readonly holder: LockHolder;
    readonly expiresMs: number;
  }
  /** It is of no kind that is copied: a socket, a named pipe, a device. */
  | ({ readonly kind: "skipped"; readonly side: Side } & Problem);

/** The machine whose lock it is: this one, the other end's, one with this key (hex), or a third one that the other end knows. */
export type LockHolder = "here" | "there" | "other" | { readonly key: string };

/** How it ended. */
export interface Outcome {
  /** Changes made at each end. */
  readonly changes: readonly [number, number];
  /** Files and symlinks that went to the trash because they were deleted at the other end. */
  readonly removed: readonly [number, number];
  /** Bytes copied to each end. */
  readonly bytes: readonly [number, number];
  /** Those that somebody has to decide. */
  readonly conflicts: number;
  /** Files that both have edited and that were merged. */
  readonly merged: number;
  /** Entries that could not be seen to; each had an event. */
  readonly problems: number;
  /** Sockets and their like. */
  readonly skipped: number;
  /** Entries that somebody changed meanwhile, or that are left for the next run for another reason. */
  readonly postponed: number;
  /** Entries of both ends that are the same now. */
  readonly entries: number;
  readonly rounds: number;
  /** There was nothing to do or to tell, and nothing had to be read to see it. */
  readonly isQuiet: boolean;
}

interface Totals {
  changes: [number, number];
  removed: [number, number];
  bytes: [number, number];
  conflicts: number;
  merged: number;
  problems: number;
  skipped: number;
  postponed: number;
  entries: number;
  rounds: number;
  isQuiet: boolean;
}

/**
 * Makes two ends the same.
 *
 * @throws {WormholeError} BRAKED when too much would be deleted, NO_SPACE when it does not fit, before anything is
 * changed; what the ends throw.
 */
export async function synchronize(given: Synchronizing): Promise<Outcome> {
  const [a, b] = await Promise.all(given.ends.map((end) => end.abilities()));
  const policy: Policy = { ...given.policy, abilities: sharedAbilities(a!, b!) };
  const totals: Totals = {
    changes: [0, 0],
    removed: [0, 0],
    bytes: [0, 0],
    conflicts: 0,
    merged: 0,
    problems: 0,
    skipped: 0,
    postponed: 0,
    entries: 0,
    rounds: 0,
    isQuiet: false,
  };
  const told = new Set<string>();
  let { ancestor } = given;
  for (;;) {
    given.signal?.throwIfAborted();
    const round = await oneRound({ ...given, ancestor, policy }, totals, told);
    ancestor = round.ancestor;
    totals.rounds++;
    if (!round.again || given.dryRun || totals.rounds === MAX_ROUNDS) return totals;
  }
}

async function oneRound(
  given: Omit<Synchronizing, "policy"> & { policy: Policy },
  totals: Totals,
  told: Set<string>,
): Promise<{ ancestor: Snapshot; again: boolean }> {
  const { ends, ancestor, policy } = given;
  const exclude = rulesOfBoth(await Promise.all(ends.map((end) => end.ignored())));
  const scanned = await Promise.all(
    ends.map((end, side) => end.scan({ snapshot: ancestor, side: side as Side, exclude })),
  ) as [Scanned, Scanned];
  const [alpha, beta] = [scanned[ALPHA].snapshot, scanned[BETA].snapshot];
  const decide = given.reconcile ?? reconcile;
  let plan = decide({ ancestor, alpha, beta, policy });
  const cases = given.merger === undefined || given.dryRun
    ? []
    : mergeCases(plan.conflicts, { ancestor, alpha, beta });
  if (cases.length > 0) {
    const merged = await given.merger!.merge(cases, ends);
    if (merged.size > 0) plan = decide({ ancestor, alpha, beta, policy: { ...policy, merged } });
  }
  for (const side of [ALPHA, BETA] as const) {
    for (const problem of scanned[side].problems) {
      if (problem.code !== "UNSUPPORTED") tellProblem(given, totals, told, side, problem);
      else if (totals.rounds === 0) {
        totals.skipped++;
        given.onEvent?.({ kind: "skipped", side, ...problem });
      }
    }
  }
  for (const conflict of plan.conflicts) tellConflict(given, totals, told, conflict);
  const reason = brake({ ancestor, scanned, plan, maxDelete: given.maxDelete, names: given.names });
  if (reason !== undefined && !given.dryRun && !await given.confirm?.(reason)) {
    throw new WormholeError("BRAKED", `Cannot synchronize: ${reason}`);
  }
  if (given.dryRun) {
    for (const side of [ALPHA, BETA] as const) {
      for (const change of plan.changes[side]) tellChange(given, totals, side, change);
    }
    return { ancestor, again: false };
  }
  await mustFit(given, plan, [alpha, beta]);
  const now = given.now();
  const done = await carryOut(given, plan, [alpha, beta]);
  totals.postponed = 0;
  for (const side of [ALPHA, BETA] as const) {
    count(given, totals, told, side, plan, done[side], [alpha, beta]);
  }
  const agreed = plan.isNews ? agreedSnapshot({ plan, ancestor, alpha, beta, done, now }) : ancestor;
  if (plan.isNews) await given.save(agreed);
  totals.entries = agreed.count;
  totals.isQuiet = totals.rounds === 0 && !plan.isNews && plan.conflicts.length === 0 &&
    plan.changes.every((changes) => changes.length === 0) &&
    scanned.every(({ problems, isKnown }) => isKnown === true && problems.length === 0);
  const isUnseen = plan.conflicts.some(({ copy, isMerged }) => copy !== undefined || isMerged);
  return { ancestor: agreed, again: isUnseen || totals.postponed > 0 };
}

/** Both disks must hold what is copied to them, before anything is. */
async function mustFit(
  { ends, names }: Pick<Synchronizing, "ends" | "names">,
  plan: Plan,
  snapshots: readonly [Snapshot, Snapshot],
): Promise<void> {
  for (const side of [ALPHA, BETA] as const) {
    const there = snapshots[1 - side]!;
    const bytes = plan.changes[side].reduce(
      (sum, change) => sum + (change.do === "put" ? sizeOf(change, there) : 0),
      0,
    );
    if (bytes === 0) continue;
    const space = await ends[side].space();
    if (bytes <= space) continue;
    const state = `${bytes} bytes are to be copied there, and there is room for ${space}`;
    throw new WormholeError("NO_SPACE", `Cannot synchronize into "${names[side]}": ${state}`);
  }
}

function sizeOf({ merged, source }: Change & { do: "put" }, there: Snapshot): number {
  return merged?.size ?? there.size(source);
}

type Results = [(Done | undefined)[], (Done | undefined)[]];

async function carryOut(
  { ends, merger, signal }: Pick<Synchronizing, "ends" | "merger" | "signal">,
  plan: Plan,
  snapshots: readonly [Snapshot, Snapshot],
): Promise<Results> {
  const ordered = [ALPHA, BETA].map((side) =>
    order(plan.changes[side as Side], snapshots[side]!, snapshots[1 - side]!)
  );
  // Everything that is needed is copied before anything is changed: what moves here is still where it was there.
  const failures: Map<number, Failure>[] = [];
  for (const side of [ALPHA, BETA] as const) {
    const { staged, merged } = ordered[side]!;
    const failed = await stageAll(ends[side], ends[1 - side]!, staged, signal);
    if (merged.length > 0) {
      for (const [slot, failure] of await stageAll(ends[side], merger!.end, merged, signal)) {
        failed.set(slot, failure);
      }
    }
    failures.push(failed);
  }
  const results: Results = [[], []];
  for (const side of [ALPHA, BETA] as const) {
    const { staged, merged, steps } = ordered[side]!;
    if (steps.length === 0) continue;
    if (staged.length + merged.length > 0) await ends[side].flush();
    const ready = steps.filter(({ index, step }) => {
      const failure = step.do === "put" ? failures[side]!.get(step.slot) : undefined;
      if (failure !== undefined) results[side][index] = failure;
      return failure === undefined;
    });
    const most = ends[side].changeBatch ?? BATCH;
    for (let at = 0; at < ready.length; at += most) {
      signal?.throwIfAborted();
      const batch = ready.slice(at, at + most);
      const done = await ends[side].change(batch.map(({ step }) => step));
      for (const [i, { index }] of batch.entries()) results[side][index] = done[i];
    }
    await restrict(ends[side], plan.changes[side], results[side]);
    await ends[side].flush();
  }
  return results;
}

async function stageAll(
  end: End,
  from: End,
  staged: readonly Staged[],
  signal?: AbortSignal,
): Promise<Map<number, Failure>> {
  const failures = new Map<number, Failure>();
  const batch = end.stageBatch ?? from.stageBatch ?? BATCH;
  for (let at = 0; at < staged.length;) {
    signal?.throwIfAborted();
    const some = firstFew(staged, { at, most: batch });
    at += some.length;
    for (const [slot, failure] of await end.stage(some, from)) failures.set(slot, failure);
  }
  return failures;
}

/** Gives the files from `at` on, at most so many, and no more than another machine takes the paths of at a time. */
export function firstFew(
  staged: readonly Staged[],
  { at, most }: { at: number; most: number },
): readonly Staged[] {
  let bytes = 0, end = at;
  while (end < staged.length && end - at < most) {
    // As many bytes as its characters can take.
    bytes += 3 * staged[end]!.path.length;
    if (bytes > MAX_STAGED_PATH_BYTES && end > at) break;
    end++;
  }
  return staged.slice(at, end);
}

/** Folders that their owner may not write get that permission taken away once they are full. */
async function restrict(end: End, changes: readonly Change[], results: (Done | undefined)[]): Promise<void> {
  const late = changes.flatMap((change, index) => {
    const done = results[index];
    if (change.do !== "make" || (change.mode & 0o700) === 0o700 || done === undefined || isFailure(done)) {
      return [];
    }
    return done.stamp === undefined
      ? []
      : [{ do: "mode", path: change.path, was: done.stamp, mode: change.mode } as const];
  });
  if (late.length > 0) await end.change(late.toSorted((a, b) => a.path < b.path ? 1 : -1));
}

function count(
  given: Synchronizing,
  totals: Totals,
  told: Set<string>,
  side: Side,
  plan: Plan,
  done: readonly (Done | undefined)[],
  snapshots: readonly [Snapshot, Snapshot],
): void {
  for (const [index, change] of plan.changes[side].entries()) {
    if (change.do === "away") continue;
    const result = done[index];
    if (result === undefined) totals.postponed++;
    else if (!isFailure(result)) {
      tellChange(given, totals, side, change);
      if (change.do === "put") totals.bytes[side] += sizeOf(change, snapshots[1 - side]!);
    } else if (result.code === "SOURCE_CHANGED" || result.code === "ALREADY_EXISTS") totals.postponed++;
    else tellProblem(given, totals, told, side, { path: change.path, ...result });
  }
}

function tellChange(given: Pick<Synchronizing, "onEvent">, totals: Totals, side: Side, change: Change): void {
  if (change.do === "away") return;
  totals.changes[side]++;
  if (change.do === "take") totals.removed[side]++;
  given.onEvent?.({ kind: "change", side, change });
}

function tellConflict(
  given: Pick<Synchronizing, "onEvent">,
  totals: Totals,
  told: Set<string>,
  conflict: Conflict,
): void {
  const key = `${conflict.kind}:${conflict.path}`;
  if (told.has(key)) return;
  told.add(key);
  if (conflict.isMerged) {
    totals.merged++;
    return given.onEvent?.({ kind: "merged", path: conflict.path });
  }
  // Where the change outlives a deletion, and where `prefer` has decided, nothing is left to decide.
  const { winner, copy } = conflict;
  if (winner === undefined || copy !== undefined) totals.conflicts++;
  given.onEvent?.({ kind: "conflict", conflict });
}

function tellProblem(
  given: Pick<Synchronizing, "onEvent">,
  totals: Totals,
  told: Set<string>,
  side: Side,
  problem: Problem,
): void {
  const key = `${side}:${problem.path}:${problem.code}`;
  if (told.has(key)) return;
  told.add(key);
  totals.problems++;
  given.onEvent?.({ kind: "problem", side, ...problem });
}
