/** Runs a stream controller, or a fixed number of streams, over a simulated path. */
import { StreamController, type StreamLimits } from "../../src/transport/stream_controller.ts";
import type { SimulatedLink, SimulatedPath } from "./path.ts";

/** How often the controller is asked, in ms: as often as acknowledgements come. */
export const TICK_MS = 100;

/** What a link carried up to a moment, and how many streams it was to have. */
export interface Moment {
  readonly at: number;
  readonly received: number;
  readonly streams: number;
}

/** What happened in a run. */
export class Run {
  readonly moments: Moment[] = [];

  /** Bytes/s between two moments, in ms. */
  goodput(from: number, to: number): number {
    return (this.#at(to).received - this.#at(from).received) / (to - from) * 1000;
  }

  /** Streams wanted at `at`. */
  streams(at: number): number {
    return this.#at(at).streams;
  }

  /** How often the number of streams changed between two moments. */
  changes(from: number, to: number): number {
    const seen = this.moments.filter(({ at }) => at >= from && at <= to);
    return seen.filter(({ streams }, i) => i > 0 && streams !== seen[i - 1]!.streams).length;
  }

  /** When `bytes` had been received, in ms. */
  doneAt(bytes: number): number {
    return this.moments.find(({ received }) => received >= bytes)?.at ?? Infinity;
  }

  #at(at: number): Moment {
    return this.moments.find((moment) => moment.at >= at) ?? this.moments.at(-1)!;
  }
}

/** What the sender measures of one link between two ticks. */
export class Probe {
  #last = { sent: 0, lost: 0, blocked: 0 };

  constructor(readonly path: SimulatedPath, readonly link: SimulatedLink) {}

  /** Gives the loss and the blocked share since the last call. */
  read(): { lossRate: number; blockedShare: number } {
    const { sentPackets: sent, lostPackets: lost, blockedMs: blocked } = this.link;
    const last = this.#last;
    this.#last = { sent, lost, blocked };
    return {
      lossRate: sent > last.sent ? (lost - last.lost) / (sent - last.sent) : 0,
      blockedShare: Math.min(1, (blocked - last.blocked) / TICK_MS / Math.max(1, this.link.live)),
    };
  }
}

/** Lets the controller run a link for `ms`; `happens` is called before every tick. */
export function control(
  path: SimulatedPath,
  { kind, ms, limits = {}, remaining = Infinity, happens }: {
    kind: "tcp" | "quic";
    ms: number;
    limits?: Partial<StreamLimits>;
    remaining?: number;
    happens?: (now: number) => void;
  },
): Run {
  const link = path.open(kind);
  const probe = new Probe(path, link);
  const controller = new StreamController({
    kind,
    cpuCount: 2,
    minStreams: 4,
    maxStreams: 256,
    ...limits,
  });
  const run = new Run();
  while (path.now < ms) {
    happens?.(path.now);
    const wanted = controller.tick({
      now: path.now,
      rttMs: path.rttMs,
      received: link.received,
      remaining: remaining - link.received,
      ...probe.read(),
    });
    path.resize(link, wanted);
    run.moments.push({ at: path.now, received: link.received, streams: wanted });
    path.advance(TICK_MS);
  }
  return run;
}

/** Runs a link with `streams` streams all the time. */
export function fixed(
  path: SimulatedPath,
  { kind, ms, streams }: { kind: "tcp" | "quic"; ms: number; streams: number },
): Run {
  const link = path.open(kind);
  const run = new Run();
  path.resize(link, streams);
  while (path.now < ms) {
    run.moments.push({ at: path.now, received: link.received, streams });
    path.advance(TICK_MS);
  }
  return run;
}
