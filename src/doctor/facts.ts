/** What the probes of `wormhole doctor --network` found out. */
import { hostOf } from "../base/host_port.ts";
import { isIPv6 } from "node:net";
import { subnets } from "../config/subnets.ts";

/** Something that could not be found out, and why. */
export interface Unknown {
  readonly unknown: string;
}

/** What came of talking to the hub. */
export interface HubFacts {
  /** From the first packet to the hub's welcome, in ms. */
  readonly connectMs: number;
  /** Once there and back afterwards, in ms; undefined: the hub does not answer that. */
  readonly rttMs?: number;
  /** The hub's clock less this machine's, in ms, to half a round trip; undefined: the hub does not tell its time. */
  readonly skewMs?: number;
  /** Whether it offers a relay for machines that cannot reach each other. */
  readonly relay: boolean;
  /** Where it tells machines the address that it sees them at. */
  readonly discovery?: DiscoveryFacts;
  /** `host:port` of the proxy that it went through. */
  readonly proxy?: string;
}

/** What the router answered when asked whether it forwards ports. */
export interface PortMappingFacts {
  /** `UPnP`, `NAT-PMP`, `PCP`: those that answered. */
  readonly protocols: readonly string[];
  /** The router's own address outside, where it told. */
  readonly external?: string;
}

/** Where a hub tells machines their address, over UDP. */
export interface DiscoveryFacts {
  /** Name or IP literal, without brackets. */
  readonly host: string;
  readonly port: number;
  /** A second port, which sees the same machine from another place. */
  readonly otherPort?: number;
  /** SHA-256 (32 bytes) of certificates to believe there. */
  readonly pins: readonly Uint8Array[];
}

/** How one socket of this machine looks from the hub, over UDP. */
export interface View {
  /** The port that it has on this machine. */
  readonly localPort: number;
  /** `ip:port` that its packets come from. */
  readonly seen: string;
  /** The same as a second port of the hub sees it; undefined: that one did not answer, or the hub has none. */
  readonly other?: string;
  /** Whether a packet of the second port came in before anything was sent there; undefined: that cannot be told. */
  readonly knocked?: boolean;
}

/** Everything that was looked at. */
export interface NetworkFacts {
  /** IP addresses, loopback among them. */
  readonly addresses: readonly string[] | Unknown;
  /** `ip:port` at which a socket could be opened. */
  readonly tcp: string | Unknown;
  readonly udp: string | Unknown | "off";
  /** "none": no hub is set. */
  readonly hub: HubFacts | Unknown | "none";
  readonly hubUrl: string;
  /** For each version of IP that reaches the hub, 4 first; at least one. "none": the hub does not tell addresses. */
  readonly reflection: readonly View[] | Unknown | "none";
  /** What answers in the hub's place where that is not to be reached. */
  readonly portal?: string;
  readonly portMapping: PortMappingFacts | Unknown;
  /** Whether this machine hears its own announcement. */
  readonly multicast: boolean | Unknown;
  readonly proxies: readonly {
    readonly variable: string;
    readonly place?: string;
    readonly state?: string;
  }[];
  /** Firewalls that are switched on here, by name. */
  readonly firewalls: readonly string[];
}

/** This machine itself. */
export const LOOPBACK = subnets("127.0.0.0/8", "::1/128");
/** What providers share out to several customers. */
export const SHARED = subnets("100.64.0.0/10");

/**
 * What a NAT does with ports: `endpoint-independent`: a socket has one public port for every peer; `symmetric`: another one for each;
 * `none`: nothing is translated.
 */
export type NatKind = "none" | "endpoint-independent" | "symmetric" | "unknown";

/** What a NAT or firewall lets in of those that nothing was sent to. */
export type Filtering =
  /** Other ports of an address that was sent to, perhaps everybody. */
  | "port-independent"
  /** Nobody. */
  | "port-dependent"
  | "unknown";

/** What the NAT between this machine and the hub does, as far as the hub could see: that of IPv4 where that gets there. */
export function natKind({ addresses, reflection }: Pick<NetworkFacts, "addresses" | "reflection">): NatKind {
  const [view] = views({ reflection });
  return view === undefined ? "unknown" : natOf(view, isUnknown(addresses) ? [] : addresses);
}

/** What the same NAT lets in. */
export function filtering({ reflection }: Pick<NetworkFacts, "reflection">): Filtering {
  const [view] = views({ reflection });
  if (view?.knocked === undefined) return "unknown";
  return view.knocked ? "port-independent" : "port-dependent";
}

/** What a view says of the NAT; `own`: this machine's addresses. */
export function natOf({ seen, other }: View, own: readonly string[]): NatKind {
  if (own.includes(hostOf(seen)) && (other === undefined || other === seen)) return "none";
  if (other === undefined) return "unknown";
  return other === seen ? "endpoint-independent" : "symmetric";
}

/** Gives the views that there are. */
export function views({ reflection }: Pick<NetworkFacts, "reflection">): readonly View[] {
  return reflection === "none" || isUnknown(reflection) ? [] : reflection;
}

/** The version of IP that a view is of. */
export function familyOf({ seen }: View): 4 | 6 {
  return isIPv6(hostOf(seen)) ? 6 : 4;
}

/** Tells whether something could not be found out. */
export function isUnknown(fact: unknown): fact is Unknown {
  return typeof fact === "object" && fact !== null && "unknown" in fact;
}
