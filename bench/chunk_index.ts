/** The index of known content at ten million chunks: filling it, opening it, asking it. */
import { fromFileUrl } from "../src/base/paths.ts";
import { type Bench, type Case, runBench } from "./bench.ts";
import { plain } from "./columns.ts";
import { output } from "./process.ts";
import type { Sample } from "./results.ts";

/** Files and chunks of each. */
const SHAPES: Readonly<Record<string, readonly [files: number, chunks: number]>> = {
  "1 GiB": [39_063, 256],
  "4 MiB": [250_000, 1],
};

const WORK = fromFileUrl(new URL("./chunk_index_work.ts", import.meta.url));

const MIB = 2 ** 20;

/** The bench. */
export const BENCH: Bench = {
  section: {
    name: "chunk_index",
    title: "The index of known content",
    about:
      "Chunk id -> place on this machine, in SQLite on the disk of the temporary folder (its pages cached by the kernel). " +
      "Filled by calls of 25,600 chunks; then another process opens it and asks: `open` is up to the first answer; *whole " +
      "files* are lists of files that are there, *single* chunks one per call, *misses* 1000 per call. Rates are 1000 chunks " +
      "per s; memory is the peak of the whole process while filling, and what asking added.",
    jobs: {
      "1 GiB": "10 million chunks: files of 1 GiB, 256 chunks each",
      "4 MiB": "250,000 chunks: files of at most 4 MiB, one chunk each",
    },
    columns: [
      plain("insert", { header: "insert k/s", digits: 0 }),
      plain("slowest", { header: "slowest call s", digits: 2 }),
      plain("bytes_per_chunk", { header: "bytes per chunk", digits: 1 }),
      plain("open_ms", { header: "open ms", digits: 1 }),
      plain("whole", { header: "whole files k/s", digits: 0 }),
      plain("single", { header: "single k/s", digits: 1 }),
      plain("misses", { header: "misses k/s", digits: 0 }),
      plain("fill_mib", { header: "peak MiB filling", digits: 0 }),
      plain("ask_mib", { header: "MiB asking", digits: 0 }),
    ],
  },
  runs: 1,
  prepare(plan) {
    const cases: Case[] = Object.keys(SHAPES).filter((job) => plan.job(job) && plan.tool("index")).map((
      job,
    ) => ({
      job,
      tool: "index",
      ours: true,
      note: "FileIndex.remember and FileIndex.lookup (src/store/file_index.ts) in processes of their own",
      run: () => measure(SHAPES[job]!, plan.part),
    }));
    return Promise.resolve({ cases });
  },
};

async function measure([files, chunks]: readonly [number, number], part: number): Promise<Sample> {
  const folder = await Deno.makeTempDir();
  try {
    const work = async (mode: string): Promise<Record<string, number>> =>
      JSON.parse(
        await output([
          Deno.execPath(),
          "run",
          "-A",
          "--no-check",
          WORK,
          mode,
          `${folder}/index.db`,
          String(Math.ceil(files / part)),
          String(chunks),
        ]),
      );
    const filled = await work("fill");
    const asked = await work("ask");
    return {
      insert: filled.insert_rate! / 1000,
      slowest: filled.slowest!,
      bytes_per_chunk: filled.bytes_per_chunk!,
      open_ms: 1000 * asked.open!,
      whole: asked.whole_rate! / 1000,
      single: asked.single_rate! / 1000,
      misses: asked.miss_rate! / 1000,
      fill_mib: filled.fill_peak! / MIB,
      ask_mib: asked.ask_peak! / MIB,
    };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

if (import.meta.main) await runBench(BENCH);
