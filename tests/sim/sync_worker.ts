/** Runs a part of the histories of the model checker; the other parts run beside it. */
import { type HistoryOptions, runHistory } from "./sync_history.ts";

/** What a worker is told: seeds from `first` on, each `step`th, up to `last`. */
export interface Share {
  readonly options: Omit<HistoryOptions, "seed">;
  readonly first: number;
  readonly last: number;
  readonly step: number;
}

const scope = self as unknown as {
  onmessage: (event: MessageEvent<Share>) => void;
  postMessage(problem: string | null): void;
};

scope.onmessage = async ({ data: { options, first, last, step } }) => {
  try {
    for (let seed = first; seed <= last; seed += step) await runHistory({ ...options, seed });
    scope.postMessage(null);
  } catch (error) {
    scope.postMessage(error instanceof Error ? error.message : String(error));
  }
};
