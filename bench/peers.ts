/** Ours against other tools that encrypt: whole commands over loopback, memory to memory. */
import { type Bench, runBench } from "./bench.ts";
import { MOVE } from "./columns.ts";
import { Inputs } from "./inputs.ts";
import { croc, magicWormhole, sendme } from "./tools/coded.ts";
import { makeTools } from "./tools/mod.ts";
import { overLoopback } from "./tools/served.ts";
import { rclone, rsyncOverSsh, scp } from "./tools/ssh.ts";
import { moveCase } from "./tools/tool.ts";
import { QUIC, TCP, wormhole } from "./tools/wormhole.ts";

const GIB = 2 ** 30;

const TOOLS = {
  "wormhole": wormhole(TCP),
  "wormhole-quic": wormhole(QUIC),
  "croc": croc,
  "magic-wormhole": magicWormhole,
  "sendme": sendme,
  "rsync-ssh": overLoopback(rsyncOverSsh),
  "scp": overLoopback(scp),
  "rclone": overLoopback(rclone),
};

/** The bench. */
export const BENCH: Bench = {
  section: {
    name: "peers",
    title: "Peers",
    about:
      "Other tools that encrypt, whichever `scripts/bench-peers` could install. Whole commands, start-up and " +
      "pairing included, from tmpfs to tmpfs over loopback; what arrived is compared with the source.",
    jobs: {
      random: "2 GiB random file",
      text: "1 GiB text-like file",
      tree: "10,000 files of 4 KiB",
      byte: "1-byte file",
    },
    columns: MOVE,
  },
  async prepare(plan) {
    const inputs = new Inputs(plan.scratch);
    const { part } = plan;
    const jobs = {
      random: () => inputs.random(2 * GIB / part),
      text: () => inputs.text(GIB / part),
      tree: () => inputs.tree(Math.floor(10_000 / part)),
      byte: () => inputs.random(1),
    };
    const { tools, missing, [Symbol.asyncDispose]: dispose } = await makeTools(TOOLS, plan);
    const cases = Object.entries(jobs).filter(([job]) => plan.job(job)).flatMap(([job, input]) =>
      tools.map((tool) => moveCase(tool, { job, input, scratch: plan.scratch }))
    );
    return { cases, missing, [Symbol.asyncDispose]: dispose };
  },
};

if (import.meta.main) await runBench(BENCH);
