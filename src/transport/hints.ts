import { isIP } from "node:net";
import { WormholeError } from "../base/errors.ts";
import { hostPort } from "../base/host_port.ts";
import { type Proxies, type Proxy, proxyPlace } from "../config/proxies.ts";

/** Transports that an address can be dialled with. */
export type DirectTransport = "tcp" | "quic";

/** The same, and by way of a hub's relay. */
export type DialTransport = DirectTransport | "relay";

/** One address to try. */
export interface Hint {
  readonly transport: DirectTransport;
  /** IPv4 or IPv6 literal, without brackets or zone; names are never looked up on a peer's word. */
  readonly host: string;
  /** 1 to 65535. */
  readonly port: number;
  /** What connects there on this machine's behalf, with TCP only; a peer never says so. */
  readonly proxy?: Proxy;
}

/** The hub's relay, where the other machine has a key of its own. Never a URL: a peer cannot have us ask any server. */
export interface RelayHint {
  readonly transport: "relay";
  /** 16 bytes, as the hub gives it to everybody: both must be at the same one. */
  readonly relay: Uint8Array;
  /** 32 bytes, Ed25519. */
  readonly key: Uint8Array;
  /** 64 bytes: the signature of the peer's machine key; checked when it is used. */
  readonly proof: Uint8Array;
  /** Present when the machine also comes to the hub to be joined over TCP; wire/spec/relay_join.md. */
  readonly joins?: true;
}

/** Where a machine may be dialled. */
export type DialTarget = Hint | RelayHint;

/** What {@linkcode RelayHint} is called on the wire: "relay" stands in old vectors for a transport that nobody knows. */
const WIRE_RELAY = "hub-relay";

/** Lengths of the fields of a {@linkcode RelayHint}, in bytes. */
const RELAY_HINT = { relay: 16, key: 32, proof: 64 } as const;

/** Cap on a peer's hints; a machine has a handful of addresses, and each hint costs us a dial. */
export const MAX_HINTS = 32;

/** Longest text of an IPv6 address (RFC 4291 §2.2, with an embedded IPv4 one). */
const MAX_HOST_LENGTH = 45;

/**
 * Gives the hints in a peer's decoded list, the relay apart. Hints with an unknown transport are left out, since a newer
 * peer may know more of them.
 *
 * @throws {WormholeError} LIMIT_EXCEEDED for more than {@linkcode MAX_HINTS}; PROTOCOL when one is malformed.
 */
export function parseHints(value: unknown): { hints: Hint[]; relay?: RelayHint } {
  if (!Array.isArray(value)) throw malformed("it is no list");
  if (value.length > MAX_HINTS) {
    throw new WormholeError(
      "LIMIT_EXCEEDED",
      `Cannot use the peer's addresses: it sent ${value.length}, the limit is ${MAX_HINTS}`,
    );
  }
  const targets = value.map(parseHint).filter((hint) => hint !== undefined);
  const hints = targets.filter((target) => target.transport !== "relay");
  const relay = targets.find((target) => target.transport === "relay");
  return {
    hints: [...new Map(hints.map((hint) => [hintText(hint), hint])).values()],
    ...relay && { relay },
  };
}

/** Gives the wire's list, which {@linkcode parseHints} reads: the relay last, in the place of a hint too many. */
export function hintList(hints: readonly Hint[], relay: RelayHint | undefined): object[] {
  const list = hints.map(({ transport, host, port }) => ({ transport, host, port }));
  if (relay === undefined) return list;
  const { key, proof, joins } = relay;
  const hint = { transport: WIRE_RELAY, relay: relay.relay, key, proof, ...joins && { joins } };
  return [...list.slice(0, MAX_HINTS - 1), hint];
}

/** Gives a hint as people read it, such as `quic 192.0.2.1:4433`. */
export function hintText(hint: DialTarget): string {
  if (hint.transport === "relay") return "the hub's relay";
  const direct = `${hint.transport} ${hostPort(hint)}`;
  return hint.proxy ? `${direct} through the proxy at ${proxyPlace(hint.proxy)}` : direct;
}

/** Adds behind `hints` the same again through a proxy, where there is one for it: TCP at public addresses. */
export function addProxied(hints: readonly Hint[], proxies: Proxies): Hint[] {
  const proxied = hints.flatMap((hint): Hint[] => {
    if (hint.transport !== "tcp") return [];
    try {
      const proxy = proxies.for("tcp", hint);
      return proxy ? [{ ...hint, proxy }] : [];
    } catch (error) {
      // A variable that cannot be used is no reason not to connect directly; `doctor` tells of it.
      if (error instanceof WormholeError) return [];
      throw error;
    }
  });
  return [...hints, ...proxied];
}

/**
 * Takes `ip:port` or `[ip]:port` apart.
 *
 * @throws {WormholeError} INVALID_ARGUMENT when it is neither.
 */
export function parseHostPort(text: string): { host: string; port: number } {
  const match = /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  if (host === undefined || !(port <= 65535)) {
    throw new WormholeError("INVALID_ARGUMENT", `Cannot read the address "${text}": it is not host:port`);
  }
  return { host, port };
}

/**
 * Gives the addresses that a peer may reach this machine at: what is bound, with `0.0.0.0` and `::` replaced by
 * the machine's own `addresses`; loopback last, for a peer on this very machine. At most {@linkcode MAX_HINTS}.
 */
