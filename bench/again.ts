/** What is there already: the same file once more, renamed, edited, and after a break. */
import { type Bench, type Case, runBench } from "./bench.ts";
import { COST, plain, WALL } from "./columns.ts";
import { type Input, Inputs } from "./inputs.ts";
import { output } from "./process.ts";
import type { Sample } from "./results.ts";
import { croc } from "./tools/coded.ts";
import { makeTools } from "./tools/mod.ts";
import { rsyncDaemon, rsyncDelta } from "./tools/plain.ts";
import { overLoopback } from "./tools/served.ts";
import { rclone } from "./tools/ssh.ts";
import { compare, sampleOf, type Tool } from "./tools/tool.ts";
import { TCP, wormhole } from "./tools/wormhole.ts";

const GIB = 2 ** 30;
const MIB = 2 ** 20;

const TOOLS = {
  "wormhole": wormhole({ ...TCP, recv: ["--overwrite"], remembers: true }),
  "rsync": overLoopback(rsyncDaemon),
  "rsync-delta": overLoopback(rsyncDelta),
  "croc": croc,
  "rclone": overLoopback(rclone),
};

/** What happens between the first move and the one that is measured. */
interface Job {
  readonly input: () => Promise<Input>;
  /** Ends the first move when that share of its data has gone over the interface. */
  readonly breakAt?: number;
  /** Changes the source; gives its new path. */
  change?(path: string): Promise<string>;
  /** Compares allocated bytes too. */
  readonly sparse?: boolean;
}

/** The bench. */
export const BENCH: Bench = {
  section: {
    name: "again",
    title: "Once more",
    about:
      "A first move from tmpfs to tmpfs over loopback, not measured; then something happens, and the same tool moves " +
      "the file again into the same folder. Whole commands, start-up and pairing included. *Wire* is what went over " +
      "the loopback interface meanwhile in either direction, packet headers included; croc's goes through its relay, so it counts twice. What " +
      "arrived is compared with the source. Just before the second move 2 GiB of memory are filled and freed, so that none " +
      "of the tools has to wait for a host that takes back what its virtual machine does not use.",
    jobs: {
      unchanged: "1 GiB random file, unchanged",
      renamed: "1 GiB random file, renamed at the source",
      insert: "1 GiB random file, one byte inserted in the middle",
      half: "1 GiB random file, all processes killed when half of it had gone over the interface",
      sparse:
        "100 GiB file with 2 GiB of data in 100 places, all processes killed when half of that had gone over the interface",
      tree: "100,000 files of 4 KiB, unchanged",
    },
    columns: [
      WALL,
      plain("wire", { header: "wire MiB", digits: 2, range: true }),
      ...COST.filter(({ header }) => !header.startsWith("CPU s/GiB")),
      plain("allocated", { header: "allocated, of source", digits: 3 }),
    ],
  },
  async prepare(plan) {
    const inputs = new Inputs(plan.scratch);
    const random = () => inputs.random(GIB / plan.part);
    const jobs: Record<string, Job> = {
      unchanged: { input: random },
      renamed: { input: random, change: rename },
      insert: { input: random, change: insertByte },
      half: { input: random, breakAt: 0.5 },
      sparse: {
        input: () => inputs.sparse(100 * GIB / plan.part, 2 * GIB / plan.part),
        breakAt: 0.5,
        sparse: true,
      },
      tree: { input: () => inputs.tree(100_000 / plan.part) },
    };
    const { tools, missing, [Symbol.asyncDispose]: dispose } = await makeTools(TOOLS, plan);
    const cases = Object.entries(jobs).filter(([name]) => plan.job(name)).flatMap(([name, job]) =>
      // The others read the holes as bytes: 100 GiB of them.
      tools.filter((tool) => name !== "sparse" || tool.ours).map((tool) =>
        againCase(tool, { name, job, scratch: plan.scratch })
      )
    );
    return { cases, missing, [Symbol.asyncDispose]: dispose };
  },
};

function againCase(tool: Tool, { name, job, scratch }: { name: string; job: Job; scratch: string }): Case {
  const { note, version, ours = false } = tool;
  return {
    job: name,
    tool: tool.name,
    note,
    version,
    ours,
    run: async () => {
      const work = await Deno.makeTempDir({ dir: scratch, prefix: "again-" });
      const into = `${work}/into`;
      await Deno.mkdir(into);
      try {
        const input = await job.input();
        const source = await copyOf(input, work);
        await firstMove(tool, { source, into, breakAt: job.breakAt });
        const path = await job.change?.(source.path) ?? source.path;
        await warmMemory(work);
        const before = await loopbackBytes();
        const move = await tool.move({ ...source, path }, into);
        const wire = (await loopbackBytes() - before) / MIB;
        await compare(path, into);
        const sample: Sample = { ...sampleOf(move, source.bytes), wire };
        if (!job.sparse) return sample;
        const arrived = `${into}/${path.slice(path.lastIndexOf("/") + 1)}`;
        return { ...sample, allocated: await allocated(arrived) / await allocated(path) };
      } finally {
        await Deno.remove(work, { recursive: true });
      }
    },
  };
}

