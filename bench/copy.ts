/**
 * `wormhole copy` against other programs that copy on one machine, on several file systems. All of it takes most of an hour: fill
 * the table in pieces of a minute or two, `--job ext4-small` or `--job 'xfs-*'`; rows of other pieces stay.
 */
import { type Bench, type Case, runBench } from "./bench.ts";
import { type Column, plain, WALL } from "./columns.ts";
import { COPY_INPUTS, type CopyInput } from "./copy_inputs.ts";
import { type Place, places } from "./copy_places.ts";
import { PEERS } from "./machine.ts";
import { measured } from "./measured.ts";
import { found, output } from "./process.ts";
import type { Sample } from "./results.ts";
import { ONE_FILE, wormholeCommand } from "./tools/wormhole.ts";

/** One program with its flags. */
interface Copier {
  readonly name: string;
  readonly program: string;
  readonly version: string;
  readonly note: string;
  readonly ours?: boolean;
  /** The only job that it is measured with. */
  readonly only?: string;
  /** Makes `target` a copy of `source`; `again`: it is one already. */
  command(source: string, target: string, again: boolean): readonly string[];
}

/** Which inputs are copied where, with what they are called. */
const JOBS: readonly {
  readonly input: keyof typeof COPY_INPUTS;
  readonly on: readonly Place["kind"][];
  readonly again?: boolean;
}[] = [
  { input: "huge", on: ["ext4"] },
  { input: "disk", on: ["ext4"] },
  { input: "large", on: ["xfs", "btrfs", "tmpfs"] },
  { input: "small", on: ["ext4", "journal", "xfs", "btrfs", "tmpfs"] },
  { input: "small", on: ["ext4", "tmpfs"], again: true },
  { input: "flat", on: ["ext4", "journal", "tmpfs"] },
  { input: "empty", on: ["tmpfs"] },
  { input: "deep", on: ["ext4", "journal", "tmpfs"] },
  { input: "links", on: ["ext4", "journal", "tmpfs"] },
];

const RATIO: Column = { header: "times as fast as cp -a", of: ({ ratio }) => ratio, digits: 2, range: true };
const DISK: Column = {
  header: "wall s with sync",
  of: ({ wall, sync }) => sync === undefined ? undefined : wall! + sync,
  digits: 2,
};

/** The bench. */
export const BENCH: Bench = {
  section: {
    name: "copy",
    title: "Copies on one machine",
    about:
      "Whole commands, start-up included, from a folder to another of the same file system: ext4 is the machine's disk, " +
      "journal (a new ext4), xfs and btrfs are loop devices in memory, tmpfs is memory. Tools take turns in each run; on all but tmpfs the caches are dropped before each " +
      "(as root). *With sync* adds the time of `sync -f` afterwards, so that tools that leave the bytes in memory can be compared with " +
      "those that do not. What came is counted in entries and bytes.",
    jobs: Object.fromEntries(
      JOBS.flatMap(({ input, on, again }) =>
        on.map((
          kind,
        ) => [
          jobName(kind, input, again),
          `${kind}: ${COPY_INPUTS[input]!.title}${again ? ", unchanged, again" : ""}`,
        ])
      ),
    ),
    columns: [
      WALL,
      RATIO,
      DISK,
      {
        header: "MiB/s",
        of: ({ bytes, wall }) => bytes! > 2 ** 26 ? bytes! / 2 ** 20 / wall! : undefined,
        digits: 0,
      },
      { header: "files/s", of: ({ files, wall }) => files! > 1 ? files! / wall! : undefined, digits: 0 },
      plain("cpu", { header: "CPU s" }),
      { header: "peak MiB", of: ({ rss }) => rss! / 2 ** 20, digits: 0 },
    ],
  },
  async prepare(plan) {
    const { copiers, missing } = await makeCopiers();
    const wanted = JOBS.flatMap(({ input, on, again = false }) =>
      on.filter((kind) => plan.job(jobName(kind, input, again))).map((kind) => ({ input, kind, again }))
    );
    const disks = places(plan.scratch);
    const cases: Case[] = [];
    for (const { input, kind, again } of wanted) {
      const turn = new Turn(async () => ({
        place: await disks.open(kind),
        input: COPY_INPUTS[input]!,
        part: plan.part,
      }));
      for (const copier of copiers) {
        if (!plan.tool(copier.name) && copier.name !== "cp -a") continue;
        if (copier.only !== undefined && copier.only !== jobName(kind, input, again)) continue;
        if (again && !/^(wormhole|rsync)/.test(copier.name) && copier.name !== "cp -a") continue;
        cases.push({
          job: jobName(kind, input, again),
          tool: copier.name,
          note: copier.note,
          version: copier.version,
          ours: copier.ours ?? false,
          run: () => turn.take(copier, { scratch: plan.scratch, again }),
        });
      }
    }
    return { cases, missing, [Symbol.asyncDispose]: () => disks[Symbol.asyncDispose]() };
  },
};

/** One input at one place, copied by each tool in turn. */
class Turn {
  readonly #about: () => Promise<{ place: Place; input: CopyInput; part: number }>;
  /** Seconds that cp took last: it runs first. */
  #cp = NaN;

