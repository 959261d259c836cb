/**
 * One end of a pair of folders, as the machine that keeps them the same sees it: `LocalEnd` for a folder of this machine,
 * one in memory for the model checker, `RemoteEnd` for a folder of another machine. All pass tests/compliance/sync_end.ts.
 */
import type { ErrorCode } from "../base/errors.ts";
import type { LocalEnd } from "./local_end.ts";
import type { Abilities } from "./policy.ts";
import type { Snapshot } from "./snapshot.ts";
import type { Side } from "./plan.ts";

/** What a scan is told of the last time. */
export interface Known {
  /** The ancestor, whose stamps at `side` spare hashing what did not change. */
  readonly snapshot: Snapshot;
  readonly side: Side;
  /** What either end's root wants to be left alone, in gitignore syntax. */
  readonly exclude?: readonly string[];
}

/** What an end has. */
export interface Scanned {
  /** With one stamp for each entry. */
  readonly snapshot: Snapshot;
  /** What could not be looked at; opaque in the snapshot. */
  readonly problems: readonly Problem[];
  /** Something was at the root: it is no empty folder. */
  readonly isEmpty: boolean;
  /** Nothing had to be read: with the same ancestor, what {@linkcode End.mark} gave stands for this snapshot. */
  readonly isKnown?: boolean;
}

/** Something that could not be done with one path. */
export interface Problem {
  readonly path: string;
  readonly code: ErrorCode;
  readonly message: string;
}

/** A file or symlink of the other end that is to be copied, before anything is changed. */
export interface Staged {
  /** Number under which a `put` names it; unique in a round. */
  readonly slot: number;
  /** Where it is at the other end. */
  readonly path: string;
  readonly isSymlink: boolean;
  readonly size: number;
  readonly mtime: bigint;
  readonly mode: number;
  readonly content: Uint8Array;
}

/** One change, made only where what is there still has the stamp `was`. What it displaces goes to `keep`, or to the trash. */
export type Step =
  | { readonly do: "make"; readonly path: string; readonly mode: number }
  | {
    readonly do: "put";
    readonly path: string;
    readonly slot: number;
    readonly was?: Uint8Array;
    readonly keep?: string;
  }
  | { readonly do: "take"; readonly path: string; readonly was: Uint8Array }
  | { readonly do: "drop"; readonly path: string }
  | { readonly do: "move"; readonly path: string; readonly from: string; readonly was: Uint8Array }
  | { readonly do: "mode"; readonly path: string; readonly was: Uint8Array; readonly mode: number };

/** How one step or copy ended: the stamp of what is there now (undefined: nothing), or why not. */
export type Done = { readonly stamp?: Uint8Array } | Failure;

/** Why something was not done; SOURCE_CHANGED: somebody changed it meanwhile, and the next round sees to it. */
export interface Failure {
  readonly code: ErrorCode;
  readonly message: string;
}

/** See the top of this file. */
export interface End {
  /** Most files of one `stage`, where that is not what suits a folder of this machine. */
  readonly stageBatch?: number;
  /** Most steps of one `change`, where that is not what suits a folder of this machine. */
  readonly changeBatch?: number;
  abilities(): Promise<Abilities>;
  /** Gives the rules of the `.wormholeignore` file in the root: they bind the other end too. */
  ignored(): Promise<string[]>;
  /**
   * Gives 32 bytes that stand for everything that a scan with these rules would see, if that can be had for less than a scan; a
   * scan that follows with the same rules goes on from there.
   */
  mark?(exclude: readonly string[]): Promise<Uint8Array | undefined>;
  /** Looks at everything, and begins a round: what was staged in an earlier one cannot be put any more. */
  scan(known: Known): Promise<Scanned>;
  /** Bytes that may still be written, beside what a disk keeps free. */
  space(): Promise<number>;
  /** Copies from the other end to where nobody sees it, and checks each copy; gives what failed by slot. */
  stage(files: readonly Staged[], from: End): Promise<Map<number, Failure>>;
  /** Makes changes one after the other; one that fails stops none of the others. One result for each. */
  change(steps: readonly Step[]): Promise<Done[]>;
  /** Resolves when everything done so far survives a power cut. */
  flush(): Promise<void>;
}

/** An end of another machine, which brings its files to a folder of this one. */
export interface GivingEnd extends End {
  /** As {@linkcode End.stage} of `to`, whose `from` is this end. */
  give(files: readonly Staged[], to: LocalEnd): Promise<Map<number, Failure>>;
}

/** Tells whether an end brings its files itself. */
export function gives(end: End): end is GivingEnd {
  return "give" in end;
}

/** Tells whether something was not done. */
export function isFailure(done: Done): done is Failure {
  return "code" in done;
}
