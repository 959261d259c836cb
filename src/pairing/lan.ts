import { announce, browse, nextNeighbour, stopBrowsing, withdraw } from "../native/mdns.ts";
import type { NativeQueue } from "../native/queue.ts";

/** DNS-SD service type of a sender's mailbox (RFC 6763 §7); spec/pairing.md §5. */
const SERVICE = "_wormhole._tcp.local.";

/** Most addresses of one sender that are tried. */
const MAX_ADDRESSES = 16;

const NAMEPLATE = /^[1-9]\d{0,8}$/;
const TAG = /^[0-9a-f]{32}$/;

/** By what a sender is found: the number of its code, or a hash that only a machine that knows it recognises. */
export type LanSign = { readonly nameplate: string } | { readonly tag: string };

/** What a sender tells this network: no name, nothing about what is sent. */
export type Announcement = LanSign & {
  /** TCP port of the sender's mailbox. */
  readonly port: number;
};

/** A sender seen on this network. */
export interface LanSender {
  /** Differs between senders. */
  instance: string;
  sign: LanSign;
  port: number;
  /** IP addresses, without those that only work with a zone. */
  addresses: string[];
}

/** Makes senders known on the local network, and finds them. */
export interface LanDiscovery {
  /** Announces until disposed. @throws {WormholeError} IO when this machine has no network for it. */
  announce(announcement: Announcement): Promise<AsyncDisposable>;
  /** Gives senders as they are seen, the same one perhaps again, until `signal` aborts (the iteration then ends). */
  browse(options: { signal: AbortSignal }): AsyncIterable<LanSender>;
}

/** Makes discovery by mDNS through the native library. */
export function nativeLanDiscovery(queue: NativeQueue): LanDiscovery {
  return {
    async announce({ port, ...sign }) {
      const instance = `wormhole-${crypto.getRandomValues(new Uint8Array(6)).toHex()}`;
      const announcement = await announce(queue, { service: SERVICE, instance, port, txt: sign });
      return { [Symbol.asyncDispose]: () => withdraw(queue, announcement) };
    },
    async *browse({ signal }) {
      const browser = await browse(queue, SERVICE);
      try {
        while (!signal.aborted) {
          const sender = parseSender(await nextNeighbour(queue, browser, { signal }));
          if (sender !== undefined) yield sender;
        }
      } catch (error) {
        if (!signal.aborted) throw error;
      } finally {
        await stopBrowsing(queue, browser);
      }
    },
  };
}

/** Checks what some machine on the network announced; undefined when it is no sender of ours. */
export function parseSender(value: unknown): LanSender | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const { instance, port, addresses, txt } = value as Record<string, unknown>;
  const sign = parseSign(txt);
  if (typeof instance !== "string" || sign === undefined) return undefined;
  if (typeof port !== "number" || !Number.isInteger(port) || port < 1 || port > 65535) return undefined;
  if (!Array.isArray(addresses)) return undefined;
  const usable = addresses.filter((each): each is string =>
    typeof each === "string" && /^[0-9a-fA-F:.]{2,45}$/.test(each) && !/^fe[89ab]/i.test(each)
  );
  if (usable.length === 0) return undefined;
  return { instance, sign, port, addresses: usable.slice(0, MAX_ADDRESSES) };
}

function parseSign(txt: unknown): LanSign | undefined {
  if (typeof txt !== "object" || txt === null) return undefined;
  const text = (key: string, pattern: RegExp) => {
    const value = Object.hasOwn(txt, key) ? (txt as Record<string, unknown>)[key] : undefined;
    return typeof value === "string" && pattern.test(value) ? value : undefined;
  };
  const nameplate = text("nameplate", NAMEPLATE);
  if (nameplate !== undefined) return { nameplate };
  const tag = text("tag", TAG);
  return tag === undefined ? undefined : { tag };
}