export function localHints(
  bound: { readonly tcp: readonly string[]; readonly quic: readonly string[] },
  addresses: readonly string[],
): Hint[] {
  const own = addresses.filter((host) => isIP(host) !== 0 && !isLinkLocalV6(host));
  const hosts = [...own.filter((host) => !isLoopback(host)), "127.0.0.1", "::1"];
  const ports = {
    quic: bound.quic.map(parseHostPort).filter(({ port }) => port > 0),
    tcp: bound.tcp.map(parseHostPort).filter(({ port }) => port > 0),
  };
  const hints = new Map<string, Hint>();
  const add = (hint: Hint) => hints.set(hintText(hint), hint);
  for (const transport of ["quic", "tcp"] as const) {
    for (const { host, port } of ports[transport]) {
      if (!isUnspecified(host)) add({ transport, host, port });
    }
  }
  for (const host of hosts) {
    for (const transport of ["quic", "tcp"] as const) {
      for (const { host: any, port } of ports[transport]) {
        if (isUnspecified(any) && isIP(any) === isIP(host)) add({ transport, host, port });
      }
    }
  }
  return capped([...hints.values()]);
}

/** Puts the addresses that share the longest prefix with one of `own` first (RFC 6724 §5, rule 9); stable. */
export function orderHints(hints: readonly Hint[], own: readonly string[]): Hint[] {
  const ownBits = own.filter((host) => isIP(host) !== 0 && !isLoopback(host)).map(addressBits);
  const score = (host: string) => {
    if (isLoopback(host)) return -1;
    const bits = addressBits(host);
    return Math.max(0, ...ownBits.map((other) => commonPrefix(bits, other) / bits.length));
  };
  const scores = new Map(hints.map((hint) => [hint.host, score(hint.host)]));
  return [...hints].sort((a, b) => scores.get(b.host)! - scores.get(a.host)!);
}

/** Tells whether `host` is an address of this very machine (127.0.0.0/8, ::1). */
export function isLoopback(host: string): boolean {
  return isIP(host) === 4 ? host.startsWith("127.") : addressBits(host) === addressBits("::1");
}

function parseHint(value: unknown): DialTarget | undefined {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw malformed("one is no map");
  const field = (name: string) =>
    value instanceof Map ? value.get(name) : (value as Record<string, unknown>)[name];
  const transport = field("transport"), host = field("host"), port = field("port");
  if (typeof transport !== "string" || transport.length > 32) throw malformed("one has no transport");
  if (transport === WIRE_RELAY) {
    const bytes = (name: keyof typeof RELAY_HINT) => {
      const value = field(name);
      if (value instanceof Uint8Array && value.length === RELAY_HINT[name]) return value;
      throw malformed(`one of a relay has no ${name}`);
    };
    return {
      transport: "relay",
      relay: bytes("relay"),
      key: bytes("key"),
      proof: bytes("proof"),
      // Of a newer version it may be something else.
      ...field("joins") === true && { joins: true },
    };
  }
  if (transport !== "tcp" && transport !== "quic") return undefined;
  if (typeof host !== "string" || host.length > MAX_HOST_LENGTH || host.includes("%") || isIP(host) === 0) {
    throw malformed("one has no IP address");
  }
  if (isUnspecified(host) || isMulticast(host)) throw malformed("one is not the address of a machine");
  if (typeof port !== "number" || !Number.isInteger(port) || port < 1 || port > 65535) {
    throw malformed("one has no port");
  }
  return { transport, host, port };
}

function malformed(state: string): WormholeError {
  return new WormholeError("PROTOCOL", `Cannot use the peer's addresses: ${state}`);
}

/** Keeps at most {@linkcode MAX_HINTS}, and of a long list still its last ones, which are loopback. */
function capped(hints: Hint[]): Hint[] {
  if (hints.length <= MAX_HINTS) return hints;
  const local = hints.filter((hint) => isLoopback(hint.host));
  return [...hints.filter((hint) => !isLoopback(hint.host)).slice(0, MAX_HINTS - local.length), ...local]
    .slice(0, MAX_HINTS);
}

function isUnspecified(host: string): boolean {
  return /^0*$/.test(addressBits(host));
}

function isMulticast(host: string): boolean {
  const bits = addressBits(host);
  return host === "255.255.255.255" || bits.startsWith(bits.length === 32 ? "1110" : "11111111");
}

/** fe80::/10 means nothing without the zone, which is this machine's own affair. */
function isLinkLocalV6(host: string): boolean {
  return isIP(host) === 6 && (host.includes("%") || addressBits(host).startsWith("1111111010"));
}

function commonPrefix(a: string, b: string): number {
  if (a.length !== b.length) return 0;
  let at = 0;
  while (at < a.length && a[at] === b[at]) at++;
  return at;
}

/** Gives an IP literal's 32 or 128 bits as "0" and "1"; `host` has passed `isIP`. */
function addressBits(host: string): string {
  if (isIP(host) === 4) return host.split(".").map((part) => bits(Number(part), 8)).join("");
  const dotted = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(host);
  const text = dotted
    ? dotted[1]! +
      [[2, 3], [4, 5]].map(([high, low]) => (Number(dotted[high!]) * 256 + Number(dotted[low!])).toString(16))
        .join(":")
    : host;
  const [head = "", tail] = text.split("::");
  const before = head === "" ? [] : head.split(":");
  const after = tail === undefined || tail === "" ? [] : tail.split(":");
  const zeros = Array<string>(8 - before.length - after.length).fill("0");
  return [...before, ...zeros, ...after].map((group) => bits(parseInt(group, 16), 16)).join("");
}

function bits(value: number, width: number): string {
  return value.toString(2).padStart(width, "0");
}
