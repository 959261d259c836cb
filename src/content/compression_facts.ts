/** What is measured of a transfer, and what that means for one window of time. */
import type { CodecChoice } from "./compression.ts";

/** What compressing a sample gave. */
export interface ProbeResult extends CodecChoice {
  readonly plainBytes: number;
  readonly wireBytes: number;
  readonly cpuMs: number;
}

/** Counters since the start of the transfer, except `probes`: those are since the last call. */
export interface CompressionFacts {
  readonly atMs: number;
  /** Bytes before and after compression, those included that are being written. */
  readonly plainBytes: number;
  readonly wireBytes: number;
  /** Time that all streams together were kept waiting by the link. */
  readonly blockedMs: number;
  /** CPU time spent on compression. */
  readonly encodeMs: number;
  /** CPU time of this process, and CPU time that nobody used on this machine. */
  readonly ownMs: number;
  readonly idleMs: number;
  readonly streams: number;
  readonly probes: readonly ProbeResult[];
}

/** Share of the time that streams wait when the link is the bottleneck. */
const LINK_BOUND_SHARE = 0.3;
/** Idle cores below which there is nothing to compress with. */
const FEW_IDLE_CORES = 0.1;

/** One window of time; rates are per second. */
export interface Window {
  readonly seconds: number;
  readonly plainRate: number;
  readonly wireRate: number;
  readonly blockedShare: number;
  readonly encodeCores: number;
  readonly ownCores: number;
  readonly idleCores: number;
  readonly streams: number;
  /** Bytes on the wire of one byte. */
  readonly ratio: number;
}

/** True when the link holds the sender up. With no processor idle the threads wait for each other, whatever they seem to wait for. */
export function isLinkBound({ blockedShare, idleCores }: Window): boolean {
  return blockedShare >= LINK_BOUND_SHARE && idleCores >= FEW_IDLE_CORES;
}

/** Gives what happened between two calls. */
export function windowOf(last: CompressionFacts, facts: CompressionFacts): Window {
  const seconds = (facts.atMs - last.atMs) / 1000;
  const perSecond = (read: (facts: CompressionFacts) => number) =>
    Math.max(0, read(facts) - read(last)) / seconds;
  const plainRate = perSecond(({ plainBytes }) => plainBytes);
  const wireRate = perSecond(({ wireBytes }) => wireBytes);
  return {
    seconds,
    plainRate,
    wireRate,
    blockedShare: perSecond(({ blockedMs }) => blockedMs) / 1000 / facts.streams,
    encodeCores: perSecond(({ encodeMs }) => encodeMs) / 1000,
    ownCores: perSecond(({ ownMs }) => ownMs) / 1000,
    idleCores: perSecond(({ idleMs }) => idleMs) / 1000,
    streams: facts.streams,
    ratio: Math.min(1, wireRate / plainRate),
  };
}
