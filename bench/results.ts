/** What was measured, as it is kept in `bench/results/NAME.json`: one file per bench, one row per job and tool. */
import { ROOT } from "./machine.ts";

/** One run's numbers by name: seconds, bytes, or what the bench's columns say. */
export type Sample = Readonly<Record<string, number>>;

/** All runs of one tool with one job. */
export interface Row {
  readonly job: string;
  readonly tool: string;
  /** How it was run, and what its numbers do not contain. */
  readonly note?: string;
  readonly version?: string;
  readonly date: string;
  readonly commit: string;
  readonly machine: string;
  /** Small inputs, for trying the bench. */
  readonly quick: boolean;
  readonly samples: readonly Sample[];
  /** Why the tool could not do the job; it was not asked again. */
  readonly failure?: string;
}

/** One bench's file. */
export interface Results {
  readonly bench: string;
  readonly rows: readonly Row[];
}

/** Gives what is kept of a bench; no rows when there is nothing yet. */
export async function readResults(bench: string): Promise<Results> {
  try {
    return JSON.parse(await Deno.readTextFile(fileOf(bench)));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return { bench, rows: [] };
    throw error;
  }
}

/** Keeps `rows`; those of the same job and tool are replaced. */
export async function keepRows(bench: string, rows: readonly Row[]): Promise<Results> {
  const merged = { bench, rows: mergeRows((await readResults(bench)).rows, rows) };
  await Deno.mkdir(`${ROOT}/bench/results`, { recursive: true });
  await Deno.writeTextFile(fileOf(bench), JSON.stringify(merged, null, 1) + "\n");
  return merged;
}

/** Puts each new row in the place of the old one of its job and tool, or at the end. */
export function mergeRows(old: readonly Row[], rows: readonly Row[]): Row[] {
  const key = ({ job, tool }: Row) => `${job}\n${tool}`;
  const fresh = new Map(rows.map((row) => [key(row), row]));
  const merged = old.map((row) => {
    const replacement = fresh.get(key(row)) ?? row;
    fresh.delete(key(row));
    return replacement;
  });
  return [...merged, ...fresh.values()];
}

function fileOf(bench: string): string {
  return `${ROOT}/bench/results/${bench}.json`;
}
