/** Hashing: a whole file and its chunk list, against b3sum and against reading the same memory. */
import process from "node:process";
import { NativeQueue } from "../src/native/queue.ts";
import { hashChunks, hashFile } from "../src/native/hash.ts";
import { type Bench, type Case, runBench } from "./bench.ts";
import { type Column, WALL } from "./columns.ts";
import { type Input, Inputs } from "./inputs.ts";
import { PEERS } from "./machine.ts";
import { measured } from "./measured.ts";
import { found, output } from "./process.ts";
import type { Sample } from "./results.ts";

const GIB = 2 ** 30;
const CHUNK_BYTES = 4 * 2 ** 20;

const SPEED: Column = {
  header: "GiB/s",
  of: ({ bytes, wall }) => bytes! / GIB / wall!,
  digits: 2,
  range: true,
};
const CPU: Column = { header: "CPU s/GiB", of: ({ bytes, cpu }) => cpu! / (bytes! / GIB), digits: 3 };

/** The bench. */
export const BENCH: Bench = {
  section: {
    name: "content_chunks",
    title: "Content and chunks",
    about:
      "BLAKE3 of a file on tmpfs. Ours is timed inside a running process, as a transfer does it; the other " +
      "commands are whole processes. `read` copies the file into one buffer of 4 MiB again and again: what " +
      "memory and the kernel allow without hashing.",
    jobs: { file: "1 GiB random file" },
    columns: [WALL, SPEED, CPU],
  },
  runs: 5,
  async prepare(plan) {
    const inputs = new Inputs(plan.scratch);
    const input = () => inputs.random(GIB / plan.part);
    const queue = NativeQueue.open();
    const b3sum = await found("b3sum", `${PEERS}/bin/b3sum`);
    const all: Record<string, Omit<Case, "job" | "tool">> = {
      "hash of the file": {
        ours: true,
        note: "hash.file of the native library: one thread",
        run: () => timed(input, ({ path }) => hashFile(queue, path)),
      },
      "chunk list": {
        ours: true,
        note: "hash.chunks of the native library: one hash per 4 MiB, one thread",
        run: () => timed(input, ({ path }) => hashChunks(queue, path, { chunkBytes: CHUNK_BYTES })),
      },
      ...b3sum && {
        "b3sum, one thread": {
          note: "b3sum --num-threads 1 --no-mmap",
          version: await output([b3sum, "--version"]),
          run: () =>
            command(input, plan.scratch, ({ path }) => [b3sum, "--num-threads", "1", "--no-mmap", path]),
        },
        "b3sum": {
          note: "b3sum with mmap and all cores",
          version: await output([b3sum, "--version"]),
          run: () => command(input, plan.scratch, ({ path }) => [b3sum, path]),
        },
      },
      "read": {
        note: "dd if=FILE of=/dev/null bs=4M",
        run: () =>
          command(
            input,
            plan.scratch,
            ({ path }) => ["dd", `if=${path}`, "of=/dev/null", "bs=4M", "status=none"],
          ),
      },
    };
    const cases = Object.entries(all).filter(([tool]) => plan.tool(tool) && plan.job("file"))
      .map(([tool, each]) => ({ job: "file", tool, ...each }));
    return {
      cases,
      missing: b3sum ? [] : ["b3sum is not installed (scripts/bench-peers b3sum)"],
      [Symbol.asyncDispose]: () => queue.close(),
    };
  },
};

/** Times work of this very process, with the CPU time of all its threads. */
async function timed(input: () => Promise<Input>, work: (input: Input) => Promise<unknown>): Promise<Sample> {
  const made = await input();
  const [start, before] = [performance.now(), cpuSeconds()];
  await work(made);
  return { bytes: made.bytes, wall: (performance.now() - start) / 1000, cpu: cpuSeconds() - before };
}

async function command(
  input: () => Promise<Input>,
  scratch: string,
  make: (input: Input) => readonly string[],
): Promise<Sample> {
  const made = await input();
  const { start, end, cpu } = await measured(make(made), { scratch }).cost();
  return { bytes: made.bytes, wall: end - start, cpu };
}

/** CPU seconds of all threads of this process so far. */
function cpuSeconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

if (import.meta.main) await runBench(BENCH);
