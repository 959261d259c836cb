import type { RouterOptions } from "./lab.ts";

/** Networks that are worse than any single NAT, and the way that is left through them. */
export const HARD: readonly {
  readonly what: string;
  readonly sender: RouterOptions;
  readonly receiver: RouterOptions;
  readonly path: "direct" | "relay";
}[] = [
  {
    what: "no UDP at both ends",
    sender: { nat: "port-restricted", udp: false },
    receiver: { nat: "port-restricted", udp: false },
    path: "relay",
  },
  {
    what: "only TCP port 443 at both ends",
    sender: { nat: "port-restricted", onlyTcpPort: 443 },
    receiver: { nat: "symmetric", onlyTcpPort: 443 },
    path: "relay",
  },
  {
    what: "no UDP at one end",
    sender: { nat: "full-cone", udp: false },
    receiver: { nat: "restricted" },
    path: "relay",
  },
  {
    what: "a sender that can be reached, and only TCP port 443 for the receiver",
    sender: {},
    receiver: { nat: "port-restricted", onlyTcpPort: 443 },
    path: "relay",
  },
];
