/** The model checker of src/sync; millions of histories: `scripts/soak sync`. */
import { assertRejects, assertTrue } from "../../src/base/testing.ts";
import { AgreedRows, type Change } from "../../src/sync/plan.ts";
import { reconcile } from "../../src/sync/reconcile.ts";
import type { Share } from "./sync_worker.ts";
import { type HistoryOptions, runHistory } from "./sync_history.ts";

/** Of 102,000 in all; two-way-safe is what most people use. */
const ROWS: readonly [string, number, Omit<HistoryOptions, "seed">][] = [
  ["two replicas, two-way-safe", 30_000, { replicas: 2, mode: "two-way-safe" }],
  ["three replicas, two-way-safe", 15_000, { replicas: 3, mode: "two-way-safe" }],
  ["two replicas, merging", 10_000, { replicas: 2, mode: "two-way-safe", merges: true }],
  ["three replicas, merging", 5_000, { replicas: 3, mode: "two-way-safe", merges: true }],
  ["two replicas, two-way-resolved", 10_000, { replicas: 2, mode: "two-way-resolved" }],
  ["two replicas, the newer wins", 5_000, { replicas: 2, mode: "two-way-resolved", prefer: "newer" }],
  ["two replicas, the larger wins", 5_000, { replicas: 2, mode: "two-way-resolved", prefer: "larger" }],
  ["two replicas, one-way-safe", 10_000, { replicas: 2, mode: "one-way-safe" }],
  ["two replicas, one-way-replica", 10_000, { replicas: 2, mode: "one-way-replica" }],
  ["three replicas, coarse clocks and hard links", 2_000, { replicas: 3, mode: "two-way-safe", odd: true }],
];

const WORKERS = 2;

for (const [what, histories, options] of ROWS) {
  Deno.test(`sync loses nothing and comes to rest: ${what}`, async () => {
    const shares = Array.from({ length: WORKERS }, (_, first) => (
      runShare({ options, first: first + 1, last: histories, step: WORKERS })
    ));
    await Promise.all(shares);
  });
}

function runShare(share: Share): Promise<void> {
  const worker = new Worker(new URL("./sync_worker.ts", import.meta.url), { type: "module" });
  return new Promise<void>((resolve, reject) => {
    worker.onmessage = ({ data }: MessageEvent<string | null>) =>
      data === null ? resolve() : reject(new Error(data));
    worker.onerror = (event) => reject(new Error(event.message));
    worker.postMessage(share);
  }).finally(() => worker.terminate());
}

/** Histories that went wrong once, of millions. */
const FOUND: readonly [string, HistoryOptions][] = [
  ["a file moved back while a folder was to take its place", {
    replicas: 2,
    mode: "two-way-safe",
    seed: 1528602642390,
  }],
  ["a crash between what goes and what comes, and a file moved back meanwhile", {
    replicas: 3,
    mode: "two-way-safe",
    merges: true,
    seed: 31429973525,
  }],
];

for (const [what, options] of FOUND) {
  Deno.test(`sync loses nothing: ${what}`, () => runHistory(options));
}

/** Mistakes that the checker must find within so many histories. */
const FAULTS: readonly [string, HistoryOptions["fault"]][] = [
  ["changes without a second look", { careless: true }],
  ["conflicts that one side simply wins", {
    reconcile: (given) =>
      reconcile({ ...given, policy: { ...given.policy, mode: "two-way-resolved", prefer: "alpha" } }),
  }],
  ["a merge that leaves out what beta has written", { halfMerges: true }],
  ["alpha taken for what both had when the database is gone", { guessesAncestor: true }],
  ["conflicts that are never settled", {
    reconcile: (given) => {
      const plan = reconcile(given);
      const nothing = { changes: [[], []] as [Change[], Change[]], agreed: new AgreedRows() };
      return plan.conflicts.some(({ copy }) => copy) ? { ...plan, ...nothing } : plan;
    },
  }],
];

for (const [what, fault] of FAULTS) {
  Deno.test(`the checker finds ${what}`, async () => {
    const error = await assertRejects(async () => {
      for (let seed = 1; seed <= 3000; seed++) {
        await runHistory({ replicas: 2, mode: "two-way-safe", merges: true, seed, fault: fault! });
      }
    });
    assertTrue(/is lost|differ|rest/.test(error.message), error.message);
  });
}
