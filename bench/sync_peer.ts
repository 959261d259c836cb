/** A folder here and one of another machine that are kept the same: nothing changed, a little changed, the first time, a large file edited. */
import { type Bench, type Case, runBench } from "./bench.ts";
import { plain, WALL } from "./columns.ts";
import { OwnNetwork } from "./own_network.ts";
import { found, output } from "./process.ts";
import { fromFileUrl } from "../src/base/paths.ts";
import type { Sample } from "./results.ts";
import { PEER_SYNCERS, type PeerSyncer, type SyncPair } from "./tools/sync_peers.ts";

const MIB = 2 ** 20;
const GIB = 2 ** 30;

/** Bytes that are inserted into the large file. */
const INSERTED_BYTES = 1024;

/** Programs that keep a memory of a million files for both ends; the others are left out by default. */
const FOR_A_MILLION = ["wormhole", "wormhole, one file", "unison"];

interface Job {
  /** Small files in the folder. */
  readonly files: number;
  /** Size of a large file there. */
  readonly bytes?: number;
  /** Both ends begin with the same, and are synchronized before; else the other end begins empty. */
  readonly isPrepared: boolean;
  /** What happens between two runs. */
  change?(here: string, files: number): Promise<void>;
}

const JOBS: Readonly<Record<string, Job>> = {
  unchanged: { files: 100_000, isPrepared: true },
  percent: {
    files: 100_000,
    isPrepared: true,
    change: (here, files) => manyFiles(["--edit", `${files}`, here]),
  },
  first: { files: 10_000, isPrepared: false },
  insert: { files: 0, bytes: GIB, isPrepared: true, change: (here) => insert(`${here}/large`) },
  million: { files: 1_000_000, isPrepared: true },
  "million-edit": { files: 1_000_000, isPrepared: true, change: (here) => append(`${here}/0/0/file-0`) },
};

/** The bench. */
export const BENCH: Bench = {
  section: {
    name: "sync_peer",
    title: "A folder of another machine kept the same",
    about:
      "Two homes on one machine, both folders on tmpfs, in a network of nothing but loopback; files of 1,000 bytes, a hundred to a " +
      "folder. Whole commands. *Wire* is what went over the interface meanwhile in either direction, packet headers included. CPU is " +
      "user and system time of both ends; memory is the most that each took in the run, *there* where a process serves all runs.",
    jobs: {
      unchanged: "100,000 files, nothing changed",
      percent: "100,000 files, a byte added to one of a hundred here",
      first: "10,000 files, the first run into an empty folder",
      insert: "One file of 1 GiB, 1 KiB inserted in its middle",
      million: "1,000,000 files, nothing changed",
      "million-edit": "1,000,000 files, a byte added to one of them",
    },
    columns: [
      WALL,
      plain("wire", { header: "wire MiB", digits: 2, range: true }),
      plain("cpu", { header: "CPU s" }),
      {
        header: "peak MiB here",
        of: ({ rss_here }) => rss_here === undefined ? undefined : rss_here / MIB,
        digits: 0,
      },
      {
        header: "peak MiB there",
        of: ({ rss_there }) => rss_there === undefined ? undefined : rss_there / MIB,
        digits: 0,
      },
    ],
  },
  async prepare(plan) {
    const cases: Case[] = [];
    const missing: string[] = [];
    const stack = new AsyncDisposableStack();
    const network = await OwnNetwork.open().then((made) => stack.use(made), () => undefined);
    if (network === undefined) {
      return { cases, missing: ["syncs to another machine: a network of their own needs root"] };
    }
    for (const syncer of PEER_SYNCERS.filter(({ name }) => plan.tool(name))) {
      if (await found(syncer.program) === undefined) {
        missing.push(`${syncer.name} is not installed`);
        continue;
      }
      const version = await output([syncer.program, ...syncer.version]);
      const { name: tool, note, ours = false } = syncer;
      for (const [job, about] of Object.entries(JOBS).filter(([name]) => plan.job(name))) {
        if (job.startsWith("million") && !plan.named && !FOR_A_MILLION.includes(tool)) continue;
        const small = {
          ...about,
          files: about.files / plan.part,
          ...about.bytes && { bytes: about.bytes / plan.part },
        };
        const work = new Work(syncer, small, {
          folder: `${plan.scratch}/${job}-${tool.replaceAll(" ", "-")}`,
          network,
        });
        cases.push({ job, tool, note, version, ours, run: () => work.run() });
        stack.use(work);
      }
    }
    return { cases, missing, [Symbol.asyncDispose]: () => stack.disposeAsync() };
  },
};

