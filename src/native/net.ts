/**
 * Endpoints and connections: one authenticated link to a peer, with a control stream of frames and any number of
 * one-way bulk streams that only native code reads and writes.
 *
 * Thin typed functions over `ffi/src/export/net.rs`; `src/transport/` gives them shape. Contract:
 * `docs/design/contracts.md` §3.
 */
import type { ProxyAddress } from "./proxy.ts";
import type { CallOptions, NativeQueue } from "./queue.ts";

/** What carries a connection. */
export type TransportKind = "memory" | "tcp" | "quic";

/** How QUIC finds out how fast it may send: `cubic` slows down at every loss, `bbr` models the path. */
export type Congestion = "cubic" | "bbr";

/** TCP's congestion control over paths of at least `minRttMs`; elsewhere, and where it is unknown, the system's own. */
export interface LongPaths {
  /** A name of `net.ipv4.tcp_available_congestion_control`, such as `bbr`. */
  readonly algorithm: string;
  /** Whole milliseconds. */
  readonly minRttMs: number;
}

/** Handle of an endpoint: one machine key with its listening sockets. */
export type EndpointHandle = number & { readonly endpoint: unique symbol };

/** Handle of a connection. */
export type ConnectionHandle = number & { readonly connection: unique symbol };

/** Arguments of {@linkcode openEndpoint}. */
export interface EndpointOptions {
  /** 32 bytes: the Ed25519 seed of this machine's key. */
  secretKey: Uint8Array;
  /** Where to listen, `ip:port`, port 0 for any free one; families that the machine lacks are left out. */
  bind?: string[];
  /** Whether to listen for TCP; dialling TCP works either way. */
  tcp?: boolean;
  /** Whether to use QUIC, listening and dialling. */
  quic?: boolean;
  /** What QUIC sends with; `bbr` only where the path is long, `cubic` elsewhere. */
  congestion?: Congestion;
  /** Where a path is long, and what TCP sends with there. */
  longPaths?: LongPaths;
}

/** Result of {@linkcode openEndpoint}. */
export interface Endpoint {
  endpoint: EndpointHandle;
  /** 32 bytes: the Ed25519 public key, which peers know this machine by. */
  publicKey: Uint8Array;
  /** Where TCP listens, `ip:port`. */
  tcp: string[];
  /** Where QUIC listens, `ip:port`. */
  quic: string[];
}

/** Result of {@linkcode accept} and {@linkcode dial}. */
export interface Connected {
  connection: ConnectionHandle;
  kind: TransportKind;
  /** 32 bytes: the key that the peer proved to own. */
  peerKey: Uint8Array;
  /** The peer's `ip:port`, or `relay host:port`. */
  remote: string;
}

/** Arguments of {@linkcode useRelay}. */
export interface RelayOptions {
  /** 16 bytes: what everybody at the relay calls it. */
  id: Uint8Array;
  /** `http(s)://host:port/`. */
  url: string;
  token: string;
  /** UDP port at that host that tells a machine its address. */
  discoveryPort?: number;
  /** SHA-256 (32 bytes) of certificates to believe there besides those of the public authorities. */
  pins: readonly Uint8Array[];
  /** Whether UDP may be used as well, to find a direct path. */
  direct: boolean;
  /** Asks the router for a UDP port (UPnP, NAT-PMP, PCP). */
  portMapping: boolean;
  /** What connects to the relay on this machine's behalf. */
  proxy?: ProxyAddress;
}

/** Where a hub tells machines their address over UDP. */
export interface DiscoveryPlace {
  /** Name or IP literal, without brackets. */
  host: string;
  port: number;
  /** Another port of the same service, for NATs that give every peer another port. */
  otherPort?: number;
  /** SHA-256 (32 bytes) of certificates to believe there. */
  pins: readonly Uint8Array[];
}

/** How one socket of this machine looks from there; RFC 4787. */
export interface View {
  /** The port that it has on this machine. */
  localPort: number;
  /** `ip:port` that its packets come from. */
  seen: string;
  /** The same at the other port; undefined when that did not answer. */
  other?: string;
  /** Whether a packet came in from the other port before anything was sent there; undefined: that cannot be told. */
  knocked?: boolean;
}

