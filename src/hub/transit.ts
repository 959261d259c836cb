import { bareHost } from "../base/host_port.ts";
import {
  closeRelay,
  drainRelay,
  type RelayCounts,
  relayCounts,
  type RelayHandle,
  type RelayLimits,
  startRelay,
} from "../native/transit_relay.ts";
import { NativeQueue } from "../native/queue.ts";
import { parseListen } from "./listen.ts";

/** Where the relay is, as clients are told; without `hostname`: where the hub is. */
export interface TransitPlace {
  readonly hostname?: string;
  readonly port: number;
}

/** Limits of a relay for the public; why each: docs/hub.md. */
export const TRANSIT_LIMITS: RelayLimits = Object.freeze({
  // A pair costs two sockets and two pipes of two descriptors each: within the 32,768 of packaging/.
  connections: 2_000,
  connectionsPerAddress: 64,
  connectionBurst: 256,
  connectionsPerMinute: 240,
  waiting: 1_000,
  handshakeMs: 10_000,
  // Some clients come to the relay before the other person has said yes; a code lives as long.
  waitMs: 60 * 60_000,
  // A receiver that unpacks a large folder says nothing.
  idleMs: 60 * 60_000,
});

/** Threads that carry bytes: one pair never needs more than one, and many fill these. */
const THREADS = 4;

/** Options of {@linkcode TransitRelay.open}. */
export interface TransitOptions {
  /** Where to listen, as the hub's own `listen`. */
  readonly listen: string;
  /** Where clients find it, as `host:port`; left out: the hub's own name with the port that it listens on. */
  readonly announce?: string;
  /** Other limits than those of a public relay. */
  readonly limits?: Partial<RelayLimits>;
}

/** The hub's relay for magic-wormhole clients that cannot reach each other; it sees sealed bytes only. */
export class TransitRelay implements AsyncDisposable {
  readonly #queue: NativeQueue;
  readonly #relay: RelayHandle;
  /** `ip:port` each. */
  readonly addresses: readonly string[];
  /** What clients are told. */
  readonly place: TransitPlace;

  private constructor(
    queue: NativeQueue,
    { relay, addresses, place }: { relay: RelayHandle; addresses: string[]; place: TransitPlace },
  ) {
    this.#queue = queue;
    this.#relay = relay;
    this.addresses = addresses;
    this.place = place;
  }

  /**
   * Listens and relays from now on.
   *
   * @throws {WormholeError} INVALID_ARGUMENT for `listen`, ADDRESS_IN_USE, PERMISSION_DENIED or IO when it cannot
   * listen, NATIVE_LIBRARY.
   */
  static async open({ listen, announce, limits }: TransitOptions): Promise<TransitRelay> {
    const { hostname: host, port } = parseListen(listen);
    const queue = NativeQueue.open({ threads: THREADS });
    try {
      const started = await startRelay(queue, { host, port, limits: { ...TRANSIT_LIMITS, ...limits } });
      return new TransitRelay(queue, {
        ...started,
        place: placeOf(announce ?? started.addresses[0]!, announce),
      });
    } catch (error) {
      await queue.close();
      throw error;
    }
  }

  counts(): Promise<RelayCounts> {
    return relayCounts(this.#queue, this.#relay);
  }

  /** Lets nobody in any more but those whom somebody waits for; what is under way goes on. */
  drain(): Promise<void> {
    return drainRelay(this.#queue, this.#relay);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await closeRelay(this.#queue, this.#relay);
    await this.#queue.close();
  }
}

/** Reads `host:port`; the host is only told where somebody has said that clients can use it. */
function placeOf(place: string, announce: string | undefined): TransitPlace {
  const [, host, port] = /^(.*):(\d+)$/.exec(place)!;
  const hostname = bareHost(host!);
  return { port: Number(port), ...announce !== undefined && { hostname } };
}
