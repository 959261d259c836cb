/** What may become of the addresses of two machines while one sends to the other. */
import type { Host, Lab } from "./lab.ts";

/** So that the transfer takes seconds. */
const LINE = { mbits: 40 };

/** One transfer during which something happens. */
export interface Move {
  readonly what: string;
  readonly both?: readonly string[];
  /** Without it the two find each other on their network. */
  readonly withoutHub?: boolean;
  readonly sites: (lab: Lab) => Promise<{ from: Host; to: Host; change: () => Promise<void> }>;
}

/** From the easy to the hard. */
export const MOVES: readonly Move[] = [
  ...["tcp", "quic"].map((transport): Move => ({
    what: `${transport}: the receiver gets another address`,
    both: ["--transport", transport],
    sites: async (lab) => {
      const [from, to] = [
        await lab.site(`${transport}a`, LINE),
        await lab.site(`${transport}b`, LINE),
      ];
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
      const [from, to] = [
        await lab.site("e", LINE),
        await lab.site("f", { ...LINE, nat: "restricted" }),
      ];
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
    what: "the receiver goes from one NAT to another",
    sites: async (lab) => {
      const phone = await lab.router("phone", { ...LINE, nat: "symmetric" });
      const [from, to] = [
        await lab.site("g", { ...LINE, nat: "full-cone" }),
        await lab.host("h"),
      ];
      await to.join(await lab.router("home", { ...LINE, nat: "port-restricted" }));
      return { from, to, change: () => to.join(phone) };
    },
  },
  {
    what: "over the relay, the receiver goes from one network to another",
    sites: async (lab) => {
      const office = await lab.router("office", { ...LINE, nat: "port-restricted", udp: false });
      const [from, to] = [await lab.site("m", { ...LINE, nat: "symmetric" }), await lab.host("n")];
      await to.join(await lab.router("hotel", { ...LINE, nat: "symmetric", udp: false }));
      return { from, to, change: () => to.join(office) };
    },
  },
  {
    what: "both get other addresses at once, and have a hub",
    sites: async (lab) => {
      const [from, to] = [await lab.site("i", LINE), await lab.site("j", LINE)];
      const change = async () => void await Promise.all([from.renumber(), to.renumber()]);
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
