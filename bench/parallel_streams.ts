/** Parallel streams: goodput for fixed numbers of them, and what wormhole chooses by itself. */
import { type Bench, type Case, runBench } from "./bench.ts";
import { MOVE, plain } from "./columns.ts";
import { Inputs } from "./inputs.ts";
import { firstOf, momentsOf } from "./timeline.ts";
import { moveCase, sampleOf } from "./tools/tool.ts";
import { wormhole } from "./tools/wormhole.ts";
import { findWanRun, PROFILES } from "./wan_link.ts";
import { oursOverLink } from "./wan_tools.ts";

const GIB = 2 ** 30;
const COUNTS = [1, 2, 4, 8, 16, 32];
const TRANSPORTS = ["tcp", "quic"];

/** The bench. */
export const BENCH: Bench = {
  section: {
    name: "parallel_streams",
    title: "Parallel streams",
    about:
      "The same file with a fixed number of streams (MIN_STREAMS = MAX_STREAMS) and with the number that wormhole " +
      "chooses by itself. Moving: from connected to done at the receiver.",
    jobs: {
      "loopback-tcp": "TCP over loopback (1 GiB)",
      "loopback-quic": "QUIC over loopback (1 GiB)",
      "wan-tcp": "TCP at 1 Gbit/s, 50 ms (256 MiB)",
      "wan-quic": "QUIC at 1 Gbit/s, 50 ms (256 MiB)",
      "loss-tcp": "TCP at 1 Gbit/s, 100 ms, 1% loss (256 MiB)",
      "loss-quic": "QUIC at 1 Gbit/s, 100 ms, 1% loss (256 MiB)",
    },
    columns: [
      plain("moving", { header: "moving s", range: true }),
      {
        header: "MiB/s moving",
        of: ({ bytes, moving }) => moving === undefined ? undefined : bytes! / 2 ** 20 / moving,
        digits: 0,
      },
      ...MOVE,
    ],
  },
  async prepare(plan) {
    const inputs = new Inputs(plan.scratch);
    const { part } = plan;
    const choices = [...COUNTS.map(String), "auto"].filter((choice) => plan.tool(choice));
    const cases: Case[] = [];
    for (const transport of TRANSPORTS.filter((transport) => plan.job(`loopback-${transport}`))) {
      for (const choice of choices) {
        const variant = { name: nameOf(choice), send: ["--transport", transport], env: settings(choice) };
        const tool = await wormhole(variant)(plan);
        if ("missing" in tool) throw new Error(tool.missing);
        cases.push(moveCase(tool, {
          job: `loopback-${transport}`,
          input: () => inputs.random(GIB / part),
          scratch: plan.scratch,
          measure: (move, bytes) => {
            const moments = momentsOf(move.receiver!);
            const [peer, done] = [firstOf(moments, "peer"), firstOf(moments, "done")];
            return { ...sampleOf(move, bytes), ...peer && done && { moving: done - peer } };
          },
        }));
      }
    }
    const wan = await findWanRun();
    if ("missing" in wan) return { cases, missing: [wan.missing] };
    for (const [link, profile] of Object.entries({ wan: PROFILES["50ms"]!, loss: PROFILES["100ms-loss"]! })) {
      for (const transport of TRANSPORTS.filter((transport) => plan.job(`${link}-${transport}`))) {
        for (const choice of choices) {
          const tool = await oursOverLink(nameOf(choice), ["--transport", transport], plan, settings(choice));
          cases.push({
            job: `${link}-${transport}`,
            tool: tool.name,
            run: async () => {
              const input = await inputs.random(GIB / 4 / part);
              const into = await Deno.makeTempDir({ dir: plan.scratch, prefix: "into-" });
              const { program } = wan;
              try {
                return await tool.run({
                  program,
                  profile,
                  input,
                  into,
                  scratch: plan.scratch,
                  patience: 100,
                });
              } finally {
                await Deno.remove(into, { recursive: true });
              }
            },
          });
        }
      }
    }
    return { cases };
  },
};

function nameOf(choice: string): string {
  return choice === "auto" ? "chosen by wormhole" : choice === "1" ? "1 stream" : `${choice} streams`;
}

function settings(choice: string): Record<string, string> {
  return choice === "auto" ? {} : { WORMHOLE_MIN_STREAMS: choice, WORMHOLE_MAX_STREAMS: choice };
}

if (import.meta.main) await runBench(BENCH);
