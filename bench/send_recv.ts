/**
 * End to end against other tools: `deno run -A bench/send_recv.ts [--quick] [--runs N] [--only TOOL]… [--dry]`.
 *
 * Every job is moved by whole commands from tmpfs to tmpfs over loopback, the tools in turn within each run,
 * and what arrived is compared with the source. Writes bench/results/*.json and its section of RESULTS.md;
 * `--dry` writes nothing and prints the section.
 */
import { parseArgs } from "node:util";
import { fromFileUrl } from "../src/base/paths.ts";
import { type Contender, CONTENDERS, type Move } from "./contenders.ts";
import { type Job, makeJobs } from "./jobs.ts";
import { describeMachine, markdown, replaceSection, type Result, wallSeconds } from "./report.ts";

const { values } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    dry: { type: "boolean", default: false },
    runs: { type: "string", default: "5" },
    only: { type: "string", multiple: true },
  },
});
const here = fromFileUrl(new URL(".", import.meta.url));
const scratch = await Deno.makeTempDir({ dir: "/dev/shm", prefix: "wormhole-bench-" });
try {
  await main();
} finally {
  await Deno.remove(scratch, { recursive: true });
}

async function main(): Promise<void> {
  await Deno.mkdir(`${scratch}/sources`);
  const jobs = await makeJobs(`${scratch}/sources`, { quick: values.quick });
  const contenders: Contender[] = [];
  const missing: string[] = [];
  for (const [name, make] of Object.entries(CONTENDERS)) {
    if (values.only && !values.only.includes(name)) continue;
    const made = await make({ scratch });
    if ("missing" in made) {
      console.error(`skipped: ${made.missing}`);
      missing.push(made.missing);
    } else contenders.push(made);
  }
  try {
    const result: Result = {
      date: new Date().toISOString().slice(0, 16).replace("T", " ") + " UTC",
      commit: await commit(),
      machine: await describeMachine(),
      quick: values.quick,
      jobs: jobs.map((job) => ({ ...job, path: "" })),
      tools: contenders.map(({ name, version, note }) => ({ name, version, note })),
      missing,
      series: await measureAll(contenders, jobs),
    };
    await keep(result);
  } finally {
    for (const contender of contenders) await contender[Symbol.asyncDispose]();
  }
}

async function measureAll(contenders: readonly Contender[], jobs: readonly Job[]): Promise<Result["series"]> {
  const series = jobs.flatMap((job) =>
    contenders.map((contender) => ({
      tool: contender.name,
      job: job.name,
      moves: [] as Move[],
      failure: undefined as string | undefined,
    }))
  );
  for (let run = 0; run < Number(values.runs); run++) {
    for (const job of jobs) {
      for (const contender of contenders) {
        const own = series.find(({ tool, job: name }) => tool === contender.name && name === job.name)!;
        if (own.failure !== undefined) continue;
        let move: Move;
        try {
          move = await moveOnce(contender, job);
        } catch (error) {
          // Another tool's failure is a result too; ours ends the bench.
          if (contender.name.startsWith("wormhole")) throw error;
          own.failure = firstLine(error);
          console.error(`run ${run + 1}: ${job.name}, ${contender.name}: failed, ${own.failure}`);
          continue;
        }
        own.moves.push(move);
        console.error(`run ${run + 1}: ${job.name}, ${contender.name}: ${wallSeconds(move).toFixed(3)} s`);
      }
    }
  }
  return series;
}

/** What a tool said when it failed, cut to one short line without the scratch folder's name. */
function firstLine(error: unknown): string {
  const lines = (error instanceof Error ? error.message : String(error)).split(/[\r\n]+/);
  const said = lines.slice(1).find((line) => line.trim() !== "") ?? lines[0]!;
  return said.replaceAll(scratch, "").replaceAll("|", "/").trim().slice(0, 120);
}

async function moveOnce(contender: Contender, job: Job): Promise<Move> {
  const into = await Deno.makeTempDir({ dir: scratch, prefix: "into-" });
  try {
    const move = await contender.move(job, into);
    const arrived = `${into}/${job.path.slice(job.path.lastIndexOf("/") + 1)}`;
    const { success, stdout } = await new Deno.Command("diff", { args: ["-rq", job.path, arrived] }).output();
    if (!success) {
      throw new Error(`${contender.name} moved ${job.name} wrongly: ${new TextDecoder().decode(stdout)}`);
    }
    return move;
  } finally {
    await Deno.remove(into, { recursive: true });
  }
}

async function keep(result: Result): Promise<void> {
  const section = markdown(result);
  console.log(section);
  if (values.dry) return;
  await Deno.mkdir(`${here}/results`, { recursive: true });
  const stamp = result.date.replace(/\D/g, "");
  await Deno.writeTextFile(`${here}/results/send_recv-${stamp}.json`, JSON.stringify(result, null, 1) + "\n");
  const file = `${here}/RESULTS.md`;
  const text = await Deno.readTextFile(file).catch(() =>
    "# Results\n\nOnly what was measured; newest run of each bench.\n"
  );
  const title = "## send and recv, end to end (bench/send_recv.ts)\n\n";
  await Deno.writeTextFile(file, replaceSection(text, "send_recv", title + section));
}

async function commit(): Promise<string> {
  const { stdout } = await new Deno.Command("git", { args: ["describe", "--always", "--dirty"], cwd: here })
    .output();
  return new TextDecoder().decode(stdout).trim() || "unknown";
}
