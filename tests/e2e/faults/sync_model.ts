/** The model checker of sync without an end: 1000 histories in memory per run (tests/sim/sync_history.ts). */
import { type HistoryOptions, runHistory } from "../../sim/sync_history.ts";
import type { Scenario } from "./scenario.ts";

const HISTORIES = 1000;

const KINDS: readonly Omit<HistoryOptions, "seed">[] = [
  { replicas: 2, mode: "two-way-safe" },
  { replicas: 3, mode: "two-way-safe" },
  { replicas: 2, mode: "two-way-safe" },
  { replicas: 3, mode: "two-way-safe" },
  { replicas: 2, mode: "two-way-safe", merges: true },
  { replicas: 3, mode: "two-way-safe", merges: true },
  { replicas: 2, mode: "two-way-resolved" },
  { replicas: 2, mode: "two-way-resolved", prefer: "newer" },
  { replicas: 2, mode: "one-way-safe" },
  { replicas: 2, mode: "one-way-replica" },
  { replicas: 2, mode: "two-way-safe", odd: true },
  { replicas: 3, mode: "two-way-safe", odd: true },
  { replicas: 2, mode: "one-way-safe", odd: true },
];

/** See {@linkcode Scenario.about}. */
export const SYNC_MODEL: Scenario = {
  name: "sync",
  about: `${HISTORIES} random histories per run in memory: nothing is lost, all replicas become the same`,
  lanes: 1,
  async run(seed, tally) {
    for (let i = 0; i < HISTORIES; i++) {
      await runHistory({ ...KINDS[i % KINDS.length]!, seed: seed * HISTORIES + i });
    }
    tally.add("histories", HISTORIES);
  },
};
