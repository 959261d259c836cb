/**
 * The relay of a hub: forwards sealed packets between machines that cannot reach each other, and tells machines their
 * address. It decides by tokens whom it serves; it sees nothing of a packet but whom it is for.
 *
 * Thin typed functions over `ffi/src/export/relay.rs`.
 */
import type { NativeQueue } from "./queue.ts";
import { type RelayCounts, type RelayLimits, relayLimits } from "./transit_relay.ts";

/** Handle of a relay. */
export type RelayHandle = number & { readonly relay: unique symbol };

/** A certificate chain and its key, both as PEM. */
export interface RelayTls {
  cert: string;
  key: string;
}

/** Arguments of {@linkcode openRelay}. */
export interface RelayServerOptions {
  /** Where WebSockets are taken, `ip:port`. */
  listen: string[];
  tls?: RelayTls;
  /** Where addresses are told (UDP), `ip:port`. */
  discovery?: string;
  /** 32 bytes: what the tokens are made with. */
  secret: Uint8Array;
  maxClients: number;
  /** What one client may send; without it as much as it likes. */
  clientBytesPerSecond?: number;
  /** What connections that are joined may use. */
  joins: Omit<RelayLimits, "handshakeMs">;
}

/** Result of {@linkcode openRelay}. */
export interface Relay {
  relay: RelayHandle;
  /** `ip:port` each. */
  addresses: string[];
  /** `pin`: SHA-256 of the certificate there, which is made anew at every start; `otherPort`: a second one, if there is any. */
  discovery?: { address: string; otherPort?: number; pin: Uint8Array };
}

/** What a relay has done since it began. */
export interface RelaySeen {
  /** Connections that are there. */
  clients: number;
  clientsTotal: number;
  refusedTotal: number;
  bytesIn: number;
  bytesOut: number;
  /** For machines that are not there, or do not take what is for them. */
  packetsDropped: number;
  /** Connections that sent more than they may. */
  limitedTotal: number;
  /** Machines that are being told their address. */
  discoveries: number;
  discoveriesRefused: number;
  /** Connections that came to be joined. */
  joined: RelayCounts;
}

/**
 * Opens a relay.
 *
 * @throws {WormholeError} ADDRESS_IN_USE; CONFIG_INVALID for the certificate.
 */
export async function openRelay(queue: NativeQueue, options: RelayServerOptions): Promise<Relay> {
  const { listen, tls, discovery, secret, maxClients, clientBytesPerSecond, joins } = options;
  const opened = await queue.call<
    Omit<Relay, "discovery"> & {
      discovery: { address: string; other_port: number | null; pin: Uint8Array } | null;
    }
  >(
    "relay.open",
    {
      listen,
      tls: tls ?? null,
      discovery: discovery ?? null,
      secret,
      max_clients: maxClients,
      client_bytes_per_second: clientBytesPerSecond ?? null,
      // Whoever comes to be joined has said so already.
      joins: relayLimits({ ...joins, handshakeMs: 0 }),
    },
  );
  if (opened.discovery === null) return { ...opened, discovery: undefined };
  const { address, other_port, pin } = opened.discovery;
  return { ...opened, discovery: { address, pin, ...other_port !== null && { otherPort: other_port } } };
}

/** Gives a token that opens the relay for a week. */
export async function relayToken(queue: NativeQueue, relay: RelayHandle): Promise<string> {
  return (await queue.call<{ token: string }>("relay.token", { relay })).token;
}

/** Takes new connections with another certificate. @throws {WormholeError} CONFIG_INVALID; the old one stays then. */
export async function renewRelay(queue: NativeQueue, relay: RelayHandle, tls: RelayTls): Promise<void> {
  await queue.call("relay.renew", { relay, tls });
}

/** Gives what the relay has done. */
export async function relaySeen(queue: NativeQueue, relay: RelayHandle): Promise<RelaySeen> {
  const { joined, ...seen } = await queue.call<Record<string, number> & { joined: RelayCounts }>(
    "relay.seen",
    { relay },
  );
  return {
    clients: seen.clients!,
    clientsTotal: seen.clients_total!,
    refusedTotal: seen.refused_total!,
    bytesIn: seen.bytes_in!,
    bytesOut: seen.bytes_out!,
    packetsDropped: seen.packets_dropped!,
    limitedTotal: seen.limited_total!,
    discoveries: seen.discoveries!,
    discoveriesRefused: seen.discoveries_refused!,
    joined,
  };
}

/**
 * Carries a connection of this process, named by its ends (`ip:port`), to the relay in the kernel until it is over; `first` was
 * read of it already. Its holder keeps it open and reads no more of it.
 *
 * @throws {WormholeError} UNSUPPORTED, at once, where this system does not let it be found.
 */
export async function takeOver(
  queue: NativeQueue,
  relay: RelayHandle,
  connection: { local: string; remote: string; first: Uint8Array },
): Promise<void> {
  await queue.call("relay.take_over", { relay, ...connection });
}

/** What a connection that is to be joined asks for; wire/spec/relay_join.md. */
export interface JoinRequest {
  /** What opens the relay. */
  readonly token: string;
  /** 64 hex digits that both sides say. */
  readonly key: string;
  readonly side: 0 | 1;
}

/**
 * Joins a connection of this process, named as in {@linkcode takeOver}, to the other side of what it asks for, in the kernel, until it is
 * over; gives why it was not joined, after which its holder may still answer. `from`: what it counts as for limits.
 *
 * @throws {WormholeError} UNSUPPORTED, at once, where this system does not let it be found.
 */
export async function joinConnection(
  queue: NativeQueue,
  relay: RelayHandle,
  connection: JoinRequest & { local: string; remote: string; from: string },
): Promise<string | undefined> {
  const { refused } = await queue.call<{ refused: string | null }>("relay.join", { relay, ...connection });
  return refused ?? undefined;
}

/** Ends the relay and its connections. */
export async function closeRelay(queue: NativeQueue, relay: RelayHandle): Promise<void> {
  await queue.call("relay.close", { relay });
}
