/**
 * Measures the ratios that must not get worse and compares them with bench/baseline.json:
 * `scripts/check_benchmarks [--quick] [--runs N] [--write]`; exit code 1 when one is over 15% worse.
 *
 * `--quick` takes smaller files and about two minutes; it has a baseline of its own. `--write` makes what was measured
 * the baseline.
 */
import { parseArgs } from "node:util";
import { type Bench, type Case, type Cases, measureAll, type Plan } from "./bench.ts";
import { BENCHES } from "./benches.ts";
import { compare, type Ratio, type Ratios, ratiosOf } from "./compare.ts";
import { describeCommit, describeMachine, ROOT, scratchFolder } from "./machine.ts";

/** What is compared, by bench. */
const WATCHED: Readonly<Record<string, readonly Omit<Ratio, "name">[]>> = {
  throughput: [
    ...both({ job: "random", ours: "wormhole", theirs: "bare pipeline" }),
    ...both({ job: "random", ours: "wormhole", theirs: "rsync daemon" }),
    ...both({ job: "random", ours: "wormhole, QUIC", theirs: "bare QUIC" }),
    ...both({ job: "random", ours: "our QUIC lanes", theirs: "bare QUIC" }),
    { job: "text", ours: "wormhole", theirs: "wormhole, not compressed", metric: "wall" },
  ],
  small_files: both({ job: "10k", ours: "wormhole", theirs: "tar, nc, tar" }),
  content_chunks: [{ job: "file", ours: "chunk list", theirs: "read", metric: "wall" }],
  regression: [{
    job: "code",
    ours: "from the checkout",
    theirs: "an empty program in Deno",
    metric: "code",
  }],
};

/** How much smaller the inputs of `--quick` are. */
const QUICK_PARTS: Readonly<Record<string, number>> = { throughput: 4, content_chunks: 4 };

/** Ratios of both modes, with where they come from. */
interface Baseline {
  readonly [mode: string]: {
    readonly date: string;
    readonly commit: string;
    readonly machine: string;
    readonly ratios: Ratios;
  };
}

const FILE = `${ROOT}/bench/baseline.json`;

const { values } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    write: { type: "boolean", default: false },
    runs: { type: "string", default: "5" },
  },
});
Deno.exit(await main());

async function main(): Promise<number> {
  const measured: Record<string, number> = {};
  for (const [name, watched] of Object.entries(WATCHED)) {
    const ratios = watched.map((ratio) => ({ ...ratio, name: nameOf(ratio) }));
    Object.assign(measured, await measure(await BENCHES[name]!(), { name, ratios }));
  }
  const mode = values.quick ? "quick" : "full";
  const baselines: Baseline = JSON.parse(await Deno.readTextFile(FILE).catch(() => "{}"));
  const { lines, worse } = compare(baselines[mode]?.ratios ?? {}, measured);
  console.log(lines.join("\n"));
  if (values.write) {
    const [date, commit, machine] = [
      new Date().toISOString().slice(0, 10),
      await describeCommit(),
      await describeMachine(),
    ];
    const fresh = { ...baselines, [mode]: { date, commit, machine, ratios: rounded(measured) } };
    await Deno.writeTextFile(FILE, JSON.stringify(fresh, null, 2) + "\n");
    return 0;
  }
  if (worse.length > 0) {
    console.error(`check_benchmarks: ${worse.length} of ${lines.length} got worse by over 15%`);
  }
  return worse.length > 0 ? 1 : 0;
}

/** Runs what the ratios need, in turn. */
async function measure(
  bench: Bench,
  { name, ratios }: { name: string; ratios: readonly Ratio[] },
): Promise<Ratios> {
  await using scratch = await scratchFolder();
  const plan: Plan = {
    part: values.quick ? QUICK_PARTS[name] ?? 1 : 1,
    scratch: scratch.path,
    named: false,
    job: (job) => ratios.some((ratio) => ratio.job === job),
    // The names of tools are known once they are made; those that no ratio has are not run.
    tool: (tool) => tool !== "croc" && tool !== "sendme" && tool !== "strace",
  };
  const prepared: Cases = await bench.prepare(plan);
  try {
    for (const missing of prepared.missing ?? []) console.error(`${name}: not measured: ${missing}`);
    const needed = ({ job, tool }: Case) =>
      ratios.some((ratio) => ratio.job === job && (ratio.ours === tool || ratio.theirs === tool));
    const cases = prepared.cases.filter(needed);
    return ratiosOf(
      await measureAll(cases, { name, runs: Number(values.runs), quick: values.quick }),
      ratios,
    );
  } finally {
    await prepared[Symbol.asyncDispose]?.();
  }
}

function both(ratio: Omit<Ratio, "name" | "metric">): Omit<Ratio, "name">[] {
  return [{ ...ratio, metric: "wall" }, { ...ratio, metric: "cpu" }];
}

function nameOf({ job, ours, theirs, metric }: Omit<Ratio, "name">): string {
  return `${job}: ${ours} / ${theirs}, ${metric === "cpu" ? "CPU" : "wall"}`;
}

function rounded(ratios: Ratios): Ratios {
  return Object.fromEntries(
    Object.entries(ratios).map(([name, ratio]) => [name, Number(ratio.toPrecision(4))]),
  );
}
