/** Runs of a fault scenario, each made from one seed: a few in the suite, thousands in `scripts/soak`. */

/** Something that goes wrong in a reproducible way. */
export interface Scenario {
  readonly name: string;
  /** What a run does and what must hold, in one line. */
  readonly about: string;
  /** Runs at a time. */
  readonly lanes: number;
  /** Gives the reason why it cannot run here. */
  unable?(): Promise<string | undefined>;
  /** Does one run; the same seed makes the same faults, as far as the machine's own timing allows. Throws what is wrong. */
  run(seed: number, tally: Tally): Promise<void>;
}

/** Counts what happened in the runs, so that a scenario in which nothing happens is seen. */
export class Tally {
  readonly #counts = new Map<string, number>();

  add(what: string, count = 1): void {
    this.#counts.set(what, this.of(what) + count);
  }

  /** Keeps the largest `value`. */
  most(what: string, value: number): void {
    this.#counts.set(what, Math.max(this.of(what), value));
  }

  of(what: string): number {
    return this.#counts.get(what) ?? 0;
  }

  toString(): string {
    return [...this.#counts].sort().map(([what, count]) => `${what} ${count}`).join(", ");
  }
}

/** How the runs of a scenario ended. */
export interface Results {
  readonly passed: number;
  /** The seeds of the runs that failed, with what was wrong. */
  readonly failed: readonly { readonly seed: number; readonly error: unknown }[];
  readonly tally: Tally;
}

/** Options of {@linkcode runScenario}. */
export interface RunOptions {
  readonly runs: number;
  /** Seed of the first run; the others follow it. */
  readonly seed: number;
  /** No run begins later than this many ms after the start. */
  readonly withinMs?: number;
  /** Stops at the first failure. */
  readonly strict?: boolean;
  /** No run begins after it aborts. */
  readonly signal?: AbortSignal;
  onRun?(results: Results): void;
}

/** Runs a scenario with `runs` seeds. */
export async function runScenario(scenario: Scenario, options: RunOptions): Promise<Results> {
  const { runs, seed, withinMs = Infinity, strict = false, signal, onRun } = options;
  const tally = new Tally();
  const failed: { seed: number; error: unknown }[] = [];
  const until = performance.now() + withinMs;
  let passed = 0;
  let next = 0;
  const lane = async () => {
    const goesOn = () => !signal?.aborted && performance.now() < until && !(strict && failed.length > 0);
    while (next < runs && goesOn()) {
      const mine = seed + next++;
      try {
        await scenario.run(mine, tally);
        passed++;
      } catch (error) {
        failed.push({ seed: mine, error });
      }
      onRun?.({ passed, failed, tally });
    }
  };
  await Promise.all(Array.from({ length: scenario.lanes }, lane));
  return { passed, failed, tally };
}

/** Runs a scenario as a test does: fails with the seed; says why when it cannot run here. */
export async function holds(
  scenario: Scenario,
  options: Omit<RunOptions, "strict" | "onRun">,
): Promise<Tally | undefined> {
  const reason = await scenario.unable?.();
  if (reason !== undefined) return void console.log(`skipped: ${reason}`);
  const { failed: [first], tally } = await runScenario(scenario, { ...options, strict: true });
  if (first === undefined) return tally;
  const told = first.error instanceof Error ? first.error.message : String(first.error);
  throw new Error(`scripts/soak ${scenario.name} --seed ${first.seed} --runs 1: ${told}`, {
    cause: first.error,
  });
}