/** A key that a machine uses at a relay, for one endpoint only. */
export interface RelayKey {
  /** 16 bytes: the relay. */
  relay: Uint8Array;
  /** 32 bytes, Ed25519. */
  key: Uint8Array;
  /** 64 bytes: the machine key's signature. wire/spec/pairing.md §6. */
  proof: Uint8Array;
}

/** One side of a connection that a hub joins; wire/spec/relay_join.md. */
export interface JoinPlace {
  /** Name or IP literal of the hub, without brackets. */
  host: string;
  port: number;
  /** Opens the relay. */
  token: string;
  /** 32 bytes that both sides have, and nobody else. */
  key: Uint8Array;
  /** What connects there on this machine's behalf. */
  proxy?: ProxyAddress;
}

/** Arguments of {@linkcode dial}. */
export interface DialOptions extends CallOptions {
  kind: TransportKind;
  /** `ip:port` or `[ip]:port`; names are not resolved. */
  address?: string;
  /** In place of an address: dials at the relay of {@linkcode useRelay}, from where a direct path is looked for. */
  relayKey?: RelayKey;
  /** In place of both: has a hub join it to what the other machine meets there; TCP only. */
  join?: JoinPlace;
  /** 32 bytes: the key that the machine there must own. */
  peerKey: Uint8Array;
  timeoutMs: number;
  /** What connects there on this machine's behalf; TCP only. */
  proxy?: ProxyAddress;
}

/** Result of {@linkcode connectionStats}. */
export interface ConnectionStats {
  /** Round trip as the transport estimates it; undefined for memory and where the system does not tell. */
  rttUs?: number;
  /** Payload bytes of control and bulk streams. */
  bytesSent: number;
  bytesReceived: number;
  /** Bytes of bulk streams that were copied from memory to memory here, both directions; over TCP next to none. */
  bytesCopied: number;
  /** The peer's `ip:port` now, which QUIC may change, or `relay host:port`. */
  remote: string;
  /** Whether a hub's relay carries the packets now. */
  relayed: boolean;
  /** QUIC packets lost, TCP segments sent again: those of streams that have ended are not in it. */
  lostPackets?: number;
  /** UDP packets that came, whatever was in them: QUIC's sign of life. */
  packetsReceived?: number;
  /** Bytes that may be under way: of QUIC's path, of all TCP bulk streams that are open. */
  cwndBytes?: number;
  /** Bytes/s that the transport last saw delivered, over the same; not with every congestion control. */
  deliveryRate?: number;
  /** Times that QUIC took a loss for congestion. */
  congestionEvents?: number;
  /** IP address of this end where the link cannot do without it: TCP's. */
  local?: string;
}

/**
 * Opens an endpoint. It takes milliseconds and sends nothing anywhere.
 *
 * @throws {WormholeError} ADDRESS_IN_USE when a given port is taken; INVALID_ARGUMENT for a bad key or address.
 */
export async function openEndpoint(
  queue: NativeQueue,
  {
    secretKey,
    bind = ["0.0.0.0:0", "[::]:0"],
    tcp = true,
    quic = true,
    congestion = "bbr",
    longPaths = { algorithm: "bbr", minRttMs: 5 },
  }: EndpointOptions,
): Promise<Endpoint> {
  const long_paths = { algorithm: longPaths.algorithm, min_rtt_ms: longPaths.minRttMs };
  const { public_key, ...rest } = await queue.call<Omit<Endpoint, "publicKey"> & { public_key: Uint8Array }>(
    "net.endpoint",
    { secret_key: secretKey, bind, tcp, quic, congestion, long_paths },
  );
  return { ...rest, publicKey: public_key };
}

/**
 * Makes `endpoint` reachable at a relay, under a key that is made at the first call, and has it find out its own address
 * there. Resolves before it is there.
 *
 * @throws {WormholeError} INVALID_ARGUMENT for the URL.
 */
