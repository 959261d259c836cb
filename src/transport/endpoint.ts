import { isIP } from "node:net";
import { WormholeError } from "../base/errors.ts";
import { hostPort } from "../base/host_port.ts";
import { processProxies, type Proxy } from "../config/proxies.ts";
import {
  accept,
  allowPeer,
  closeEndpoint,
  dial,
  type Endpoint as NativeEndpoint,
  type JoinPlace,
  meet,
  openEndpoint,
  ownAddresses,
  type RelayKey,
  type RelayOptions,
  renewRelay,
  useRelay,
} from "../native/net.ts";
import type { NativeQueue } from "../native/queue.ts";
import { abortable } from "./abortable.ts";
import { CONGESTION, LONG_PATHS } from "./chooser.ts";
import type { Link } from "./connection.ts";
import {
  type DialTarget,
  type DialTransport,
  type Hint,
  hintText,
  isLoopback,
  localHints,
  type RelayHint,
} from "./hints.ts";
import { NativeLink } from "./native_link.ts";

/** Longest that one dial may take; the first packets of a handshake over a bad mobile link need several s. */
const DIAL_TIMEOUT_MS = 15_000;

/** What {@linkcode Endpoint.open} needs. */
export interface EndpointOptions {
  /** 32 bytes, the machine key's Ed25519 seed. */
  readonly seed: Uint8Array;
  /** Which transports to listen on and dial. */
  readonly transports: readonly DialTransport[];
  /** Port to listen on; 0 takes any free one. */
  readonly port?: number;
  /** Asks the router for a UDP port once there is a relay. */
  readonly portMapping?: boolean;
  readonly signal?: AbortSignal;
}

/** How long a machine waits at a hub for the other one to be joined to. */
const MEET_TIMEOUT_MS = 20_000;

/** Where a relay is, as a hub says. */
export type RelayPlace = Omit<RelayOptions, "direct" | "portMapping" | "proxy"> & {
  /** Where the hub joins connections, if it does. */
  readonly joins?: { readonly host: string; readonly port: number };
};

/**
 * This machine's own end of all links: listens for TCP and QUIC under the machine's key, lets in only the
 * keys that were allowed, and dials. Closing it ends every link that it made.
 */
export class Endpoint implements AsyncDisposable {
  readonly #queue: NativeQueue;
  readonly #bound: NativeEndpoint;
  readonly #options: Pick<EndpointOptions, "transports" | "portMapping">;
  /** The native accept under way; it outlives an aborted accept(), so that its link goes to the next one. */
  #accepting: Promise<Link> | undefined;
  #closing: Promise<void> | undefined;
  /** The hub that joins connections, where there is one. */
  #joins: Omit<JoinPlace, "key"> | undefined;

  private constructor(queue: NativeQueue, bound: NativeEndpoint, options: EndpointOptions) {
    this.#queue = queue;
    this.#bound = bound;
    this.#options = options;
  }

  /**
   * Binds the sockets, for IPv4 and IPv6.
   *
   * @throws {WormholeError} ADDRESS_IN_USE when `port` is taken.
   */
  static async open(
    queue: NativeQueue,
    options: EndpointOptions,
  ): Promise<Endpoint> {
    const { seed, transports, port = 0, signal } = options;
    signal?.throwIfAborted();
    const bound = await openEndpoint(queue, {
      secretKey: seed,
      bind: [`0.0.0.0:${port}`, `[::]:${port}`],
      tcp: transports.includes("tcp"),
      quic: transports.includes("quic"),
      congestion: CONGESTION,
      longPaths: LONG_PATHS,
    });
    const endpoint = new Endpoint(queue, bound, options);
    if (signal?.aborted) {
      await endpoint.close();
      throw signal.reason;
    }
    return endpoint;
  }

  /** 32 bytes, Ed25519. */
  get publicKey(): Uint8Array {
    return this.#bound.publicKey;
  }

  /** Gives the addresses that another machine may reach this endpoint at. */
  async hints(): Promise<Hint[]> {
    return localHints(this.#bound, await machineAddresses(this.#queue));
  }

  /**
   * Makes this machine reachable at a relay and gives the hint for it; the last one is the one that
   * {@linkcode Endpoint.dial} uses. What has no direct way to the other machine goes over it.
   */
  async useRelay({ joins, ...relay }: RelayPlace): Promise<RelayHint> {
    this.#assertOpen("use a relay from");
    const { transports, portMapping = false } = this.#options;
    const made = await useRelay(this.#queue, this.#bound.endpoint, {
      ...relay,
      direct: transports.includes("quic"),
      // A relay on this machine is a trial, or a test.
      portMapping: portMapping && !isLocal(new URL(relay.url).hostname),
      ...proxyTo(relay.url),
    });
    // Whoever asked for QUIC gets nothing else.
    const canJoin = joins !== undefined && (transports.includes("tcp") || !transports.includes("quic"));
    this.#joins = canJoin
      ? { ...joins, token: relay.token, ...proxyTo(`http://${hostPort(joins)}/`) }
      : undefined;
    return { transport: "relay", ...made, ...canJoin && { joins: true } };
  }

