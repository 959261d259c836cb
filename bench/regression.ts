/** How soon: the code on screen, the first byte, a transfer of one byte, a random read over an open session. */
import { type Bench, type Case, runBench } from "./bench.ts";
import { plain } from "./columns.ts";
import { Inputs } from "./inputs.ts";
import { measured } from "./measured.ts";
import { found } from "./process.ts";
import { rangeReads } from "./range_reads.ts";
import { startedTransfer } from "./started.ts";
import { Homes, ONE_FILE, wormholeCommand } from "./tools/wormhole.ts";

const FILES = 1000;

/** The bench. */
export const BENCH: Bench = {
  section: {
    name: "regression",
    title: "Latency",
    about:
      "Over loopback, in ms, medians with ranges. Code on screen: from the start of the command to its code; for the empty program, to its end. One " +
      "byte: two processes that have started already; `pairing` from the code's entry until it is accepted, the others " +
      "from there: `connecting` until connected, `first byte` until it stands checked in the receiver's file, `done` until " +
      "it has its name and both have said so. Range reads: 4 KiB at a random place of another file each, one after the " +
      "other over one session, from asking until the bytes stand checked in the receiver's file.",
    jobs: {
      code: "Code on screen",
      byte: "One byte between two running processes",
      ranges: `${FILES} random reads of 4 KiB over an open session`,
    },
    columns: [
      plain("code", { header: "code ms", digits: 0, range: true }),
      plain("pairing", { header: "pairing ms", digits: 1 }),
      plain("connecting", { header: "connecting ms", digits: 1 }),
      plain("first_byte", { header: "first byte ms", digits: 1, range: true }),
      plain("done", { header: "done ms", digits: 1, range: true }),
      plain("total", { header: "code entered to done ms", digits: 1 }),
      plain("p50", { header: "p50 ms" }),
      plain("p90", { header: "p90 ms" }),
      plain("p99", { header: "p99 ms", range: true }),
      plain("max", { header: "max ms" }),
    ],
  },
  runs: 9,
  async prepare(plan) {
    const inputs = new Inputs(plan.scratch);
    const cases: Case[] = [];
    const compiled = await found(ONE_FILE);
    const empty = `${plan.scratch}/empty.js`;
    await Deno.writeTextFile(empty, "");
    if (plan.job("code") && plan.tool("deno")) {
      cases.push({ job: "code", tool: "an empty program in Deno", run: deno });
    }
    const commands = { "from the checkout": wormholeCommand(), ...compiled && { "compiled": [compiled] } };
    for (const [tool, command] of Object.entries(commands)) {
      if (plan.job("code") && plan.tool(tool)) {
        cases.push({
          job: "code",
          tool,
          ours: true,
          run: () => codeOnScreen(command),
        });
      }
    }
    for (const tool of ["tcp", "quic", "auto"]) {
      if (!plan.job("byte") || !plan.tool(tool)) continue;
      cases.push({
        job: "byte",
        tool,
        ours: true,
        run: () =>
          inFolder(async (into) =>
            await startedTransfer({
              transport: tool,
              input: await inputs.random(1),
              into,
              scratch: plan.scratch,
            })
          ),
      });
    }
    for (const transport of ["tcp", "quic"] as const) {
      if (!plan.job("ranges") || !plan.tool(transport)) continue;
      const source = () => inputs.folder(Math.ceil(FILES / plan.part), 64 * 1024);
      const run = () =>
        inFolder(async (into) => await rangeReads({ transport, source: await source(), into }));
      cases.push({ job: "ranges", tool: transport, ours: true, run });
    }
    return {
      cases,
      missing: compiled ? [] : ["code on screen of the compiled program: run scripts/compile"],
    };

    async function deno() {
      const command = [Deno.execPath(), "run", "--quiet", empty];
      const env = await new Homes(plan.scratch).env("sender");
      const { start, end } = await measured(command, { scratch: plan.scratch, env }).cost();
      return { code: (end - start) * 1000 };
    }

    async function codeOnScreen(command: readonly string[]) {
      const homes = new Homes(plan.scratch);
      const { path } = await inputs.random(1);
      const { promise: shown, resolve } = Promise.withResolvers<void>();
      const { scratch } = plan;
      const onLine = (line: string) => line.includes('"event":"code"') && resolve();
      const env = await homes.env("sender");
      const sender = measured([...command, "send", "--json", path], {
        scratch,
        env,
        onLine,
        lines: true,
        server: true,
      });
      const ended = sender.cost();
      await Promise.race([shown, ended]);
      sender.child.kill("SIGTERM");
      const { start, lines } = await ended;
      const line = lines.find(([, text]) => text.includes('"event":"code"'));
      if (line === undefined) throw new Error("send ended before it showed a code");
      return { code: (line[0] - start) * 1000 };
    }

    async function inFolder<T>(run: (into: string) => Promise<T>): Promise<T> {
      const into = await Deno.makeTempDir({ dir: plan.scratch, prefix: "into-" });
      try {
        return await run(into);
      } finally {
        await Deno.remove(into, { recursive: true });
      }
    }
  },
};

if (import.meta.main) await runBench(BENCH);