export async function useRelay(
  queue: NativeQueue,
  endpoint: EndpointHandle,
  { id, url, token, discoveryPort, pins, direct, portMapping, proxy }: RelayOptions,
): Promise<RelayKey> {
  const rest = {
    discovery_port: discoveryPort ?? null,
    pins,
    direct,
    port_mapping: portMapping,
    ...proxy && { proxy },
  };
  const made = await queue.call<Pick<RelayKey, "key" | "proof">>("net.use_relay", {
    endpoint,
    id,
    url,
    token,
    ...rest,
  });
  return { relay: id, ...made };
}

/**
 * Asks how sockets of this machine look from outside, one of each family of addresses that the host has; none when nothing
 * comes back. It takes 2 s behind most NATs, and up to 7 s where packets are lost.
 *
 * @throws {WormholeError} CONNECT_FAILED when the host's name is not known.
 */
export async function reflect(
  queue: NativeQueue,
  { host, port, otherPort, pins }: DiscoveryPlace,
  options: CallOptions = {},
): Promise<View[]> {
  const { views } = await queue.call<
    { views: { local_port: number; seen: string; other: string | null; knocked: boolean | null }[] }
  >("net.reflect", { host, port, other_port: otherPort ?? null, pins }, options);
  return views.map(({ local_port, seen, other, knocked }) => ({
    localPort: local_port,
    seen,
    ...other !== null && { other },
    ...knocked !== null && { knocked },
  }));
}

/**
 * Goes to the relay of {@linkcode useRelay} anew, under the same key, for a machine that has changed networks; what went over it
 * ends. Nothing happens without a relay.
 */
export async function renewRelay(queue: NativeQueue, endpoint: EndpointHandle): Promise<void> {
  await queue.call("net.renew_relay", { endpoint });
}

/**
 * Lets the machine with `peerKey` (32 bytes) connect to `endpoint` from now on, also at the relay where it has `relayKey`;
 * nobody else gets past the handshake.
 *
 * @throws {WormholeError} PEER_UNAUTHENTICATED when the machine key does not vouch for the other.
 */
export async function allowPeer(
  queue: NativeQueue,
  { endpoint, peerKey, relayKey }: { endpoint: EndpointHandle; peerKey: Uint8Array; relayKey?: RelayKey },
): Promise<void> {
  await queue.call("net.allow", { endpoint, peer_key: peerKey, relay_key: relayKey ?? null });
}

/**
 * Waits for the next connection that an allowed peer makes.
 *
 * @throws {WormholeError} CLOSED when the endpoint is.
 */
export async function accept(
  queue: NativeQueue,
  endpoint: EndpointHandle,
  options: CallOptions = {},
): Promise<Connected> {
  return connected(await queue.call("net.accept", { endpoint }, options));
}

/**
 * Connects to the machine that owns `peerKey`.
 *
 * @throws {WormholeError} CONNECT_FAILED, TIMEOUT, or PEER_UNAUTHENTICATED when either side knows another key.
 */
export async function dial(
  queue: NativeQueue,
  endpoint: EndpointHandle,
  { kind, address, relayKey, join, peerKey, timeoutMs, proxy, signal }: DialOptions,
): Promise<Connected> {
  const place = {
    address: address ?? null,
    relay_key: relayKey ?? null,
    ...join && { join },
    ...proxy && { proxy },
  };
  const args = { endpoint, kind, ...place, peer_key: peerKey, timeout_ms: timeoutMs };
  const orphaned = (result: unknown) => {
    const { connection } = result as Connected;
    // Nobody has it, so how its end goes matters to nobody.
    closeConnection(queue, { connection }).catch(() => {});
  };
  return connected(await queue.call("net.dial", args, { signal, orphaned }));
}

/**
 * Goes to a hub to meet an allowed machine that dials there, and resolves when that was let in: {@linkcode accept} gives it. Further streams
 * of that connection come the same way.
 *
 * @throws {WormholeError} CONNECT_FAILED, TIMEOUT.
 */
export async function meet(
  queue: NativeQueue,
  { endpoint, join, timeoutMs, signal }: CallOptions & {
    endpoint: EndpointHandle;
    join: JoinPlace;
    timeoutMs: number;
  },
): Promise<void> {
  await queue.call("net.meet", { endpoint, join, timeout_ms: timeoutMs }, { signal });
}

