/** Ratios of one run against a committed baseline: what got worse by more than it may. Pure. */
import { cpuOf } from "./columns.ts";
import type { Row, Sample } from "./results.ts";
import { median } from "./statistics.ts";

/** What is divided by what: both measured in the same run, so that the machine's speed cancels out. */
export interface Ratio {
  readonly name: string;
  readonly job: string;
  readonly ours: string;
  readonly theirs: string;
  readonly metric: Metric;
}

/** A number of a sample for which less is better. */
export type Metric = "wall" | "cpu" | "code";

/** Ratios by name. */
export type Ratios = Readonly<Record<string, number>>;

/** What came of a comparison. */
export interface Comparison {
  /** One line for each ratio, in order. */
  readonly lines: readonly string[];
  /** Names of ratios that got worse by more than the tolerance. */
  readonly worse: readonly string[];
  /** Names of ratios of the baseline that were not measured. */
  readonly missing: readonly string[];
}

/** How much larger a ratio may be than the baseline's. */
export const TOLERANCE = 0.15;

/** Works out the ratios that the rows allow: the median over the runs of each run's own ratio. */
export function ratiosOf(rows: readonly Row[], wanted: readonly Ratio[]): Ratios {
  const ratios: Record<string, number> = {};
  for (const { name, job, ours, theirs, metric } of wanted) {
    const [a, b] = [ours, theirs].map((tool) =>
      rows.find((row) => row.job === job && row.tool === tool)?.samples
    );
    const pairs = Math.min(a?.length ?? 0, b?.length ?? 0);
    const values = Array.from(
      { length: pairs },
      (_, run) => valueOf(a![run]!, metric) / valueOf(b![run]!, metric),
    )
      .filter(Number.isFinite);
    if (values.length > 0) ratios[name] = median(values);
  }
  return ratios;
}

/** Compares what was measured with the baseline. */
export function compare(
  baseline: Ratios,
  measured: Ratios,
  { tolerance = TOLERANCE }: { tolerance?: number } = {},
): Comparison {
  const lines: string[] = [];
  const worse: string[] = [];
  const missing: string[] = [];
  for (const name of new Set([...Object.keys(baseline), ...Object.keys(measured)])) {
    const [before, now] = [baseline[name], measured[name]];
    if (now === undefined) {
      missing.push(name);
      lines.push(`missing  ${name}: not measured, the baseline has ${before!.toFixed(2)}`);
    } else if (before === undefined) {
      lines.push(`new      ${name}: ${now.toFixed(2)}, not in the baseline`);
    } else {
      const change = now / before - 1;
      const isWorse = change > tolerance;
      if (isWorse) worse.push(name);
      const verdict = isWorse ? "WORSE  " : change < -tolerance ? "better " : "ok     ";
      const signed = `${change < 0 ? "" : "+"}${(change * 100).toFixed(0)}%`;
      lines.push(`${verdict}  ${name}: ${now.toFixed(2)}, the baseline has ${before.toFixed(2)} (${signed})`);
    }
  }
  return { lines, worse, missing };
}

function valueOf(sample: Sample, metric: Metric): number {
  return metric === "cpu" ? cpuOf(sample) : sample[metric] ?? NaN;
}
