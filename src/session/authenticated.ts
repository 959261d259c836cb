import { type ErrorCode, WormholeError } from "../base/errors.ts";
import type {
  FurtherLink,
  Link,
  LinkStats,
  PeerConnection,
  Renewal,
  TransportKind,
} from "../transport/connection.ts";

/**
 * Mints a {@linkcode PeerConnection} from a link whose key is `expectedKey` (32 bytes, vouched for by a PAKE,
 * a ticket or the list of known peers). Closing it closes the link; disposing of it ends the session: then `endpoint` is
 * disposed of too, and with it every link that `nextLink` and `renewal` gave.
 *
 * @throws {WormholeError} PEER_UNAUTHENTICATED when the link belongs to another key.
 */
export function authenticated(
  link: Link,
  expectedKey: Uint8Array,
  owned: {
    endpoint?: AsyncDisposable;
    /** Gives the next further link of the same session. */
    nextLink?: NextLink;
    renewal?: Renewal;
  } = {},
): PeerConnection {
  if (!sameKey(link.peerKey, expectedKey)) {
    throw new WormholeError(
      "PEER_UNAUTHENTICATED",
      `Cannot trust "${link.remote}": it is another machine than the one that was paired`,
    );
  }
  // The brand has no value; this is the one place that may claim it.
  return new AuthenticatedLink(link, owned) as Link as PeerConnection;
}

/** How a session comes to a further link. */
export type NextLink = (options: { signal?: AbortSignal }) => Promise<FurtherLink | undefined>;

/** Tells whether two public keys are equal; keys are public, so the time taken may tell. */
export function sameKey(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === 32 && b.length === 32 && a.every((byte, at) => byte === b[at]);
}

class AuthenticatedLink implements Link {
  readonly #link: Link;
  readonly #endpoint: AsyncDisposable | undefined;
  readonly #nextLink: NextLink | undefined;
  readonly renewal: Renewal | undefined;
  #ending: Promise<void> | undefined;

  constructor(
    link: Link,
    { endpoint, nextLink, renewal }: { endpoint?: AsyncDisposable; nextLink?: NextLink; renewal?: Renewal },
  ) {
    this.#link = link;
    this.#endpoint = endpoint;
    this.#nextLink = nextLink;
    this.renewal = renewal;
  }

  get kind(): TransportKind {
    return this.#link.kind;
  }

  get remote(): string {
    return this.#link.remote;
  }

  get peerKey(): Uint8Array {
    return this.#link.peerKey;
  }

  get native(): Link["native"] {
    return this.#link.native;
  }

  send(frame: Uint8Array): Promise<void> {
    return this.#link.send(frame);
  }

  recv(options?: { signal?: AbortSignal }): Promise<Uint8Array | undefined> {
    return this.#link.recv(options);
  }

  bulk(streams: number, options?: { signal?: AbortSignal }): Promise<void> {
    return this.#link.bulk(streams, options);
  }

  stats(): Promise<LinkStats> {
    return this.#link.stats();
  }

  async nextLink({ signal }: { signal?: AbortSignal } = {}): Promise<FurtherLink | undefined> {
    return await this.#nextLink?.({ ...signal && { signal } });
  }

  close(code?: ErrorCode): Promise<void> {
    return this.#link.close(code);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#ending ??= this.#end();
  }

  async #end(): Promise<void> {
    try {
      await this.#link.close();
    } finally {
      await this.#endpoint?.[Symbol.asyncDispose]();
    }
  }
}