  constructor(about: () => Promise<{ place: Place; input: CopyInput; part: number }>) {
    this.#about = about;
  }

  async take(copier: Copier, { scratch, again }: { scratch: string; again: boolean }): Promise<Sample> {
    const { place, input, part } = await this.#about();
    const source = await place.input(input, part);
    const target = `${place.path}/to-${crypto.randomUUID().slice(0, 8)}`;
    const here = source.path.replace(/[^/]*$/, "");
    const name = source.path.slice(here.length);
    // Everything goes into a folder that is there, which every tool understands alike.
    await Deno.mkdir(target);
    try {
      if (again) await output(["cp", "-a", source.path, `${target}/`]);
      await place.settle();
      const { start, end, cpu, peakRss } = await measured(
        copier.command(source.path, `${target}/${name}`, again),
        { scratch },
      ).cost();
      const before = performance.now();
      await output(["sync", "-f", target]);
      const sync = (performance.now() - before) / 1000;
      await assertThere(source.path, `${target}/${name}`);
      const wall = end - start;
      if (copier.name === "cp -a") this.#cp = wall;
      return {
        bytes: source.bytes,
        files: source.files,
        wall,
        cpu,
        rss: peakRss,
        ...place.kind !== "tmpfs" && { sync },
        ...!Number.isNaN(this.#cp) && { ratio: this.#cp / wall },
      };
    } finally {
      await output(["rm", "-rf", target]);
    }
  }
}

/** Compares entries and bytes. @throws {Error} when they differ. */
async function assertThere(source: string, target: string): Promise<void> {
  const script = `find "$1" -printf "%y %s\\n" | ` +
    `awk '$1 == "f" { n++; b += $2 } $1 != "f" { o++ } END { print n, b, o }'`;
  const look = (path: string) => output(["sh", "-c", script, "sh", path]);
  const [wanted, there] = [await look(source), await look(target)];
  if (wanted !== there) {
    throw new Error(`${target} has ${there} (files, bytes, others), its source ${wanted}`);
  }
}

async function makeCopiers(): Promise<{ copiers: Copier[]; missing: string[] }> {
  const version = async (program: string) => (await output([program, "--version"])).split("\n")[0]!;
  const ours = wormholeCommand();
  const wormhole = (name: string, flags: readonly string[], note: string): Copier => ({
    name,
    program: ours[0]!,
    version: "",
    note,
    ours: true,
    command: (from, to, again) => [...ours, "copy", "-q", ...flags, ...again ? ["--sync"] : ["-T"], from, to],
  });
  const copiers: Copier[] = [
    {
      name: "cp -a",
      program: "cp",
      version: await version("cp"),
      note: "cp -a -T: keeps everything, one thread; once more for what is there already",
      command: (from, to) => ["cp", "-a", "-T", from, to],
    },
    wormhole(
      "wormhole",
      [],
      "copy: keeps everything, and everything is on the disk at the end; unchanged: copy --sync",
    ),
    wormhole(
      "wormhole --fsync none",
      ["--fsync", "none"],
      "as the others: the system writes to the disk when it likes",
    ),
    {
      ...wormhole(
        "wormhole --preserve=mode",
        ["--preserve=mode", "--fsync", "none"],
        "keeps what cpz keeps, and holes",
      ),
      only: "tmpfs-small",
    },
    {
      ...wormhole("wormhole, 1 core", [], "under taskset -c 0: what the second core is worth"),
      only: "tmpfs-small",
      command: (from, to) => ["taskset", "-c", "0", ...ours, "copy", "-q", "-T", from, to],
    },
    {
      ...wormhole("wormhole, pinned", ["--cpu-count", String(navigator.hardwareConcurrency)], "--cpu-count"),
      only: "tmpfs-small",
    },
  ];
  const missing: string[] = [];
  if (await found(ONE_FILE)) {
    copiers.push({
      ...wormhole("wormhole, one file", [], "the executable that `scripts/compile` makes"),
      only: "tmpfs-small",
      program: ONE_FILE,
      command: (from, to) => [ONE_FILE, "copy", "-q", "-T", from, to],
    });
  } else missing.push("the executable is not built (scripts/compile)");
  const others = [
    ["rsync", "rsync -aHAXS", ["-aHAXS"], "rsync -aHAXS: keeps everything"],
    [`${PEERS}/bin/xcp`, "xcp", ["-r", "--no-progress", "-T"], "xcp -r: keeps modes, times and xattrs"],
    [`${PEERS}/bin/cpz`, "cpz", [], "cpz: keeps modes only"],
  ] as const;
  for (const [program, name, flags, note] of others) {
    if (!await found(program)) {
      missing.push(`${name} is not installed (scripts/bench-peers)`);
      continue;
    }
    const isFolder = (path: string) => Deno.statSync(path).isDirectory;
    copiers.push({
      name,
      program,
      version: await version(program),
      note,
      command: (from, to) =>
        name === "rsync -aHAXS"
          ? [program, ...flags, isFolder(from) ? `${from}/` : from, to]
          : [program, ...flags, from, to],
    });
  }
  return { copiers, missing };
}

function jobName(kind: string, input: string, again = false): string {
  return `${kind}-${input}${again ? "-again" : ""}`;
}

if (import.meta.main) await runBench(BENCH);
