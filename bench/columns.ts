/** Columns of the tables: what they take from a sample, and how it is shown. */
import type { Sample } from "./results.ts";
import { median } from "./statistics.ts";

/** One column. */
export interface Column {
  readonly header: string;
  /** A number of one run; undefined where the run has none. */
  of(sample: Sample): number | undefined;
  readonly digits: number;
  /** Shows the range over all runs too. */
  readonly range?: boolean;
}

const GIB = 2 ** 30;
const MIB = 2 ** 20;

/** Wall time with its range, in s. */
export const WALL: Column = { header: "wall s", of: ({ wall }) => wall, digits: 2, range: true };

/** Bytes of the job per s of wall time. */
export const RATE: Column = {
  header: "MiB/s",
  of: ({ bytes, wall }) =>
    bytes === undefined || bytes < 2 || wall === undefined ? undefined : bytes / MIB / wall,
  digits: 0,
};

/** What both ends of a move cost. */
export const COST: readonly Column[] = [
  { header: "CPU s sender", of: ({ cpu_sender }) => cpu_sender, digits: 2 },
  { header: "CPU s receiver", of: ({ cpu_receiver }) => cpu_receiver, digits: 2 },
  {
    header: "CPU s/GiB",
    of: (sample) =>
      sample.bytes === undefined || sample.bytes < MIB ? undefined : cpuOf(sample) / (sample.bytes / GIB),
    digits: 2,
  },
  { header: "peak MiB sender", of: ({ rss_sender }) => inMib(rss_sender), digits: 0 },
  { header: "peak MiB receiver", of: ({ rss_receiver }) => inMib(rss_receiver), digits: 0 },
];

/** Wall time, rate and cost: the columns of most benches. */
export const MOVE: readonly Column[] = [WALL, RATE, ...COST];

/** CPU seconds of both ends. */
export function cpuOf({ cpu_sender = 0, cpu_receiver = 0 }: Sample): number {
  return cpu_sender + cpu_receiver;
}

/** A column that shows the number `name` of each sample as it is. */
export function plain(
  name: string,
  { header = name, digits = 2, range = false }: { header?: string; digits?: number; range?: boolean } = {},
): Column {
  return { header, of: (sample) => sample[name], digits, range };
}

/** Shows a column of a row: the median, with the range where it is wanted and there are several runs. */
export function cell({ of, digits, range }: Column, samples: readonly Sample[]): string {
  const values = samples.map(of).filter((value) => value !== undefined);
  if (values.length === 0) return "-";
  const middle = median(values).toFixed(digits);
  if (!range || values.length === 1) return middle;
  return `${middle} (${Math.min(...values).toFixed(digits)}-${Math.max(...values).toFixed(digits)})`;
}

function inMib(bytes: number | undefined): number | undefined {
  return bytes === undefined ? undefined : bytes / MIB;
}
