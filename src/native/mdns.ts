/**
 * Finding each other on the local network (DNS-SD over multicast DNS), loopback included.
 *
 * Thin typed functions over `ffi/src/export/mdns.rs`. What is found is hearsay until a handshake proves a key; its
 * sizes are bounded natively, its characters are not: never print it as it is.
 */
import type { CallOptions, NativeQueue } from "./queue.ts";

/** Handle of something that this machine offers. */
export type AnnouncementHandle = number & { readonly announcement: unique symbol };

/** Handle of a search. */
export type BrowserHandle = number & { readonly browser: unique symbol };

/** Arguments of {@linkcode announce}. */
export interface AnnounceOptions {
  /** Like `_wormhole._tcp.local.`. */
  service: string;
  /** Name of 1 to 63 bytes. */
  instance: string;
  port: number;
  /** IP addresses; all that the machine has when left out. */
  addresses?: string[];
  /** Each key and value together at most 254 bytes. */
  txt?: Record<string, string>;
}

/** One neighbour, in its own words. */
export interface Neighbour {
  instance: string;
  host: string;
  port: number;
  /** IPv4 first, loopback last. */
  addresses: string[];
  txt: Record<string, string>;
}

/**
 * Offers a service until {@linkcode withdraw}.
 *
 * @throws {WormholeError} INVALID_ARGUMENT; IO when the machine has no multicast socket to give.
 */
export async function announce(queue: NativeQueue, options: AnnounceOptions): Promise<AnnouncementHandle> {
  const { service, instance, port, addresses = [], txt = {} } = options;
  const args = { service, instance, port, addresses, txt };
  return (await queue.call<{ announcement: AnnouncementHandle }>("mdns.announce", args)).announcement;
}

/** Says good-bye to the neighbours and forgets the handle. */
export async function withdraw(queue: NativeQueue, announcement: AnnouncementHandle): Promise<void> {
  await queue.call("mdns.withdraw", { announcement });
}

/**
 * Searches for `service` (like `_wormhole._tcp.local.`) until {@linkcode stopBrowsing}.
 *
 * @throws {WormholeError} INVALID_ARGUMENT; IO when the machine has no multicast socket to give.
 */
export async function browse(queue: NativeQueue, service: string): Promise<BrowserHandle> {
  return (await queue.call<{ browser: BrowserHandle }>("mdns.browse", { service })).browser;
}

/**
 * Waits for the next neighbour; the same one comes again when it changes.
 *
 * @throws {WormholeError} CLOSED when the search is stopped.
 */
export function nextNeighbour(
  queue: NativeQueue,
  browser: BrowserHandle,
  options: CallOptions = {},
): Promise<Neighbour> {
  return queue.call("mdns.next", { browser }, options);
}

/** Ends a search and a waiting {@linkcode nextNeighbour}, and forgets the handle. */
export async function stopBrowsing(queue: NativeQueue, browser: BrowserHandle): Promise<void> {
  await queue.call("mdns.stop", { browser });
}