/** Makes two connections inside this process that talk to each other. */
export function memoryPair(queue: NativeQueue): Promise<{ a: ConnectionHandle; b: ConnectionHandle }> {
  return queue.call("net.memory_pair", {});
}

/**
 * Queues one control frame of at most 1 MiB; resolves when there is room for more.
 *
 * @throws {WormholeError} LIMIT_EXCEEDED, CONNECTION_LOST; CLOSED when this side closed.
 */
export async function sendFrame(
  queue: NativeQueue,
  { connection, frame }: { connection: ConnectionHandle; frame: Uint8Array },
  options: CallOptions = {},
): Promise<void> {
  await queue.call("net.send", { connection, frame }, options);
}

/**
 * Gives the next control frame, or null when the peer closed cleanly.
 *
 * @throws {WormholeError} CONNECTION_LOST; LIMIT_EXCEEDED when the peer announces too large a frame.
 */
export async function receiveFrame(
  queue: NativeQueue,
  connection: ConnectionHandle,
  options: CallOptions = {},
): Promise<Uint8Array | null> {
  const { frame } = await queue.call<{ frame: Uint8Array | null }>("net.recv", { connection }, options);
  return frame;
}

/**
 * Makes `streams` more bulk streams possible; both sides call it with the same number, at the same time.
 *
 * Over TCP the dialling side connects and the other waits for it; QUIC and memory need nothing.
 *
 * @throws {WormholeError} CONNECT_FAILED, CONNECTION_LOST; LIMIT_EXCEEDED beyond 256 at a time.
 */
export async function openBulk(
  queue: NativeQueue,
  { connection, streams }: { connection: ConnectionHandle; streams: number },
  options: CallOptions = {},
): Promise<void> {
  await queue.call("net.bulk", { connection, streams }, options);
}

/** Gives what the transport knows about the link. */
export async function connectionStats(
  queue: NativeQueue,
  connection: ConnectionHandle,
): Promise<ConnectionStats> {
  const stats = await queue.call<{
    rtt_us: number | null;
    bytes_sent: number;
    bytes_received: number;
    bytes_copied: number;
    remote: string;
    relayed: boolean;
    lost_packets: number | null;
    packets_received: number | null;
    cwnd_bytes: number | null;
    delivery_rate: number | null;
    congestion_events: number | null;
    local: string | null;
  }>("net.stats", { connection });
  return {
    rttUs: stats.rtt_us ?? undefined,
    bytesSent: stats.bytes_sent,
    bytesReceived: stats.bytes_received,
    bytesCopied: stats.bytes_copied,
    remote: stats.remote,
    relayed: stats.relayed,
    lostPackets: stats.lost_packets ?? undefined,
    packetsReceived: stats.packets_received ?? undefined,
    cwndBytes: stats.cwnd_bytes ?? undefined,
    deliveryRate: stats.delivery_rate ?? undefined,
    congestionEvents: stats.congestion_events ?? undefined,
    local: stats.local ?? undefined,
  };
}

/**
 * Closes a connection in both directions and forgets its handle; resolves when the last frames have left, after two
 * seconds at most.
 *
 * @throws {WormholeError} CLOSED when the handle was closed before.
 */
export async function closeConnection(
  queue: NativeQueue,
  { connection, code = 0, reason = "" }: { connection: ConnectionHandle; code?: number; reason?: string },
): Promise<void> {
  await queue.call("net.close", { connection, code, reason });
}

/** Stops listening, closes every connection of `endpoint` and forgets its handle. */
export async function closeEndpoint(queue: NativeQueue, endpoint: EndpointHandle): Promise<void> {
  await queue.call("net.close_endpoint", { endpoint });
}

/** Gives this machine's IP addresses: those that other machines can use first, loopback last. */
export async function ownAddresses(queue: NativeQueue): Promise<string[]> {
  return (await queue.call<{ addresses: string[] }>("net.addresses", {})).addresses;
}

function connected(
  { peer_key, ...rest }: Omit<Connected, "peerKey"> & { peer_key: Uint8Array },
): Connected {
  return { ...rest, peerKey: peer_key };
}
