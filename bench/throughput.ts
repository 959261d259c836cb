/** End to end over loopback, memory to memory: ours against the bare pipelines, a plain copy and an rsync daemon. */
import { type Bench, type Case, type Plan, runBench } from "./bench.ts";
import { MOVE } from "./columns.ts";
import { Inputs } from "./inputs.ts";
import { hasExample, runExampleLines } from "./tools/example.ts";
import { makeTools } from "./tools/mod.ts";
import { copy, rsyncDaemon } from "./tools/plain.ts";
import { overLoopback } from "./tools/served.ts";
import { moveCase } from "./tools/tool.ts";
import { QUIC, TCP, wormhole } from "./tools/wormhole.ts";

const GIB = 2 ** 30;

const TOOLS = {
  "wormhole": wormhole(TCP),
  "wormhole-quic": wormhole(QUIC),
  "wormhole-raw": wormhole({
    name: "wormhole, not compressed",
    send: ["--transport", "tcp", "--compress", "never"],
  }),
  "cp": copy,
  "rsync": overLoopback(rsyncDaemon),
};

/** A yardstick of `ffi/examples`. */
interface Bare {
  readonly example: string;
  readonly note: string;
  args(input: { path: string; bytes: number; into: string }): readonly string[];
}

/** The least that must be done, by the name of the row. */
const BARE: Readonly<Record<string, Bare>> = {
  "bare pipeline": {
    example: "bare_pipeline",
    note: "both ends in one process: read, BLAKE3, AES-GCM, TCP, AES-GCM, BLAKE3, write to a fresh file; " +
      "no start-up, no names, no fsync",
    args: (
      { path, bytes, into },
    ) => ["--from", path, "--size", String(bytes), "--to", `${into}/fresh`, "--fresh"],
  },
  "bare pipeline, preallocated": {
    example: "bare_pipeline",
    note: "the same into a file whose pages exist already",
    args: (
      { path, bytes, into },
    ) => ["--from", path, "--size", String(bytes), "--to", `${into}/preallocated`],
  },
  "bare QUIC": {
    example: "bare_quic",
    note: "both ends in one process: iroh streams from memory to memory; no files, no hashes, no start-up",
    args: ({ bytes }) => ["--bytes", String(bytes)],
  },
  "our QUIC lanes": {
    example: "bare_quic",
    note: "the same through this library's bulk streams",
    args: ({ bytes }) => ["--lane", "quic", "--bytes", String(bytes)],
  },
  "our TCP lanes": {
    example: "bare_quic",
    note: "the same through this library's bulk streams over TLS",
    args: ({ bytes }) => ["--lane", "tcp", "--bytes", String(bytes)],
  },
};

/** The bench. */
export const BENCH: Bench = {
  section: {
    name: "throughput",
    title: "Throughput, end to end",
    about:
      "From tmpfs to tmpfs over loopback. Whole commands, start-up, pairing and fsync included, but for the bare " +
      "pipelines. Medians of the runs, the range of the wall time in brackets; peak memory is the resident set of the " +
      "largest process, 8 MiB of it the measuring wrapper's own floor.",
    jobs: { random: "2 GiB random file", text: "1 GiB text-like file" },
    columns: MOVE,
  },
  async prepare(plan) {
    const inputs = new Inputs(plan.scratch);
    const { part } = plan;
    const jobs = {
      random: () => inputs.random(2 * GIB / part),
      text: () => inputs.text(GIB / part),
    };
    const tools = await makeTools(TOOLS, plan);
    const cases: Case[] = [];
    const missing = [...tools.missing];
    for (const [job, input] of Object.entries(jobs)) {
      if (!plan.job(job)) continue;
      if (job === "random") {
        for (const [tool, bare] of Object.entries(BARE)) {
          if (!plan.tool("bare") && !plan.tool(tool)) continue;
          if (await hasExample(bare.example)) cases.push(bareCase(tool, bare, { job, input, plan }));
          else missing.push(`${tool}: there is no ffi/examples/${bare.example}.rs`);
        }
      }
      for (const tool of tools.tools) {
        if (job !== "text" && tool.name.includes("not compressed")) continue;
        cases.push(moveCase(tool, { job, input, scratch: plan.scratch }));
      }
    }
    return { cases, missing, [Symbol.asyncDispose]: () => tools[Symbol.asyncDispose]() };
  },
};

function bareCase(
  tool: string,
  { example, note, args }: Bare,
  { job, input, plan }: { job: string; input: () => ReturnType<Inputs["random"]>; plan: Plan },
): Case {
  return {
    job,
    tool,
    note,
    run: async () => {
      const { path, bytes } = await input();
      const into = await Deno.makeTempDir({ dir: plan.scratch, prefix: "into-" });
      try {
        // Two ends in one process report one after the other, each with the whole process's CPU time.
        const ends = await runExampleLines(example, args({ path, bytes, into }));
        const [wall, cpu] = [
          Math.max(...ends.map(({ wall_s }) => wall_s!)),
          Math.max(...ends.map(({ cpu_s }) => cpu_s!)),
        ];
        return { bytes, wall, cpu_sender: cpu };
      } finally {
        await Deno.remove(into, { recursive: true });
      }
    },
  };
}

if (import.meta.main) await runBench(BENCH);
