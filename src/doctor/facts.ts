/** What the probes of `wormhole doctor --network` found out. */
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

/** How this machine looks from the hub, over UDP. */
export interface ReflectionFacts {
  /** `ip:port` of one socket as each of the hub's addresses sees it. */
  readonly seen: readonly string[];
  /** The port that the socket has on this machine. */
  readonly localPort: number;
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
  /** "none": the hub does not tell addresses. */
  readonly reflection: ReflectionFacts | Unknown | "none";
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

/** What the NAT does with ports, as far as the hub could see. */
export function natKind(
  { addresses, reflection }: Pick<NetworkFacts, "addresses" | "reflection">,
): "none" | "endpoint-independent" | "symmetric" | "unknown" {
  if (reflection === "none" || isUnknown(reflection) || reflection.seen.length === 0) return "unknown";
  const seen = new Set(reflection.seen);
  const own = isUnknown(addresses) ? [] : addresses;
  if ([...seen].every((each) => own.includes(hostOf(each)))) return "none";
  if (seen.size > 1) return "symmetric";
  return reflection.seen.length > 1 ? "endpoint-independent" : "unknown";
}

/** Tells whether something could not be found out. */
export function isUnknown(fact: unknown): fact is Unknown {
  return typeof fact === "object" && fact !== null && "unknown" in fact;
}

/** The host of `host:port` or `[v6]:port`. */
export function hostOf(address: string): string {
  return address.replace(/:\d+$/, "").replace(/^\[(.*)\]$/, "$1");
}
