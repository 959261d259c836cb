/** What happens to the receiver's machine and what it wants done, beyond what both ends have in common. */
import type { CommitResult, ExpectResult, ReceiveReport } from "../native/receive.ts";
import type { Columns, MessageOf } from "../wire/mod.ts";
import type { BulkReceiverAction, BulkReceiverEvent } from "./bulk_receiver.ts";
import type { HeldEntry, PlacedEntry, QuestionAction } from "./dedup/questions.ts";
import type { LargeFile, ManifestRoot } from "./manifest_reader.ts";
import type { FailedEntry } from "./outcome.ts";

/** What the person decided about an offer. */
export type Decision =
  | { readonly accept: true; readonly only?: readonly string[]; readonly unsafeLinks?: boolean }
  | { readonly accept: false };

/** What only the receiver's surroundings tell it. */
export type GetterEvent =
  /** Result of `ask`. */
  | { readonly type: "decided"; readonly decision: Decision }
  | BulkReceiverEvent
  /** Result of `expect`: `refused` are roots that were not taken, `held` files that may be here already. */
  | {
    readonly type: "expected";
    readonly result: ExpectResult;
    readonly refused: readonly RefusedRoot[];
    readonly held: readonly HeldEntry[];
    /** Files that are here already and stay. */
    readonly kept: readonly HeldEntry[];
  }
  /** Result of `place` and `release`. */
  | { readonly type: "placed"; readonly result: PlacedEntry }
  /** Result of `check_space`: bytes that are free; nothing more is known where none are needed. */
  | { readonly type: "space"; readonly available: number }
  /** Result of `watch`; `generation` is that of the action. */
  | { readonly type: "received"; readonly report: ReceiveReport; readonly generation: number }
  /** Result of `commit`. */
  | { readonly type: "committed"; readonly result: CommitResult };

/** A root for which there is no place. */
export interface RefusedRoot extends FailedEntry {
  readonly entry: number;
}

/** What only the receiver wants done. */
export type GetterAction =
  /** Ask the person, and open the engine when they accept anything but a text. */
  | { readonly type: "ask"; readonly offer: MessageOf<"offer"> }
  | BulkReceiverAction
  | QuestionAction
  /** Find places for the roots and register the page's entries; in order. */
  | {
    readonly type: "expect";
    readonly columns: Columns;
    /** u64 per entry; spec/manifest.md §4. */
    readonly versions?: Uint8Array;
    readonly wanted: Uint8Array;
    readonly roots: readonly ManifestRoot[];
    readonly large: readonly LargeFile[];
  }
  /** Look how much space there is, unless it does not matter. */
  | { readonly type: "check_space" }
  /** Wait for news of the engine. */
  | { readonly type: "watch"; readonly generation: number }
  | { readonly type: "commit" };