/** A copy that may be changed, an hour old so that nobody takes its times for too fresh to be trusted. */
async function copyOf(input: Input, work: string): Promise<Input> {
  const path = `${work}/${input.path.slice(input.path.lastIndexOf("/") + 1)}`;
  const script =
    'cp -r --sparse=always --reflink=auto "$1" "$2" && find "$2" -exec touch -d "1 hour ago" {} +';
  await output(["sh", "-c", script, "sh", input.path, path]);
  // The change time cannot be set; the coarsest rule of those who look at it is two seconds.
  await new Promise((resolve) => setTimeout(resolve, 2500));
  return { ...input, path };
}

/** Bytes of memory that a move may need anew: the file once more, and what both ends take. */
const WARM_BYTES = 2 * GIB;

/**
 * Has the machine own as much free memory as the move will need: a host that takes back what its virtual machine frees
 * gives it again page by page, which costs up to 2 s per GiB of whoever comes first.
 */
async function warmMemory(folder: string): Promise<void> {
  const path = `${folder}/warm`;
  await output(["sh", "-c", 'head -c "$1" /dev/zero > "$2"', "sh", String(WARM_BYTES), path]);
  await Deno.remove(path);
}

async function firstMove(
  tool: Tool,
  { source, into, breakAt }: { source: Input; into: string; breakAt: number | undefined },
): Promise<void> {
  const moving = tool.move(source, into);
  if (breakAt === undefined) return void await moving;
  // What is on the disk says nothing: some allocate all of it at first.
  const goal = await loopbackBytes() +
    breakAt * await allocated(source.path) * (tool.name === "croc" ? 2 : 1);
  let over = false;
  const ended = moving.then(() => true, () => true).finally(() => over = true);
  while (!over && await loopbackBytes() < goal) await new Promise((resolve) => setTimeout(resolve, 2));
  if (over) throw new Error(`${tool.name} was done before it could be broken off`);
  await killAll([source.path, into]);
  await ended;
}

/** Kills every process that has one of `words` in its arguments, and what those have started. */
async function killAll(words: readonly string[]): Promise<void> {
  const parents = new Map<number, number>();
  const doomed = new Set<number>();
  for await (const { name } of Deno.readDir("/proc")) {
    const pid = Number(name);
    if (!Number.isInteger(pid) || pid === Deno.pid) continue;
    const [line, stat] = await Promise.all(
      ["cmdline", "stat"].map((file) => Deno.readTextFile(`/proc/${pid}/${file}`).catch(() => "")),
    );
    if (stat === "") continue;
    parents.set(pid, Number(stat!.slice(stat!.lastIndexOf(")") + 2).split(" ")[1]));
    if (words.some((word) => line!.split("\0").includes(word))) doomed.add(pid);
  }
  for (const pid of parents.keys()) {
    for (let above = parents.get(pid); above !== undefined && above > 1; above = parents.get(above)) {
      if (doomed.has(above)) doomed.add(pid);
    }
  }
  for (const pid of doomed) {
    try {
      Deno.kill(pid, "SIGKILL");
    } catch {
      // It has ended.
    }
  }
}

async function rename(path: string): Promise<string> {
  await Deno.rename(path, `${path}-renamed`);
  return `${path}-renamed`;
}

async function insertByte(path: string): Promise<string> {
  const { size } = await Deno.stat(path);
  const script = 'head -c "$2" "$1" && printf x && tail -c +"$(($2 + 1))" "$1"';
  await output(["sh", "-c", `{ ${script}; } > "$1.new" && mv "$1.new" "$1"`, "sh", path, String(size / 2)]);
  return path;
}

/** Bytes that have gone over the loopback interface. */
async function loopbackBytes(): Promise<number> {
  return Number(await Deno.readTextFile("/sys/class/net/lo/statistics/tx_bytes"));
}

/** Bytes on the disk. */
async function allocated(path: string): Promise<number> {
  return (await Deno.stat(path)).blocks! * 512;
}

if (import.meta.main) await runBench(BENCH);
