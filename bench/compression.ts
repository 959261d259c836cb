/** Compression: what each codec and level costs and saves, and what the choice `auto` makes of it end to end. */
import { type Bench, type Case, runBench } from "./bench.ts";
import { MOVE, plain } from "./columns.ts";
import { type Input, Inputs } from "./inputs.ts";
import type { Sample } from "./results.ts";
import { momentsOf } from "./timeline.ts";
import { hasExample, runExample } from "./tools/example.ts";
import { makeTools } from "./tools/mod.ts";
import { moveCase, sampleOf } from "./tools/tool.ts";
import { wormhole } from "./tools/wormhole.ts";

const MIB = 2 ** 20;

const MODES = Object.fromEntries(
  ["auto", "never", "always"].map((mode) => [
    mode,
    wormhole({ name: `--compress ${mode}`, send: ["--transport", "tcp", "--compress", mode] }),
  ]),
);

/** The bench. */
export const BENCH: Bench = {
  section: {
    name: "compression",
    title: "Compression",
    about: "Whole commands over loopback with each choice, then each codec and level by itself on one core " +
      "(`ffi/examples/codecs.rs`). On the wire: what travelled, as a share of what was sent.",
    jobs: {
      text: "512 MiB text-like file",
      source: "this repository's source tree",
      random: "512 MiB random file",
    },
    columns: [
      ...MOVE,
      plain("wire", { header: "on the wire", digits: 3 }),
      plain("share", { header: "size left" }),
      {
        header: "compress MiB/s",
        of: ({ speed }) => speed === undefined ? undefined : speed / MIB,
        digits: 0,
      },
      {
        header: "expand MiB/s",
        of: ({ expand_speed: speed }) => speed === undefined ? undefined : speed / MIB,
        digits: 0,
      },
    ],
  },
  async prepare(plan) {
    const inputs = new Inputs(plan.scratch);
    const { part } = plan;
    const jobs: Record<string, () => Promise<Input>> = {
      text: () => inputs.text(512 * MIB / part),
      source: () => inputs.source(),
      random: () => inputs.random(512 * MIB / part),
    };
    const { tools, missing } = await makeTools(MODES, plan);
    const cases: Case[] = Object.entries(jobs).filter(([job]) => plan.job(job)).flatMap(([job, input]) =>
      tools.map((tool) =>
        moveCase(tool, {
          job,
          input,
          scratch: plan.scratch,
          measure: (move, bytes) => {
            const done = momentsOf(move.sender).find(({ event }) => event === "done");
            const wire = done?.fields.bytes_on_wire as number | undefined;
            return { ...sampleOf(move, bytes), ...wire !== undefined && { wire: wire / bytes } };
          },
        })
      )
    );
    const codecs = plan.tool("codecs") && await hasExample("codecs");
    if (codecs) cases.push(...await codecCases(plan.job, inputs));
    return {
      cases,
      missing: codecs ? missing : [...missing, "codecs: not named, or no ffi/examples/codecs.rs"],
    };
  },
};

interface Measurement {
  readonly data: string;
  readonly codec: string;
  readonly level?: number;
  readonly share?: number;
  readonly speed: number;
  readonly expand_speed?: number;
}

/** Runs the example once per run for all of its rows. */
async function codecCases(wanted: (job: string) => boolean, inputs: Inputs): Promise<Case[]> {
  const { path } = await inputs.source();
  const measure = async () => JSON.parse(await runExample("codecs", [path])).codecs as Measurement[];
  const first = await measure();
  let latest = Promise.resolve(first);
  const served = new Set<string>();
  const name = ({ codec, level }: Measurement) => level === undefined ? codec : `${codec} ${level}`;
  return first.map((row) => ({ job: `codecs: ${row.data}`, tool: name(row), row }))
    .filter(({ job }) => wanted(job) || wanted("codecs"))
    .map(({ job, tool, row }) => ({
      job,
      tool,
      run: async (): Promise<Sample> => {
        const key = `${job}\n${tool}`;
        if (served.has(key)) {
          // Somebody asks for the same row again: that is the next run.
          served.clear();
          latest = measure();
        }
        served.add(key);
        const found = (await latest).find((each) => each.data === row.data && name(each) === tool)!;
        const { share, speed, expand_speed } = found;
        return {
          speed,
          ...share !== undefined && { share },
          ...expand_speed !== undefined && { expand_speed },
        };
      },
    }));
}

if (import.meta.main) await runBench(BENCH);
