/**
 * Sees that nothing has to be done without looking at entries: both ends are just as in a run before that found nothing to do.
 *
 * What a run does follows from the ancestor, what the ends have, and the policy, and from nothing else; so where marks that stand
 * for those are the same as then, the outcome is. docs/design/sync.md §5.
 */
import { concat } from "../base/bytes.ts";
import { hashBuffer } from "../native/hash.ts";
import type { End } from "./end.ts";
import { type Policy, sharedAbilities } from "./policy.ts";
import type { SyncState } from "./state.ts";

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
  #key: Uint8Array | undefined;

  constructor(options: QuietOptions) {
    this.#options = options;
  }

  /** Gives how many entries both have when there is nothing to do; undefined when a run has to see to that. */
  async entries(): Promise<number | undefined> {
    const { state, identities, ends } = this.#options;
    const ancestor = state.ancestorId(identities);
    if (ancestor === undefined || ends.some((end) => end.mark === undefined)) return undefined;
    const exclude = (await Promise.all(ends.map((end) => end.ignored()))).flat();
    const [a, b] = await Promise.all(ends.map((end) => end.mark!(exclude)));
    if (a === undefined || b === undefined) return undefined;
    this.#key = hashBuffer(concat(await this.#policy(), ancestor, a, b));
    return state.quiet(this.#key);
  }

  /** The run after {@linkcode Quiet.entries} found that both have the same `entries`, and nothing to do. */
  remember(entries: number): void {
    if (this.#key !== undefined) this.#options.state.keepQuiet(this.#key, entries);
  }

  async #policy(): Promise<Uint8Array> {
    const { ends, policy: { mode, prefer, permissions } } = this.#options;
    const [a, b] = await Promise.all(ends.map((end) => end.abilities()));
    const { foldsCase, normalizes, permissions: bits, symlinks } = sharedAbilities(a!, b!);
    const words = [VERSION, mode, prefer, permissions, foldsCase, normalizes, bits, symlinks];
    return hashBuffer(new TextEncoder().encode(words.join(" ")));
  }
}
