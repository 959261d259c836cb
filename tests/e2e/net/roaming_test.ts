/** Machines that change networks in the middle of a transfer, by the real commands. */
import { assertTrue } from "../../../src/base/testing.ts";
import { Sandbox } from "../sandbox.ts";
import { noise } from "../trees.ts";
import { startHubOn } from "./crossing.ts";
import { inLab, inLanes } from "./in_lab.ts";
import { MOVES } from "./moves.ts";
import { roam } from "./roaming.ts";

const MIB = 1024 * 1024;
const BYTES = 24 * MIB;

/** Moves that run at the same time. */
const LANES = 3;

/** No failure is what counts here; how long it takes is measured by bench/nat_matrix.ts, where nothing else runs. */
const PATIENCE_MS = 15_000;

/** Of the content, what may come twice. */
const MOST_AGAIN = BYTES / 2;

inLab("a transfer goes on whatever becomes of the addresses of its two ends", async (lab) => {
  await using sandbox = await Sandbox.create();
  await using hub = await startHubOn(await lab.site("hub"), sandbox);
  const content = noise(BYTES);
  // All are made first: a change must not wait for another's network to be made.
  const moves = await inLanes(MOVES, {
    lanes: 1,
    work: async (move) => ({ ...move, hosts: await move.sites(lab) }),
  });
  await inLanes(moves, {
    lanes: LANES,
    work: async ({ what, both = [], withoutHub, hosts }) => {
      const moving = { ...hosts, both, hub: withoutHub ? "" : hub.url, content };
      const roamed = await roam(moving).catch((cause) => {
        throw new Error(`${what}: ${cause.message}`, { cause });
      });
      const told = `${what}: ${JSON.stringify(roamed)}`;
      assertTrue(roamed.stallMs < PATIENCE_MS && roamed.extraBytes < MOST_AGAIN, told);
    },
  });
});
