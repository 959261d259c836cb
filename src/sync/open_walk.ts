import type { NativeQueue } from "../native/queue.ts";
import { Walk } from "../native/walk.ts";
import { OWN_EXCLUDES } from "./places.ts";

/** How a folder is walked, whatever its rules. */
export interface WalkOptions {
  readonly queue: NativeQueue;
  readonly exclude: readonly string[];
  readonly oneFileSystem: boolean;
  readonly signal?: AbortSignal;
}

/**
 * Most bytes of a walk that is kept until somebody takes it: a million entries with names of 16 bytes take 83 MB. Beyond, a folder
 * has no mark.
 */
const MAX_AHEAD_BYTES = 128 * 1024 * 1024;

/** Begins to look at everything below `root` but what either end's root wants to be left alone. @throws {WormholeError} as `scanFolder`. */
export async function openWalk(
  root: string,
  rules: readonly string[],
  { queue, exclude, oneFileSystem, signal }: WalkOptions,
): Promise<Walk> {
  return await Walk.open(queue, [{ path: root, name: "." }], {
    exclude: [...rules, ...exclude, ...OWN_EXCLUDES],
    marks: { oneFileSystem },
    ...signal && { signal },
  });
}

/** A walk that goes on although nobody takes its pages yet. */
export interface SummedWalk {
  /** What the pages sum up to; undefined as for {@linkcode Walk.sum}. */
  readonly sum: Promise<Uint8Array | undefined>;
  /** The walk, once it is summed up: nobody else may use it before. */
  readonly walk: Promise<Walk>;
}

/** Walks through `root` and sums it up. Whoever has it takes its `walk`, and closes that. */
export function sumWalk(root: string, rules: readonly string[], options: WalkOptions): SummedWalk {
  const { signal } = options;
  const walk = openWalk(root, rules, options);
  const sum = walk.then((each) => each.sum({ keepBytes: MAX_AHEAD_BYTES, ...signal && { signal } }));
  const summed = sum.then(() => walk, () => walk);
  summed.catch(() => {}); // Whoever asks for the sum is told.
  return { sum, walk: summed };
}
