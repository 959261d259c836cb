/** What both engines tell of entries. */
/** Entries as columns of little-endian numbers; docs/design/contracts.md §1. */
export interface NativeColumns {
  readonly first: number;
  readonly count: number;
  readonly kinds: Uint8Array;
  readonly parents: Uint8Array;
  readonly name_lengths: Uint8Array;
  readonly names: Uint8Array;
  readonly modes: Uint8Array;
  readonly sizes: Uint8Array;
  readonly mtimes: Uint8Array;
  readonly targets: Uint8Array;
  readonly last: boolean;
}

/** An entry that the engine could not move. */
export interface NativeFailure {
  /** 0xFFFFFFFF when it is known by its path only. */
  readonly entry: number;
  readonly path: Uint8Array;
  /** Error number. */
  readonly kind: number;
  readonly text: string;
}

/** Something that a walk left out because it cannot be read. */
export type NativeProblem = Omit<NativeFailure, "entry">;

/** A waiting call's options. */
export interface WaitOptions {
  readonly signal?: AbortSignal;
}
