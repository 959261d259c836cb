/** What a hub says of its relay in its `welcome`. wire/spec/mailbox.md §7. */
import { bareHost } from "../base/host_port.ts";

/** A relay that a hub lets its clients use. */
export interface RelayOffer {
  /** 16 bytes: by it two machines see that they are at the same relay, whatever names they have for it. */
  readonly id: Uint8Array;
  /** `http(s)://host:port/`. */
  readonly url: string;
  /** Opens the relay. */
  readonly token: string;
  /** UDP port at the same host that tells a machine its address. */
  readonly discoveryPort?: number;
  /** A second one there, which sees the machine from another place. */
  readonly otherDiscoveryPort?: number;
  /** SHA-256 (32 bytes) of certificates to believe there. */
  readonly pins: readonly Uint8Array[];
  /** Where the hub joins TCP connections of two machines, if it does; wire/spec/relay_join.md. */
  readonly joins?: { readonly host: string; readonly port: number };
}

/** Longest token and URL that are taken. */
const MAX_TOKEN = 256;
const MAX_URL = 512;

/** Most certificates that are taken: the relay's and that of address discovery, and their next ones. */
const MAX_PINS = 8;

/**
 * Reads the offer of the hub at `hub`; undefined when there is none, or none that this program understands: without a relay
 * everything else works.
 */
export function parseRelayOffer(value: unknown, hub: URL): RelayOffer | undefined {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
  const { id, token, url, port, discovery_port, other_discovery_port, certificates = [], joins } =
    value as Record<
      string,
      unknown
    >;
  if (typeof id !== "string" || !/^[0-9a-f]{32}$/.test(id)) return undefined;
  if (typeof token !== "string" || token.length > MAX_TOKEN || !/^[\x21-\x7e]+$/.test(token)) {
    return undefined;
  }
  if (discovery_port !== undefined && !isPort(discovery_port)) return undefined;
  if (other_discovery_port !== undefined && !isPort(other_discovery_port)) return undefined;
  if (!Array.isArray(certificates) || certificates.length > MAX_PINS) return undefined;
  if (!certificates.every((each) => typeof each === "string" && /^[0-9a-f]{64}$/.test(each))) {
    return undefined;
  }
  const place = url === undefined ? besideHub(hub, port) : ownPlace(url);
  if (place === undefined) return undefined;
  return {
    id: Uint8Array.fromHex(id),
    url: place,
    token,
    ...discovery_port !== undefined && { discoveryPort: discovery_port },
    ...other_discovery_port !== undefined && { otherDiscoveryPort: other_discovery_port },
    pins: certificates.map((each) => Uint8Array.fromHex(each)),
    // What is joined is sealed anyway; inside of another TLS its bytes could not be passed on in the kernel.
    ...joins === true && hub.protocol === "ws:" && { joins: hubPlace(hub) },
  };
}

function hubPlace({ hostname, port }: URL): { host: string; port: number } {
  return { host: bareHost(hostname), port: port === "" ? 80 : Number(port) };
}

/** The relay is at the hub's own host: on the hub's own port, or on another one. */
function besideHub(hub: URL, port: unknown): string | undefined {
  if (port !== undefined && !isPort(port)) return undefined;
  const url = new URL("/", hub);
  // A WebSocket's scheme cannot be changed to the other kind in place.
  const scheme = hub.protocol === "wss:" ? "https" : "http";
  const host = port === undefined ? url.host : `${url.hostname}:${port}`;
  return `${scheme}://${host}/`;
}

function ownPlace(url: unknown): string | undefined {
  if (typeof url !== "string" || url.length > MAX_URL || !URL.canParse(url)) return undefined;
  const { protocol, origin } = new URL(url);
  return protocol === "http:" || protocol === "https:" ? `${origin}/` : undefined;
}

function isPort(value: unknown): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= 1 && value <= 65535;
}
