import { WormholeError } from "../base/errors.ts";
import type { NativeQueue } from "../native/queue.ts";
import { abortable } from "./abortable.ts";
import type { Link, TransportKind } from "./connection.ts";
import { type DialTransport, type Hint, hintText, hostPort, localHints } from "./hints.ts";
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
  readonly signal?: AbortSignal;
}

interface Bound {
  readonly endpoint: number;
  readonly public_key: Uint8Array;
  readonly tcp: string[];
  readonly quic: string[];
}

/**
 * This machine's own end of all links: listens for TCP and QUIC under the machine's key, lets in only the
 * keys that were allowed, and dials. Closing it ends every link that it made.
 */
export class Endpoint implements AsyncDisposable {
  readonly #queue: NativeQueue;
  readonly #bound: Bound;
  /** The native accept under way; it outlives an aborted accept(), so that its link goes to the next one. */
  #accepting: Promise<Link> | undefined;
  #closing: Promise<void> | undefined;

  private constructor(queue: NativeQueue, bound: Bound) {
    this.#queue = queue;
    this.#bound = bound;
  }

  /**
   * Binds the sockets, for IPv4 and IPv6.
   *
   * @throws {WormholeError} ADDRESS_IN_USE when `port` is taken.
   */
  static async open(
    queue: NativeQueue,
    { seed, transports, port = 0, signal }: EndpointOptions,
  ): Promise<Endpoint> {
    const bound = await queue.call<Bound>("net.endpoint", {
      secret_key: seed,
      bind: [`0.0.0.0:${port}`, `[::]:${port}`],
      tcp: transports.includes("tcp"),
      quic: transports.includes("quic"),
    }, { signal });
    return new Endpoint(queue, bound);
  }

  /** 32 bytes, Ed25519. */
  get publicKey(): Uint8Array {
    return this.#bound.public_key;
  }

  /** Gives the addresses that another machine may reach this endpoint at. */
  async hints(): Promise<Hint[]> {
    return localHints(this.#bound, await machineAddresses(this.#queue));
  }

  /** Lets the holder of `peerKey` (32 bytes) in; before that, its handshakes are refused. */
  async allow(peerKey: Uint8Array): Promise<void> {
    this.#assertOpen("allow a peer on");
    await this.#queue.call("net.allow", { endpoint: this.#bound.endpoint, peer_key: peerKey });
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
   * Dials one address and checks that the holder of `peerKey` answers.
   *
   * @throws {WormholeError} CONNECT_FAILED, TIMEOUT or PEER_UNAUTHENTICATED.
   */
  async dial(
    hint: Hint,
    { peerKey, signal, timeoutMs = DIAL_TIMEOUT_MS }: {
      peerKey: Uint8Array;
      signal?: AbortSignal;
      timeoutMs?: number;
    },
  ): Promise<Link> {
    this.#assertOpen(`dial ${hintText(hint)} from`);
    const made = await this.#queue.call<{ connection: number; kind: TransportKind; remote: string }>(
      "net.dial",
      {
        endpoint: this.#bound.endpoint,
        kind: hint.transport,
        address: hostPort(hint),
        peer_key: peerKey,
        timeout_ms: timeoutMs,
      },
      { signal },
    );
    return new NativeLink(this.#queue, { ...made, peerKey });
  }

  /** Stops listening and ends every link. Idempotent. */
  close(): Promise<void> {
    return this.#closing ??= this.#close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #accept(): Promise<Link> {
    const made = await this.#queue.call<
      { connection: number; kind: TransportKind; peer_key: Uint8Array; remote: string }
    >("net.accept", { endpoint: this.#bound.endpoint });
    return new NativeLink(this.#queue, { ...made, peerKey: made.peer_key });
  }

  async #close(): Promise<void> {
    await this.#queue.call("net.close_endpoint", { endpoint: this.#bound.endpoint });
    // An accept that nobody waits for any more ends with the endpoint; a link it still made ends with it too.
    await this.#accepting?.catch((error) => {
      if (!(error instanceof WormholeError)) throw error;
    });
  }

  #assertOpen(verb: string): void {
    if (this.#closing) {
      throw new WormholeError("CLOSED", `Cannot ${verb} this machine's endpoint: it is closed`);
    }
  }
}

/** Gives this machine's own IP addresses, loopback last. */
export async function machineAddresses(queue: NativeQueue): Promise<string[]> {
  return (await queue.call<{ addresses: string[] }>("net.addresses", {})).addresses;
}
