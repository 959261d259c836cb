/**
 * How every bench runs: its cases in turn, run after run, so that what disturbs the machine disturbs all of them.
 *
 * `deno run -A bench/NAME.ts [--quick] [--runs N] [--job JOB]… [--tool TOOL]… [--dry] [--list]`. A JOB may hold `*`, so a
 * table can be filled piece by piece. Results are merged into bench/results/NAME.json and RESULTS.md after each run; `--dry`
 * writes nothing and prints the section.
 */
import { parseArgs } from "node:util";
import { describeCommit, describeMachine, scratchFolder } from "./machine.ts";
import { firstLine } from "./process.ts";
import { markdown, type Section, writeSection } from "./report.ts";
import { keepRows, type Row, type Sample } from "./results.ts";

/** One tool with one job. */
export interface Case {
  readonly job: string;
  readonly tool: string;
  readonly note?: string;
  readonly version?: string;
  /** Ours ends the bench when it fails; another tool's failure is a result. */
  readonly ours?: boolean;
  run(): Promise<Sample>;
}

/** What was asked for on the command line. */
export interface Plan {
  /** Inputs are this many times smaller: 1 for numbers that count. */
  readonly part: number;
  /** Folder for inputs and results, in memory. */
  readonly scratch: string;
  /** Whether a job is wanted. */
  job(name: string): boolean;
  /** Tools were named, so that those that are left out by default run too. */
  readonly named: boolean;
  /** Whether a tool is wanted. */
  tool(name: string): boolean;
}

/** The cases of a bench, with what they keep running. */
export interface Cases extends Partial<AsyncDisposable> {
  readonly cases: readonly Case[];
  /** What could not be measured here, in whole phrases. */
  readonly missing?: readonly string[];
}

/** What `--quick` divides by. */
const QUICK_PART = 16;

/** One bench. */
export interface Bench {
  readonly section: Section;
  /** Runs of each case when nobody says; 3 by default. */
  readonly runs?: number;
  prepare(plan: Plan): Promise<Cases>;
}

/** Runs `bench` as the arguments say. */
export async function runBench(
  { section, runs = 3, prepare }: Bench,
  args: readonly string[] = Deno.args,
): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      quick: { type: "boolean", default: false },
      dry: { type: "boolean", default: false },
      list: { type: "boolean", default: false },
      runs: { type: "string", default: String(runs) },
      job: { type: "string", multiple: true, default: [] },
      tool: { type: "string", multiple: true, default: [] },
    },
  });
  await using scratch = await scratchFolder();
  await using prepared = disposable(
    await prepare({
      part: values.quick ? QUICK_PART : 1,
      scratch: scratch.path,
      named: values.tool.length > 0,
      job: (name) => values.job.length === 0 || values.job.some((wanted) => matches(wanted, name)),
      tool: (name) => values.tool.length === 0 || values.tool.includes(name),
    }),
  );
  for (const missing of prepared.missing ?? []) console.error(`${section.name}: not measured: ${missing}`);
  if (values.list) {
    for (const { job, tool } of prepared.cases) console.log(`--job ${job} --tool ${tool}`);
    return;
  }
  const rows = await measureAll(prepared.cases, {
    name: section.name,
    runs: Number(values.runs),
    quick: values.quick,
    ...!values.dry && {
      onRun: async (rows: readonly Row[]) => await writeSection(section, await keepRows(section.name, rows)),
    },
  });
  if (values.dry) console.log(markdown(section, { bench: section.name, rows }));
}

/** Tells whether `pattern`, in which `*` stands for anything, is all of `name`. */
export function matches(pattern: string, name: string): boolean {
  const parts = pattern.split("*").map((part) => part.replace(/[^\w]/g, "\\$&"));
  return new RegExp(`^${parts.join(".*")}$`).test(name);
}

/** Runs every case `runs` times, in turn; `onRun` gets what there is after each. @throws {Error} when one of ours fails. */
export async function measureAll(
  cases: readonly Case[],
  { name, runs, quick, onRun }: {
    name: string;
    runs: number;
    quick: boolean;
    onRun?: (rows: readonly Row[]) => Promise<void>;
  },
): Promise<Row[]> {
  const samples = new Map<Case, Sample[]>(cases.map((each) => [each, []]));
  const failures = new Map<Case, string>();
  let rows: Row[] = [];
  for (let run = 1; run <= runs; run++) {
    for (const each of cases) {
      if (failures.has(each)) continue;
      const what = `${name} run ${run}: ${each.job}, ${each.tool}`;
      try {
        const sample = await each.run();
        samples.get(each)!.push(sample);
        console.error(`${what}: ${shown(sample)}`);
      } catch (error) {
        if (each.ours) throw error;
        failures.set(each, firstLine(error));
        console.error(`${what}: failed, ${firstLine(error)}`);
      }
    }
    const about = {
      date: new Date().toISOString().slice(0, 16).replace("T", " ") + " UTC",
      commit: await describeCommit(),
      machine: await describeMachine(),
      quick,
    };
    rows = cases.map((each) => {
      const { job, tool, note, version } = each;
      const failure = failures.get(each);
      return {
        job,
        tool,
        ...note && { note },
        ...version && { version },
        ...about,
        samples: [...samples.get(each)!],
        ...failure && { failure },
      };
    });
    await onRun?.(rows);
  }
  return rows;
}

function shown(sample: Sample): string {
  return Object.entries(sample)
    .filter(([name]) => name !== "bytes")
    .map(([name, value]) => `${name} ${Number(value.toPrecision(4))}`).join(", ");
}

function disposable(cases: Cases): Cases & AsyncDisposable {
  return { ...cases, [Symbol.asyncDispose]: async () => await cases[Symbol.asyncDispose]?.() };
}