  /**
   * Dials the holder of `peerKey` over a connection that the hub of the relay joins to what the other machine meets there with
   * {@linkcode Endpoint.meetJoined} and the same `key` (32 bytes).
   *
   * @throws {WormholeError} as {@linkcode Endpoint.dial}; UNSUPPORTED where the hub does not do that.
   */
  async dialJoined(
    key: Uint8Array,
    { peerKey, signal }: { peerKey: Uint8Array; signal?: AbortSignal },
  ): Promise<Link> {
    const made = await dial(this.#queue, this.#bound.endpoint, {
      kind: "tcp",
      join: { ...this.#joinPlace(), key },
      peerKey,
      timeoutMs: DIAL_TIMEOUT_MS,
      signal,
    });
    return new NativeLink(this.#queue, made);
  }

  /** Goes to the hub of the relay to be dialled there once; {@linkcode Endpoint.accept} gives the link. @throws as `dialJoined`. */
  async meetJoined(key: Uint8Array, { signal }: { signal?: AbortSignal } = {}): Promise<void> {
    await meet(this.#queue, {
      endpoint: this.#bound.endpoint,
      join: { ...this.#joinPlace(), key },
      timeoutMs: MEET_TIMEOUT_MS,
      signal,
    });
  }

  /** Is at the relay anew, if at any, after this machine has changed networks; what went over it ends. */
  async renewRelay(): Promise<void> {
    this.#assertOpen("go to the relay anew from");
    await renewRelay(this.#queue, this.#bound.endpoint);
  }

  /**
   * Lets the holder of `peerKey` (32 bytes) in, at the relay too where it has one; before that, its handshakes are refused.
   *
   * @throws {WormholeError} PEER_UNAUTHENTICATED when the relay hint is not that machine's.
   */
  async allow(peerKey: Uint8Array, relay?: RelayHint): Promise<void> {
    this.#assertOpen("allow a peer on");
    const { endpoint } = this.#bound;
    await allowPeer(this.#queue, { endpoint, peerKey, ...relay && { relayKey: relayKey(relay) } });
  }

  /** Gives the next link that an allowed peer makes. One call at a time; an aborted call loses no link. */
  async accept({ signal }: { signal?: AbortSignal } = {}): Promise<Link> {
    this.#assertOpen("accept on");
    signal?.throwIfAborted();
    const accepting = this.#accepting ??= this.#accept();
    try {
      return await abortable(accepting, signal);
    } finally {
      if (!signal?.aborted && this.#accepting === accepting) this.#accepting = undefined;
    }
  }

  /**
   * Dials one address, or the relay, and checks that the holder of `peerKey` answers.
   *
   * @throws {WormholeError} CONNECT_FAILED, TIMEOUT or PEER_UNAUTHENTICATED; UNSUPPORTED for a relay that is not known.
   */
  async dial(
    hint: DialTarget,
    { peerKey, signal, timeoutMs = DIAL_TIMEOUT_MS }: {
      peerKey: Uint8Array;
      signal?: AbortSignal;
      timeoutMs?: number;
    },
  ): Promise<Link> {
    this.#assertOpen(`dial ${hintText(hint)} from`);
    const made = await dial(this.#queue, this.#bound.endpoint, {
      ...hint.transport === "relay"
        ? { kind: "quic", relayKey: relayKey(hint) }
        : { kind: hint.transport, address: hostPort(hint), ...hint.proxy && { proxy: hint.proxy } },
      peerKey,
      timeoutMs,
      signal,
    });
    return new NativeLink(this.#queue, made);
  }

  /** Stops listening and ends every link. Idempotent. */
  close(): Promise<void> {
    return this.#closing ??= this.#close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #accept(): Promise<Link> {
    return new NativeLink(this.#queue, await accept(this.#queue, this.#bound.endpoint));
  }

  async #close(): Promise<void> {
    await closeEndpoint(this.#queue, this.#bound.endpoint);
    // An accept that nobody waits for any more ends with the endpoint; a link it still made ends with it too.
    await this.#accepting?.catch((error) => {
      if (!(error instanceof WormholeError)) throw error;
    });
  }

  #joinPlace(): Omit<JoinPlace, "key"> {
    this.#assertOpen("connect over the hub from");
    if (this.#joins !== undefined) return this.#joins;
    throw new WormholeError("UNSUPPORTED", "Cannot connect over the hub: it joins no connections");
  }

  #assertOpen(verb: string): void {
    if (this.#closing) {
      throw new WormholeError("CLOSED", `Cannot ${verb} this machine's endpoint: it is closed`);
    }
  }
}

/** The proxy on the way to a relay. A variable that names no proxy was told of when the hub was to be reached by it. */
function proxyTo(url: string): { proxy?: Proxy } {
  try {
    const proxy = processProxies().forUrl(new URL(url));
    return proxy ? { proxy } : {};
  } catch (error) {
    if (error instanceof WormholeError) return {};
    throw error;
  }
}

function isLocal(hostname: string): boolean {
  const host = hostname.replace(/^\[(.*)\]$/, "$1");
  return host === "localhost" || isIP(host) !== 0 && isLoopback(host);
}

function relayKey({ relay, key, proof }: RelayHint): RelayKey {
  return { relay, key, proof };
}

/** Gives this machine's own IP addresses, loopback last. */
export function machineAddresses(queue: NativeQueue): Promise<string[]> {
  return ownAddresses(queue);
}
