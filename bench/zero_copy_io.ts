/** What the I/O backends do for a byte: system calls, and bytes copied in memory, per byte moved. */
import { type Bench, type Case, type Plan, runBench } from "./bench.ts";
import { MOVE, plain } from "./columns.ts";
import { type Input, Inputs } from "./inputs.ts";
import { found } from "./process.ts";
import type { Sample } from "./results.ts";
import { momentsOf } from "./timeline.ts";
import { compare, type Move, moveCase, sampleOf } from "./tools/tool.ts";
import { type Variant, wormhole } from "./tools/wormhole.ts";

const GIB = 2 ** 30;
const BACKENDS = ["auto", "std", "linux", "uring"] as const;

/** The bench. */
export const BENCH: Bench = {
  section: {
    name: "zero_copy_io",
    title: "I/O backends and copies",
    about:
      "Whole commands over loopback with each backend (`WORMHOLE_DEBUG_IO`). Copies: bytes that the engine " +
      "moved from one buffer of ours to another per byte of the file, by its own count; the kernel's copies into and out " +
      "of sockets and files are not among them. System calls: by strace -c in runs of their own, per GiB.",
    jobs: { random: "1 GiB random file", tree: "10,000 files of 4 KiB" },
    columns: [
      ...MOVE,
      plain("copied_sender", { header: "copies sender" }),
      plain("copied_receiver", { header: "copies receiver" }),
      plain("calls_sender", { header: "calls sender", digits: 0 }),
      plain("calls_receiver", { header: "calls receiver", digits: 0 }),
    ],
  },
  async prepare(plan) {
    const inputs = new Inputs(plan.scratch);
    const { part } = plan;
    const jobs: Record<string, () => Promise<Input>> = {
      random: () => inputs.random(GIB / part),
      tree: () => inputs.tree(Math.floor(10_000 / part)),
    };
    const cases: Case[] = [];
    for (const [job, input] of Object.entries(jobs)) {
      if (!plan.job(job)) continue;
      for (const backend of BACKENDS) {
        const env = { WORMHOLE_DEBUG_IO: backend, WORMHOLE_LOG_LEVEL: "debug" };
        if (plan.tool(backend)) cases.push(await backendCase(`${backend}`, { job, input, plan, env }));
      }
    }
    const strace = await found("strace");
    if (strace && (plan.tool("strace") || plan.named === false)) {
      for (const job of ["random", "tree"].filter((job) => plan.job(job))) {
        for (const backend of BACKENDS) cases.push(callsCase(backend, { job, input: jobs[job]!, plan }));
      }
    }
    return { cases, missing: strace ? [] : ["system calls: strace is not installed (scripts/bench-peers)"] };
  },
};

/** A whole transfer with one backend. */
async function backendCase(
  name: string,
  { job, input, plan, env }: {
    job: string;
    input: () => Promise<Input>;
    plan: Plan;
    env: Record<string, string>;
  },
): Promise<Case> {
  const variant: Variant = { name, send: ["--transport", "tcp", "--compress", "never"], env };
  const tool = await wormhole(variant)({ scratch: plan.scratch });
  if ("missing" in tool) throw new Error(tool.missing);
  // A backend that this machine or this build lacks is a result.
  return moveCase({ ...tool, ours: name === "auto" }, {
    job,
    input,
    scratch: plan.scratch,
    measure: (move, bytes) => ({ ...sampleOf(move, bytes), ...copies(move, bytes) }),
  });
}

/** Reads the engines' own counts from the `done` events, as far as they tell. */
function copies({ sender, receiver }: Move, bytes: number): Sample {
  const of = (name: string, cost: Move["sender"] | undefined) => {
    const done = cost && momentsOf(cost).find(({ event }) => event === "done");
    const copied = done?.fields.bytes_copied;
    return typeof copied === "number" ? { [name]: copied / bytes } : {};
  };
  return { ...of("copied_sender", sender), ...of("copied_receiver", receiver) };
}

/** Counts the system calls of both ends. */
function callsCase(
  backend: string,
  { job, input, plan }: { job: string; input: () => Promise<Input>; plan: Plan },
): Case {
  return {
    job,
    tool: `${backend}, strace`,
    note: "strace -f -c around both commands; its times say nothing",
    run: async () => {
      const made = await input();
      const into = await Deno.makeTempDir({ dir: plan.scratch, prefix: "into-" });
      const [sender, receiver] = ["sender", "receiver"].map((who) => `${plan.scratch}/calls-${who}`);
      try {
        const tool = await wormhole({
          name: backend,
          send: ["--transport", "tcp", "--compress", "never"],
          env: { WORMHOLE_DEBUG_IO: backend },
          under: { send: trace(sender!), recv: trace(receiver!) },
        })({ scratch: plan.scratch });
        if ("missing" in tool) throw new Error(tool.missing);
        await tool.move(made, into);
        await compare(made.path, into);
        return {
          calls_sender: await callsIn(sender!, made.bytes),
          calls_receiver: await callsIn(receiver!, made.bytes),
        };
      } finally {
        await Deno.remove(into, { recursive: true });
      }
    },
  };
}

function trace(file: string): string[] {
  return ["strace", "-f", "-c", "-o", file];
}

/** Reads the total of a summary of strace, per GiB of `bytes`. */
async function callsIn(file: string, bytes: number): Promise<number> {
  const total = (await Deno.readTextFile(file)).split("\n").find((line) => line.trimEnd().endsWith(" total"));
  // Columns: % time, seconds, usecs/call, calls, errors (may be empty), total.
  const calls = Number(total?.trim().split(/\s+/)[3]);
  if (!Number.isFinite(calls)) throw new Error(`strace counted nothing\n${total}`);
  return calls / (bytes / GIB);
}

if (import.meta.main) await runBench(BENCH);