/** One program with one job, whose servers run on from one run to the next. */
class Work implements AsyncDisposable {
  readonly #syncer: PeerSyncer;
  readonly #job: Job;
  readonly #network: OwnNetwork;
  readonly #folder: string;
  #pair: SyncPair | undefined;

  constructor(syncer: PeerSyncer, job: Job, { folder, network }: { folder: string; network: OwnNetwork }) {
    this.#syncer = syncer;
    this.#job = job;
    this.#folder = folder;
    this.#network = network;
  }

  async run(): Promise<Sample> {
    const { isPrepared, change, files } = this.#job;
    const [here, there] = [`${this.#folder}/here`, `${this.#folder}/there`] as const;
    if (!isPrepared) await this[Symbol.asyncDispose]();
    const pair = this.#pair ??= await this.#open(here, there);
    await change?.(here, files);
    await pair.there.forgetPeak();
    await pair.here?.forgetPeak();
    const before = { bytes: await this.#network.bytes(), cpu: await cpuOf(pair) };
    const cost = await pair.sync({ first: !isPrepared });
    const wire = (await this.#network.bytes() - before.bytes) / MIB;
    const cpu = cost.cpu * (pair.here ? 0 : 1) + await cpuOf(pair) - before.cpu;
    const rss = {
      rss_here: await pair.here?.peak() ?? cost.peakRss,
      ...pair.hasPeak && { rss_there: await pair.there.peak() },
    };
    // Of a million files that alone would take minutes.
    if (files <= 100_000 && (change !== undefined || !isPrepared)) await compare(here, there);
    if (!isPrepared) await this[Symbol.asyncDispose]();
    return { wall: cost.end - cost.start, wire, cpu, ...rss };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const pair = this.#pair;
    this.#pair = undefined;
    await pair?.[Symbol.asyncDispose]();
    await Deno.remove(this.#folder, { recursive: true }).catch(() => {});
  }

  /** Makes both folders, and the same where they are to be prepared. */
  async #open(here: string, there: string): Promise<SyncPair> {
    const { files, bytes = 0, isPrepared } = this.#job;
    for (const path of [here, there]) await Deno.mkdir(path, { recursive: true });
    const roots = isPrepared ? [here, there] : [here];
    if (files > 0) await manyFiles([`${files}`, ...roots]);
    if (bytes > 0) {
      await output(["sh", "-c", 'head -c "$1" /dev/urandom > "$2"', "sh", `${bytes}`, `${here}/large`]);
    }
    const pair = await this.#syncer.open({ here, there, scratch: this.#folder, network: this.#network });
    if (!isPrepared) return pair;
    await pair.sync({ first: true });
    await settle();
    // Whoever distrusts what is younger than two seconds looks once more.
    await pair.sync({ first: false });
    await pair.sync({ first: false });
    return pair;
  }
}

async function cpuOf({ here, there }: SyncPair): Promise<number> {
  return await there.cpu() + (await here?.cpu() ?? 0);
}

/** Older than the coarsest rule of those who look at times, which is two seconds. */
function settle(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 2500));
}

async function manyFiles(words: readonly string[]): Promise<void> {
  await output(["python3", "-S", fromFileUrl(new URL("./many_files.py", import.meta.url)), ...words]);
}

async function append(path: string): Promise<void> {
  await Deno.writeTextFile(path, "x", { append: true, create: false });
}

async function insert(path: string): Promise<void> {
  const { size } = await Deno.stat(path);
  const script =
    '{ head -c "$2" "$1"; head -c "$3" /dev/urandom; tail -c +"$(($2 + 1))" "$1"; } > "$1.new" && mv "$1.new" "$1"';
  await output(["sh", "-c", script, "sh", path, String(Math.floor(size / 2)), String(INSERTED_BYTES)]);
}

async function compare(here: string, there: string): Promise<void> {
  await output(["diff", "-rq", "--exclude=.wormhole-sync", "--exclude=.stfolder", here, there]);
}

if (import.meta.main) await runBench(BENCH);
