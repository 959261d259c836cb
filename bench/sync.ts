/** Two folders on one machine that are kept the same: nothing changed, a little changed, the first time. */
import { type Bench, type Case, runBench } from "./bench.ts";
import { plain, WALL } from "./columns.ts";
import { measured } from "./measured.ts";
import { found, output } from "./process.ts";
import type { Sample } from "./results.ts";
import { ONE_FILE, wormholeCommand } from "./tools/wormhole.ts";

const MIB = 2 ** 20;

/** Files of a folder; a hundred to each of its folders. */
const MANY_FILES = 100_000, FIRST_FILES = 10_000;

/** A program that keeps two folders the same. */
interface Syncer {
  readonly name: string;
  readonly note: string;
  readonly ours?: boolean;
  readonly program: string;
  /** Arguments of the program for its version. */
  readonly version: readonly string[];
  /** Gives the command of every run, and of the first one where that is another. */
  command(a: string, b: string, options: { home: string; first: boolean }): string[];
}

const SYNCERS: readonly Syncer[] = [
  {
    name: "wormhole",
    note: "`wormhole sync`, two-way-safe; start-up of Deno included",
    ours: true,
    program: wormholeCommand()[0]!,
    version: [...wormholeCommand().slice(1), "version"],
    command: (a, b) => [...wormholeCommand(), "sync", "--quiet", a, b],
  },
  {
    name: "wormhole, one file",
    note: "the same by the executable that `scripts/compile` makes",
    ours: true,
    program: ONE_FILE,
    version: ["version"],
    command: (a, b) => [ONE_FILE, "sync", "--quiet", a, b],
  },
  {
    name: "unison",
    note: "`unison -batch -silent`: two-way; its fast check trusts size, time and inode",
    program: "unison",
    version: ["-version"],
    command: (a, b) => ["unison", a, b, "-batch", "-silent"],
  },
  {
    name: "rclone bisync",
    note: "`rclone bisync --quiet`, after a first run with `--resync`: two-way, compares sizes and times",
    program: "rclone",
    version: ["version"],
    command: (a, b, { home, first }) => [
      "rclone",
      "bisync",
      a,
      b,
      "--quiet",
      "--workdir",
      `${home}/bisync`,
      ...first ? ["--resync"] : [],
    ],
  },
  {
    name: "rsync",
    note:
      "`rsync -a --delete`: one way only and without a memory, compares sizes and times; what scanning costs at the least",
    program: "rsync",
    version: ["--version"],
    command: (a, b) => ["rsync", "-a", "--delete", `${a}/`, `${b}/`],
  },
];

/** What happens between a run that made both the same and the one that is measured. */
const JOBS: Readonly<Record<string, { files: number; before?: (a: string, run: number) => Promise<void> }>> =
  {
    unchanged: { files: MANY_FILES, before: () => Promise.resolve() },
    percent: { files: MANY_FILES, before: (a, run) => edit(a, { every: 100, run }) },
    first: { files: FIRST_FILES },
    million: { files: 1_000_000, before: () => Promise.resolve() },
    "million-edit": {
      files: 1_000_000,
      before: (a, run) => Deno.writeTextFile(pathOf(a, 0), `edited ${run}\n`, { create: false }),
    },
  };

/** The bench. */
export const BENCH: Bench = {
  section: {
    name: "sync",
    title: "Two folders kept the same",
    about:
      "Both folders on tmpfs of one machine; files of up to 340 bytes of text, a hundred to a folder. Whole commands. " +
      "CPU is user and system time of all their processes.",
    jobs: {
      unchanged: "100,000 files, nothing changed",
      percent: "100,000 files, one of a hundred edited in the first folder",
      first: "10,000 files, the first run into an empty folder",
      million: "1,000,000 files, nothing changed (only ours unless another tool is named)",
      "million-edit": "1,000,000 files, one of them edited in the first folder",
    },
    columns: [
      WALL,
      plain("cpu", { header: "CPU s" }),
      { header: "peak MiB", of: ({ rss }) => rss === undefined ? undefined : rss / MIB, digits: 0 },
    ],
  },
  async prepare(plan) {
    const cases: Case[] = [];
    const missing: string[] = [];
    for (const syncer of SYNCERS.filter(({ name }) => plan.tool(name))) {
      if (await found(syncer.program) === undefined) {
        missing.push(`${syncer.name} is not installed`);
        continue;
      }
      const version = await output([syncer.program, ...syncer.version]);
      for (const [job, about] of Object.entries(JOBS).filter(([name]) => plan.job(name))) {
        if (job.startsWith("million") && !plan.named && !syncer.ours) continue;
        const { name: tool, note, ours = false } = syncer;
        const folder = `${plan.scratch}/${job}-${tool.replaceAll(" ", "-")}`;
        const files = Math.ceil(about.files / plan.part);
        cases.push({ job, tool, note, version, ours, run: () => sample(syncer, { folder, files, about }) });
      }
    }
    return { cases, missing };
  },
};

const runs = new Map<string, number>();

async function sample(
  { command }: Syncer,
  { folder, files, about }: { folder: string; files: number; about: typeof JOBS[string] },
): Promise<Sample> {
  const [a, b, home] = ["a", "b", "home"].map((name) => `${folder}/${name}`) as [string, string, string];
  const env = {
    HOME: home,
    XDG_STATE_HOME: `${home}/state`,
    XDG_CACHE_HOME: `${home}/cache`,
    XDG_CONFIG_HOME: `${home}/config`,
    ...Deno.env.has("DENO_DIR") && { DENO_DIR: Deno.env.get("DENO_DIR")! },
  };
  const run = runs.get(folder) ?? 0;
  runs.set(folder, run + 1);
  if (run === 0 || about.before === undefined) {
    await Deno.remove(folder, { recursive: true }).catch(() => {});
    for (const path of [a, b, home]) await Deno.mkdir(path, { recursive: true });
    await fill(a, files);
    if (about.before !== undefined) {
      await output(command(a, b, { home, first: true }), { env });
      await settle();
      // Whoever distrusts what is younger than two seconds looks once more.
      await output(command(a, b, { home, first: false }), { env });
    }
  }
  await about.before?.(a, run);
  const first = about.before === undefined;
  const cost = await measured(command(a, b, { home, first }), { scratch: folder, env }).cost();
  return { wall: cost.end - cost.start, cpu: cost.cpu, rss: cost.peakRss };
}

/** Older than the coarsest rule of those who look at times, which is two seconds. */
function settle(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 2500));
}

async function fill(root: string, files: number): Promise<void> {
  for (let i = 0; i < files; i++) {
    if (i % 100 === 0) await Deno.mkdir(folderOf(root, i), { recursive: true });
    Deno.writeTextFileSync(pathOf(root, i), `content of ${i}\n`.repeat(1 + i % 20));
  }
}

async function edit(root: string, { every, run }: { every: number; run: number }): Promise<void> {
  for (let i = 0;; i += every) {
    try {
      await Deno.writeTextFile(pathOf(root, i), `edited ${run} ${i}\n`.repeat(1 + i % 20), { create: false });
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return;
      throw error;
    }
  }
}

function folderOf(root: string, file: number): string {
  return `${root}/${Math.floor(file / 10_000)}/${Math.floor(file / 100) % 100}`;
}

function pathOf(root: string, file: number): string {
  return `${folderOf(root, file)}/file-${file}.txt`;
}

if (import.meta.main) await runBench(BENCH);
