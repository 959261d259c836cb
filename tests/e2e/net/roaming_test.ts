/** Machines that change networks in the middle of a transfer, by the real commands. */
import { assertTrue } from "../../../src/base/testing.ts";
import { Sandbox } from "../sandbox.ts";
import { noise } from "../trees.ts";
import { startHubOn } from "./crossing.ts";
import { inLab, inLanes } from "./in_lab.ts";
import type { Host, Lab } from "./lab.ts";
import { roam } from "./roaming.ts";

const MIB = 1024 * 1024;
const BYTES = 24 * MIB;

/** So that the transfer takes seconds. */
const LINE = { mbits: 80 };

/** Moves that run at the same time. */
const LANES = 3;

/** No failure is what counts here; how long it takes is measured by bench/nat_matrix.ts, where nothing else runs. */
const PATIENCE_MS = 15_000;

/** Of the content, what may come twice. */
const MOST_AGAIN = BYTES / 2;

/** One transfer during which something happens. */
interface Move {
  readonly what: string;
  readonly both?: readonly string[];
  /** Without it the two find each other on their network. */
  readonly withoutHub?: boolean;
  readonly sites: (lab: Lab) => Promise<{ from: Host; to: Host; change: () => Promise<void> }>;
}

const MOVES: readonly Move[] = [
  ...["tcp", "quic"].map((transport): Move => ({
    what: `${transport}: the receiver gets another address`,
    both: ["--transport", transport],
    sites: async (lab) => {
      const [from, to] = [await lab.site(`${transport}a`, LINE), await lab.site(`${transport}b`, LINE)];
      return { from, to, change: () => to.renumber() };
    },
  })),
  {
    what: "tcp: the sender gets another address",
    both: ["--transport", "tcp"],
    sites: async (lab) => {
      const [from, to] = [await lab.site("c", LINE), await lab.site("d", LINE)];
      return { from, to, change: () => from.renumber() };
    },
  },
  {
    what: "the receiver's interface is down for a while",
    sites: async (lab) => {
      const [from, to] = [await lab.site("e", LINE), await lab.site("f", { ...LINE, nat: "restricted" })];
      const change = async () => {
        await to.down();
        // Longer than what anybody bridges without noticing.
        await lab.run("sleep 2");
        await to.up();
      };
      return { from, to, change };
    },
  },
  {
    what: "both get other addresses at once on one network, without a hub",
    withoutHub: true,
    sites: async (lab) => {
      const network = await lab.router("network", { nat: "symmetric" });
      const [from, to] = [await lab.host("k"), await lab.host("l")];
      for (const host of [from, to]) await host.join(network, LINE);
      const change = async () => void await Promise.all([from.renumber(), to.renumber()]);
      return { from, to, change };
    },
  },
];

inLab("a transfer goes on whatever becomes of the addresses of its two ends", async (lab) => {
  await using sandbox = await Sandbox.create();
  await using hub = await startHubOn(await lab.site("hub"), sandbox);
  const content = noise(BYTES);
  await inLanes(MOVES, {
    lanes: LANES,
    work: async ({ what, both = [], withoutHub, sites }) => {
      const moving = { ...await sites(lab), both, hub: withoutHub ? "" : hub.url, content };
      const roamed = await roam(moving).catch((cause) => {
        throw new Error(`${what}: ${cause.message}`, { cause });
      });
      const told = `${what}: ${JSON.stringify(roamed)}`;
      assertTrue(roamed.stallMs < PATIENCE_MS && roamed.extraBytes < MOST_AGAIN, told);
    },
  });
});
