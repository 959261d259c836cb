/** Long links: how much of the link ours and others use, and how soon the first bytes are there. */
import { type Bench, type Case, runBench } from "./bench.ts";
import { type Column, MOVE, plain } from "./columns.ts";
import { Inputs } from "./inputs.ts";
import { iperf, type LinkTool, oursOverLink, peerOverLink } from "./wan_tools.ts";
import { findWanRun, type Profile, PROFILES } from "./wan_link.ts";
import { rsyncDaemon } from "./tools/plain.ts";
import { rsyncOverSsh, scp } from "./tools/ssh.ts";

/** Seconds for one move; whoever needs more is said to. */
const PATIENCE_S = 120;

const SHARE: Column = { header: "% of link", of: ({ share }) => percent(share), digits: 1, range: true };
const SHARE_MOVING: Column = {
  header: "% while moving",
  of: ({ share_moving }) => percent(share_moving),
  digits: 1,
};

/** The bench. */
export const BENCH: Bench = {
  section: {
    name: "wan",
    title: "Long links",
    about:
      "Through `wan-run`, which emulates the link between two network namespaces of this machine, so both ends and " +
      "the link share its cores. Whole commands; % of link: payload over the wall time of the whole command, start-up " +
      "and pairing included; while moving: from connected to done at our receiver. First progress: from connected to " +
      "the receiver's first progress event. bench/wan.md says how to look closer.",
    jobs: Object.fromEntries(
      Object.entries(PROFILES).map(([name, { title, bytes }]) => [
        name,
        `${title} (${bytes / 2 ** 20} MiB random file)`,
      ]),
    ),
    columns: [
      SHARE,
      SHARE_MOVING,
      ...MOVE,
      plain("connected", { header: "connected s" }),
      plain("first_progress", { header: "first progress s" }),
    ],
  },
  async prepare(plan) {
    const wan = await findWanRun();
    if ("missing" in wan) return { cases: [], missing: [wan.missing] };
    const { program } = wan;
    const place = { scratch: plan.scratch };
    const makers: Record<string, () => Promise<LinkTool | { missing: string }>> = {
      "auto": () => oursOverLink("wormhole", [], place),
      "tcp": () => oursOverLink("wormhole, TCP", ["--transport", "tcp"], place),
      "quic": () => oursOverLink("wormhole, QUIC", ["--transport", "quic"], place),
      "iperf3": () => iperf(["-P", "1"]),
      "iperf3-8": () => iperf(["-P", "8"]),
      "rsync": () => peerOverLink(rsyncDaemon, place),
      "rsync-ssh": () => peerOverLink(rsyncOverSsh, place),
      "scp": () => peerOverLink(scp, place),
    };
    const missing: string[] = [];
    const tools: LinkTool[] = [];
    for (const [name, make] of Object.entries(makers)) {
      if (!plan.tool(name)) continue;
      const made = await make();
      if ("missing" in made) missing.push(made.missing);
      else tools.push(made);
    }
    const inputs = new Inputs(plan.scratch);
    const cases = Object.entries(PROFILES).filter(([job]) => plan.job(job)).flatMap(([job, profile]) =>
      tools.map((tool) => linkCase(tool, { job, program, profile, inputs, plan }))
    );
    return { cases, missing };
  },
};

function linkCase(
  tool: LinkTool,
  { job, program, profile, inputs, plan }: {
    job: string;
    program: string;
    profile: Profile;
    inputs: Inputs;
    plan: { part: number; scratch: string };
  },
): Case {
  return {
    job,
    tool: tool.name,
    note: tool.note,
    ...tool.version && { version: tool.version },
    run: async () => {
      const input = await inputs.random(profile.bytes / plan.part);
      const into = await Deno.makeTempDir({ dir: plan.scratch, prefix: "into-" });
      try {
        const sample = await tool.run({
          program,
          profile,
          input,
          into,
          scratch: plan.scratch,
          patience: PATIENCE_S,
        });
        const { moving, wall, bytes, rate } = sample;
        const share = (seconds: number) => bytes! * 8 / seconds / profile.rate;
        return {
          ...sample,
          share: rate !== undefined ? rate / profile.rate : share(wall!),
          ...moving !== undefined && { share_moving: share(moving) },
        };
      } finally {
        await Deno.remove(into, { recursive: true });
      }
    },
  };
}

function percent(share: number | undefined): number | undefined {
  return share === undefined ? undefined : share * 100;
}

if (import.meta.main) await runBench(BENCH);
