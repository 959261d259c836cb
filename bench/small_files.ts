/** Trees of many small files: files/s, whether it holds to the end, and memory. */
import { type Bench, runBench } from "./bench.ts";
import { COST, plain, WALL } from "./columns.ts";
import { Inputs } from "./inputs.ts";
import { tenths } from "./timeline.ts";
import { croc, sendme } from "./tools/coded.ts";
import { makeTools } from "./tools/mod.ts";
import { copy, rsyncDaemon, tarOverNc } from "./tools/plain.ts";
import { overLoopback } from "./tools/served.ts";
import { rsyncOverSsh } from "./tools/ssh.ts";
import { moveCase, sampleOf } from "./tools/tool.ts";
import { QUIC, TCP, wormhole } from "./tools/wormhole.ts";

const TOOLS = {
  "wormhole": wormhole(TCP),
  "wormhole-quic": wormhole(QUIC),
  "tar": overLoopback(tarOverNc),
  "rsync": overLoopback(rsyncDaemon),
  "rsync-ssh": overLoopback(rsyncOverSsh),
  "cp": copy,
  "sendme": sendme,
  "croc": croc,
};

/** Tools that take minutes for the large tree; `--tool` names them when they are wanted there. */
const SLOW = ["croc", "sendme"];

/** The bench. */
export const BENCH: Bench = {
  section: {
    name: "small_files",
    title: "Small files",
    about:
      "Trees of files of 4 KiB of random bytes, 100 in each folder, from tmpfs to tmpfs over loopback. Whole " +
      "commands. The first and last tenth are read from the receiver's progress events, ten per second, so they say " +
      "something for the large tree only.",
    jobs: { "10k": "10,000 files of 4 KiB", "100k": "100,000 files of 4 KiB" },
    columns: [
      WALL,
      { header: "files/s", of: ({ files, wall }) => files! / wall!, digits: 0 },
      plain("first_tenth", { header: "files/s first tenth", digits: 0 }),
      plain("last_tenth", { header: "files/s last tenth", digits: 0 }),
      ...COST.filter(({ header }) => header !== "CPU s/GiB"),
    ],
  },
  async prepare(plan) {
    const inputs = new Inputs(plan.scratch);
    const { part } = plan;
    const { tools, missing, [Symbol.asyncDispose]: dispose } = await makeTools(TOOLS, plan);
    const cases = Object.entries({ "10k": Math.ceil(10_000 / part), "100k": Math.ceil(100_000 / part) })
      .filter(([job]) => plan.job(job))
      .flatMap(([job, files]) =>
        tools
          .filter(({ name }) => job !== "100k" || !SLOW.includes(name) || plan.named)
          .map((tool) =>
            moveCase(tool, {
              job,
              input: () => inputs.tree(files),
              scratch: plan.scratch,
              measure: (move, bytes) => ({
                ...sampleOf(move, bytes),
                files,
                ...move.receiver && tenths(move.receiver, files),
              }),
            })
          )
      );
    return { cases, missing, [Symbol.asyncDispose]: dispose };
  },
};

if (import.meta.main) await runBench(BENCH);
