/**
 * A transit relay: joins two magic-wormhole clients and carries their bytes without giving them to TypeScript.
 *
 * Thin typed functions over `ffi/src/export/transit_relay.rs`. `src/hub/transit.ts` decides.
 */
import type { NativeQueue } from "./queue.ts";

/** Handle of a running relay. */
export type RelayHandle = number & { readonly relay: unique symbol };

/** What one relay lets its clients use. */
export interface RelayLimits {
  /** Open connections. */
  readonly connections: number;
  /** The same from one address (an IPv6 /64). */
  readonly connectionsPerAddress: number;
  /** New connections of one address at once… */
  readonly connectionBurst: number;
  /** …and per minute after that. */
  readonly connectionsPerMinute: number;
  /** Sides whose other side has not come. */
  readonly waiting: number;
  /** Time for a client's first line. */
  readonly handshakeMs: number;
  /** Time for the other side to come. */
  readonly waitMs: number;
  /** How long two that are joined may say nothing. */
  readonly idleMs: number;
}

/** What goes on at a relay, and what has been. */
export interface RelayCounts {
  readonly connections: number;
  readonly waiting: number;
  /** Pairs that are joined now. */
  readonly pairs: number;
  /** Pairs that ever were. */
  readonly joined: number;
  /** Bytes carried, both directions together. */
  readonly bytes: number;
  /** Counts by reason; every reason is there. */
  readonly refused: readonly (readonly [reason: string, count: number])[];
}

/**
 * Listens and relays from now on; port 0 takes a free one. `addresses`: `ip:port` each, all with one port.
 *
 * @throws {WormholeError} ADDRESS_IN_USE, PERMISSION_DENIED or IO when it cannot listen, INVALID_ARGUMENT for `host`.
 */
export async function startRelay(
  queue: NativeQueue,
  { host, port, limits }: { host: string | undefined; port: number; limits: RelayLimits },
): Promise<{ relay: RelayHandle; addresses: string[] }> {
  return await queue.call("transit_relay.start", {
    ...host !== undefined && { host },
    port,
    limits: relayLimits(limits),
  });
}

/** Gives limits as the native library reads them. */
export function relayLimits(limits: RelayLimits): object {
  return {
    connections: limits.connections,
    connections_per_address: limits.connectionsPerAddress,
    connection_burst: limits.connectionBurst,
    connections_per_minute: limits.connectionsPerMinute,
    waiting: limits.waiting,
    handshake_ms: limits.handshakeMs,
    wait_ms: limits.waitMs,
    idle_ms: limits.idleMs,
  };
}

/** Says what is going on. */
export async function relayCounts(queue: NativeQueue, relay: RelayHandle): Promise<RelayCounts> {
  return await queue.call<RelayCounts>("transit_relay.counts", { relay });
}

/** Lets nobody in any more but the other side of somebody who waits. */
export async function drainRelay(queue: NativeQueue, relay: RelayHandle): Promise<void> {
  await queue.call("transit_relay.drain", { relay });
}

/** Hangs up on everybody. */
export async function closeRelay(queue: NativeQueue, relay: RelayHandle): Promise<void> {
  await queue.call("transit_relay.close", { relay });
}
