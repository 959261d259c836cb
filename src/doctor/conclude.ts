/** What the facts about the network come to; no I/O. */
import { contains, NEAR } from "../config/subnets.ts";
import {
  filtering,
  type HubFacts,
  isUnknown,
  LOOPBACK,
  natKind,
  natOf,
  type NetworkFacts,
  views,
} from "./facts.ts";

/** How other machines may reach this one. */
export type Reach = "direct" | "punching" | "relay" | "unknown" | "local" | "none";

/** What the facts come to. */
export interface Conclusion {
  readonly reach: Reach;
  /** Whether a transfer will be possible: over the hub where one is set, else on the local network. */
  readonly possible: boolean;
  readonly text: string;
  readonly advice?: string;
}

/** Says how this machine can be reached, and what to do where that is little. */
export function conclude(facts: NetworkFacts): Conclusion {
  const { hub, hubUrl, tcp, udp } = facts;
  const addresses = isUnknown(facts.addresses) ? [] : facts.addresses.filter((ip) => !contains(LOOPBACK, ip));
  if (addresses.length === 0 || isUnknown(tcp) && (udp === "off" || isUnknown(udp))) {
    return {
      reach: "none",
      possible: false,
      text: addresses.length === 0
        ? "this machine is on no network: it can only reach itself"
        : "this machine can open no sockets: nothing can be transferred",
      advice: addresses.length === 0
        ? "Connect it to a network."
        : "Check what forbids this program the network.",
    };
  }
  if (hub !== "none" && isUnknown(hub)) {
    return {
      reach: "local",
      possible: false,
      text: `the hub at ${hubUrl} cannot be reached: only machines on this network, or at a --peer, can be`,
      advice: facts.portal === undefined
        ? "Check the hub's address, the network, and a proxy if one is needed (HTTPS_PROXY)."
        : "Log in to this network in a browser first.",
    };
  }
  const open = addresses.filter((ip) => !contains(NEAR, ip));
  const own = views(facts).filter((view) => natOf(view, addresses) === "none");
  if (
    open.length > 0 && own.some(({ knocked }) => knocked === false) && !own.some(({ knocked }) => knocked)
  ) {
    return {
      reach: "punching",
      possible: true,
      text:
        `this machine has a public address (${
          open.join(" and ")
        }) behind a firewall: others get in over UDP when ` +
        `both dial at once${elseRelay(hub)}`,
      advice: "Open one TCP and UDP port and set it (wormhole config set port N), or rely on dialling out.",
    };
  }
  if (open.length > 0) {
    const guarded = facts.firewalls.length > 0;
    return {
      reach: "direct",
      possible: true,
      text: `others can reach this machine directly, at ${open.join(" and ")}` +
        (guarded ? ", if the firewall lets them" : ", unless a firewall on the way forbids it"),
      ...guarded &&
        {
          advice:
            "Open one TCP and UDP port and set it (wormhole config set port N), or rely on dialling out.",
        },
    };
  }
  if (hub === "none") {
    return {
      reach: "local",
      possible: true,
      text: "machines on this network can reach this one; for others there is no hub to meet at",
      advice: "For other networks set a hub on both machines: wormhole config set signal_server URL",
    };
  }
  const mapped = !isUnknown(facts.portMapping) && facts.portMapping.protocols.length > 0 &&
    facts.portMapping.external !== undefined && !contains(NEAR, facts.portMapping.external);
  const nat = natKind(facts);
  if (mapped || nat === "endpoint-independent") {
    return {
      reach: "punching",
      possible: true,
      text: mapped
        ? "the router forwards ports when asked: others can reach this machine through it"
        : filtering(facts) === "port-independent"
        ? "others can reach this machine through hole punching, whatever router they are behind"
        : `others can reach this machine through hole punching, unless they are behind a symmetric NAT${
          elseRelay(hub)
        }`,
    };
  }
  if (nat === "symmetric" || udp === "off" || isUnknown(udp) || isUnknown(facts.reflection)) {
    return {
      reach: "relay",
      possible: true,
      text: (nat === "symmetric"
        ? "others can be reached directly if they can be dialled, or if their router is not of this kind and lets answers in " +
          "from any port"
        : "others can be reached directly only if they can be reached themselves") + elseRelay(hub),
      advice:
        "For speed let one of the two machines be reachable: forward a port in its router, or send over IPv6.",
    };
  }
  return {
    reach: "unknown",
    possible: true,
    text:
      "this machine is behind a router that translates addresses; it can dial out, and reaches every machine that " +
      "can be reached. Whether others reach it by hole punching cannot be known from here; " +
      (hub.relay
        ? "where they do not, the hub's relay carries what is sent"
        : "this hub has no relay for where they do not"),
    ...!hub.relay && {
      advice:
        "If two such machines do not come together, forward a port in one router: send --port N, recv --peer HOST:N.",
    },
  };
}

function elseRelay(hub: HubFacts | "none"): string {
  if (hub === "none") return "";
  return hub.relay
    ? "; else the hub's relay carries what is sent"
    : "; else not at all: this hub has no relay";
}
