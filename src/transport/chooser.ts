import type { TransportKind } from "./connection.ts";
import type { DialTransport, DirectTransport } from "./hints.ts";

/** What the person asked for: one transport, or whatever is best. */
export type TransportChoice = "auto" | DialTransport;

/**
 * Below this round trip both ends are on one machine or one LAN, where losses are rare and CPU is what
 * runs out: TCP took 1.3-2.0 CPU s/GiB where QUIC took 3.2 (docs/architecture.md, "Decisions already taken").
 */
export const LAN_RTT_MS = 5;

/**
 * How long a link that answered first waits for the better one. On a LAN, TCP with TLS needs two round
 * trips (< 10 ms) and QUIC one, so 50 ms is plenty, and nobody notices it.
 */
export const GRACE_MS = 50;

/**
 * What QUIC sends with: over 1 Gbit/s, 100 ms and 1% loss `cubic` stood still where `bbr` moved 0.76 Gbit/s
 * (docs/design/links.md).
 */
export const CONGESTION = "bbr";

/** What TCP sends with where paths are long enough for losses that are no congestion. */
export const LONG_PATHS = { algorithm: "bbr", minRttMs: LAN_RTT_MS } as const;

/** Gives the transports to listen on and dial, the cheapest to set up first. */
export function allowedTransports(
  { choice = "auto", forceTcp = false }: { choice?: TransportChoice; forceTcp?: boolean } = {},
): DialTransport[] {
  // A relay is reached over TCP.
  if (forceTcp) return ["tcp", "relay"];
  switch (choice) {
    case "auto":
      return ["quic", "tcp", "relay"];
    case "quic":
      // iroh needs the relay to find its way through NATs.
      return ["quic", "relay"];
    default:
      return [choice];
  }
}

/** Gives the transport that should carry bulk data over a path of `rttMs`, before anything is measured. */
export function preferredTransport({ rttMs }: { rttMs: number }): DirectTransport {
  // On longer paths QUIC's BBR keeps its rate under loss, where one TCP connection halves.
  return isLan(rttMs) ? "tcp" : "quic";
}

/** Tells whether a round trip is that of one machine or one LAN. */
export function isLan(rttMs: number): boolean {
  return rttMs < LAN_RTT_MS;
}

/** What {@linkcode streamCount} decides from. */
export interface StreamCountInput {
  readonly kind: TransportKind;
  readonly rttMs: number;
  /** Logical processors of this machine. */
  readonly cpuCount: number;
  /** The config's MIN_STREAMS and MAX_STREAMS. */
  readonly minStreams: number;
  readonly maxStreams: number;
  /** Measured bytes/s times round trip, in bytes, once known. */
  readonly bandwidthDelayBytes?: number;
}

/** What one TCP connection keeps in flight under a stock Linux (`net.ipv4.tcp_rmem`, 6 MiB, half usable). */
const TCP_WINDOW_BYTES = 3 * 1024 * 1024;

/** What a long path is taken for until it is measured: 1 Gbit/s, in bytes per ms. */
const ASSUMED_BYTES_PER_MS = 125_000;

/**
 * What one stream at first is to keep in flight of that: over 1 Gbit/s 8 streams did best at 50 ms, and 16 at 100 ms with
 * 1% loss (docs/design/links.md). On slower paths the surplus waits its turn.
 */
const ASSUMED_IN_FLIGHT_BYTES = 768 * 1024;

/** One stream hashes and decrypts on one thread; beyond this many, threads only take turns. */
const MAX_STREAMS_BY_CPU = 8;

/**
 * Gives how many bulk streams to open.
 *
 * - On one machine or a LAN the CPU is the limit: a stream keeps a core busy with TLS and BLAKE3 at each end, so
 *   as many as cores, 2 to {@linkcode MAX_STREAMS_BY_CPU}; with 2 cores 2 to 4 do best, more only add switches.
 * - TCP over a longer path is limited by each connection's window and by the slowest to recover from a loss:
 *   enough windows for the bandwidth-delay product when that is known.
 * - A QUIC stream is limited by its window, and by what it holds while it waits for a lost packet.
 * - Until a longer path is measured, it is taken for one of 1 Gbit/s.
 *
 * `minStreams` is the floor except where the CPU is the limit and has fewer cores than that.
 */
export function streamCount(input: StreamCountInput): number {
  const { kind, rttMs, cpuCount, minStreams, maxStreams, bandwidthDelayBytes } = input;
  const byCpu = Math.max(2, Math.min(Math.floor(cpuCount) || 1, MAX_STREAMS_BY_CPU));
  const lan = kind === "memory" || isLan(rttMs);
  const wanted = lan
    ? Math.max(byCpu, Math.min(minStreams, 2 * byCpu))
    : bandwidthDelayBytes === undefined
    ? Math.max(minStreams, Math.ceil(rttMs * ASSUMED_BYTES_PER_MS / ASSUMED_IN_FLIGHT_BYTES))
    : kind === "tcp"
    ? Math.max(minStreams, Math.ceil(bandwidthDelayBytes / TCP_WINDOW_BYTES))
    : minStreams;
  return Math.max(1, Math.min(wanted, maxStreams));
}
