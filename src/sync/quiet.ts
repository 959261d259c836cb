/**
 * Sees that nothing has to be done without looking at entries: both ends are just as in a run before that found nothing to do.
 *
 * What a run does follows from the ancestor, what the ends have, and the policy, and from nothing else; so where marks that stand
 * for those are the same as then, the outcome is. docs/design/sync.md §5.
 */
import { concat, sameBytes } from "../base/bytes.ts";
import { hashBuffer } from "../native/hash.ts";
import type { End } from "./end.ts";
import { rulesOfBoth } from "./ignore_rules.ts";
import { type Policy, sharedAbilities } from "./policy.ts";
import type { QuietKey, SyncState } from "./state.ts";

/** Of what this program decides; another number when the same folders may be decided differently. */
const VERSION = 1;

/** What {@linkcode Quiet} needs. */
export interface QuietOptions {
  readonly state: SyncState;
  /** Of the roots. */
  readonly identities: readonly [string, string];
  readonly ends: readonly [End, End];
  readonly policy: Pick<Policy, "mode" | "prefer" | "permissions">;
}

/** See the top of this file. For one run. */
export class Quiet {
  readonly #options: QuietOptions;
  #key: Promise<QuietKey | undefined> | undefined;

  constructor(options: QuietOptions) {
    this.#options = options;
  }

  /**
   * Gives how many entries both have when there is nothing to do; undefined when a run has to see to that, as soon as one end is
   * seen to be another: the scan of that one then goes on while the other one still looks.
   */
  async entries(): Promise<number | undefined> {
    const { state, identities, ends } = this.#options;
    const ancestor = state.ancestorId(identities);
    if (ancestor === undefined || ends.some((end) => end.mark === undefined)) return undefined;
    const exclude = rulesOfBoth(await Promise.all(ends.map((end) => end.ignored())));
    const marks = ends.map((end) => end.mark!(exclude));
    const keyed = Promise.all(marks).then(([a, b]) =>
      a === undefined || b === undefined ? undefined : this.#keyOf(ancestor, a, b)
    );
    keyed.catch(() => {}); // Whoever waits for an end is told.
    this.#key = keyed;
    const last = state.quietMarks;
    if (last === undefined || await anyIs(marks, (mark, side) => !isMark(mark, last[side]!))) {
      return undefined;
    }
    const key = await keyed;
    return key && state.quiet(key.key);
  }

  /** The run after {@linkcode Quiet.entries} found that both have the same `entries`, and nothing to do. */
  async remember(entries: number): Promise<void> {
    const key = await this.#key;
    if (key !== undefined) this.#options.state.keepQuiet(key, entries);
  }

  async #keyOf(ancestor: Uint8Array, a: Uint8Array, b: Uint8Array): Promise<QuietKey> {
    return { key: hashBuffer(concat(await this.#policy(), ancestor, a, b)), marks: [a, b] };
  }

  async #policy(): Promise<Uint8Array> {
    const { ends, policy: { mode, prefer, permissions } } = this.#options;
    const [a, b] = await Promise.all(ends.map((end) => end.abilities()));
    const { foldsCase, normalizes, permissions: bits, symlinks } = sharedAbilities(a!, b!);
    const words = [VERSION, mode, prefer, permissions, foldsCase, normalizes, bits, symlinks];
    return hashBuffer(new TextEncoder().encode(words.join(" ")));
  }
}

function isMark(mark: Uint8Array | undefined, last: Uint8Array): boolean {
  return mark !== undefined && sameBytes(mark, last);
}

/** Tells whether `test` holds for what one of the promises gives, as soon as that is known. @throws what one of them throws before. */
function anyIs<T>(
  promises: readonly Promise<T>[],
  test: (value: T, index: number) => boolean,
): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const tested = promises.map(async (promise, index) => {
      if (test(await promise, index)) resolve(true);
    });
    Promise.all(tested).then(() => resolve(false), reject);
  });
}
