import type { ErrorCode } from "../base/errors.ts";
import type { ConnectionHandle } from "../native/net.ts";

/** How a link's bytes travel. */
export type TransportKind = "memory" | "tcp" | "quic";

/** What a link has measured so far. */
export interface LinkStats {
  /** Smoothed round-trip time; 0 while nothing was measured. */
  readonly rttMs: number;
  readonly bytesSent: number;
  readonly bytesReceived: number;
  /** `ip:port` of the other end as it is now; `relay host:port` over a relay. */
  readonly remote: string;
  /** Whether a hub's relay carries the packets now; never where it is left out. */
  readonly relayed?: boolean;
  /** Packets found lost; absent where the kernel keeps it to itself (TCP). */
  readonly lostPackets?: number;
  /** Packets that came, whatever was in them; absent where the kernel keeps it to itself (TCP). */
  readonly packetsReceived?: number;
  /** IP address of this end where the link cannot do without it (TCP): it is dead once this machine has it no more. */
  readonly local?: string;
}

/**
 * One encrypted link whose other end proved that it holds `peerKey`'s secret.
 *
 * Whether that key is the wanted one is session's question; see {@linkcode PeerConnection}.
 */
export interface Link extends AsyncDisposable {
  readonly kind: TransportKind;
  /** `ip:port` of the other end when the link was made; "memory" for a memory link, `relay host:port` over a relay. */
  readonly remote: string;
  /** 32 bytes, Ed25519 public key. */
  readonly peerKey: Uint8Array;
  /** Handle of the connection in the native library, for the transfer engine. */
  readonly native: ConnectionHandle;

  /**
   * Sends one control frame (at most {@linkcode MAX_CONTROL_FRAME_BYTES}) after all earlier ones;
   * resolves once the link has taken it, which is how it pushes back.
   *
   * @throws {WormholeError} LIMIT_EXCEEDED when too long; CLOSED when closed here; CONNECTION_LOST when gone;
   * the peer's code when the peer closed with one.
   */
  send(frame: Uint8Array): Promise<void>;

  /**
   * Gives the next control frame; undefined once the peer has closed cleanly. One call at a time.
   * An aborted call loses no frame.
   *
   * @throws {WormholeError} CLOSED when closed here; CONNECTION_LOST when gone; LIMIT_EXCEEDED when the
   * peer's frame is too long; the peer's code when the peer closed with one.
   */
  recv(options?: { signal?: AbortSignal }): Promise<Uint8Array | undefined>;

  /** Prepares `streams` bulk streams; both ends call it with the same number before bulk data flows. */
  bulk(streams: number, options?: { signal?: AbortSignal }): Promise<void>;

  stats(): Promise<LinkStats>;

  /** Closes both directions; without `code` the peer sees a clean end. Idempotent. */
  close(code?: ErrorCode): Promise<void>;
}

/** Cap on one control frame, so that a peer cannot make us allocate more; contracts §2. */
export { MAX_FRAME_BYTES as MAX_CONTROL_FRAME_BYTES } from "../wire/limits.ts";

declare const AUTHENTICATED: unique symbol;

/**
 * A link to the very machine that the person meant: the code's PAKE (or a ticket, or a known peer)
 * vouched for its key. Only session mints one (`session/authenticated.ts`), and features accept nothing
 * less, so an unauthenticated link is a type error.
 */
export interface PeerConnection extends Link {
  readonly [AUTHENTICATED]: true;

  /**
   * Gives the next further link to the same machine, over another transport: the side that dialled dials once, if a
   * second transport could matter; the other side waits for what it dials. undefined: no more will come.
   */
  nextLink?(options?: { signal?: AbortSignal }): Promise<FurtherLink | undefined>;

  /** How the session comes to another connection when this one has died; absent where it ends with this one. */
  readonly renewal?: Renewal;
}

/**
 * Makes connections that follow a dead one: same machines, same keys, same session. Closing one of them ends it alone;
 * what all of them share belongs to the first, whose disposal ends the session. wire/spec/handshake.md §3.
 */
export interface Renewal {
  /**
   * Dials the other machine once.
   *
   * @throws {WormholeError} CONNECT_FAILED, CONNECTION_LOST and their kin; the signal's reason.
   */
  dial(options: { signal: AbortSignal }): Promise<PeerConnection>;
  /**
   * Waits until the other machine comes by itself. `isLost` tells whether this side has no connection that works; while
   * it has one, the other is only let in when it knew that one and lost it.
   */
  arrival(options: { isLost: () => boolean; signal: AbortSignal }): Promise<PeerConnection>;
  /** Gives this machine's addresses; others than before mean that the network has changed. */
  addresses(): Promise<readonly string[]>;
  /**
   * Until the signal aborts, seeks the other machine on the network that this one is in now, and lets itself be found;
   * `onFound`: dialling may do better now.
   */
  seek(options: { onFound: () => void; signal: AbortSignal }): Promise<void>;
}

/** A link beside the one that a session is about. */
export interface FurtherLink {
  /** From 1, as the side that dialled says; wire/spec/streams.md §1. */
  readonly number: number;
  readonly link: PeerConnection;
}
