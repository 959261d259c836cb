/** Says how many bulk streams each link to one peer should have: who carries, and with how many. Pure. */
import type { TransportKind } from "./connection.ts";
import { PathChooser } from "./path_chooser.ts";
import { StreamController, type StreamLimits } from "./stream_controller.ts";

/** What is known of one link since it was made. */
export interface LinkMeasure {
  readonly link: number;
  readonly kind: TransportKind;
  /** Round trip; 0 while it is not known. */
  readonly rttMs: number;
  /** Whether a hub's relay carries it now. */
  readonly isRelayed: boolean;
  /** Bytes that the other side received over it so far. */
  readonly received: number;
  /** Packets lost, and packets sent, so far; 0 where nobody counts. */
  readonly lostPackets: number;
  readonly sentPackets: number;
  /** µs that its streams have waited for it so far, all together. */
  readonly blockedUs: number;
  /** Streams that it has. */
  readonly streams: number;
  /** Something that was sent over it has not been acknowledged. */
  readonly isOwing: boolean;
}

/** What is known of all links that are there. */
export interface SteeringSample {
  /** ms, of a clock that does not go back. */
  readonly now: number;
  readonly links: readonly LinkMeasure[];
  /** Bytes still to be sent; Infinity when nobody knows. */
  readonly remaining: number;
}

/** What is to be done. */
export interface Course {
  /** Streams wanted on every link of the sample. */
  readonly streams: ReadonlyMap<number, number>;
  /** Links that are as good as dead. */
  readonly given_up: readonly number[];
}

/** The streams of all links of one transfer. */
export class Steering {
  readonly #limits: Omit<StreamLimits, "kind">;
  readonly #start: number;
  readonly #chooser = new PathChooser();
  readonly #links = new Map<number, SteeredLink>();
  /** The shortest round trip that each link has told while a relay carried it. */
  readonly #trips = new Map<number, number>();

  /** `start`: streams of the first link at first. */
  constructor(limits: Omit<StreamLimits, "kind">, { start }: { start: number }) {
    this.#limits = limits;
    this.#start = start;
  }

  /** Takes a sample, several a second. */
  tick(sample: SteeringSample): Course {
    const { now, remaining } = sample;
    const links = this.#endToEnd(sample.links);
    for (const each of this.#links.keys()) {
      if (!links.some(({ link }) => link === each)) this.#links.delete(each);
    }
    const known = links.map((measure) => ({ measure, steered: this.#steered(measure) }));
    const { carrying, frozen, given_up } = this.#chooser.tick({
      now,
      remaining,
      links: known.map(({ measure, steered }) => ({ ...measure, isSettled: steered.isSettled })),
    });
    const streams = new Map<number, number>();
    let free = this.#limits.maxStreams;
    for (const { measure, steered } of known) {
      const wanted = steered.tick(measure, {
        now,
        remaining,
        carries: carrying.has(measure.link),
        isFrozen: frozen.has(measure.link),
      });
      // Links that carry together share what the other side takes.
      const given = Math.min(wanted, carrying.size > 1 && streams.size === 0 ? Math.max(1, free - 1) : free);
      streams.set(measure.link, given);
      free -= given;
    }
    return { streams, given_up };
  }

  /** TCP over a hub knows the round trip to the hub only; a relayed link beside it has told the whole, when nothing waited on it. */
  #endToEnd(links: readonly LinkMeasure[]): LinkMeasure[] {
    const relayed = links.filter(({ isRelayed, rttMs }) => isRelayed && rttMs > 0);
    for (const { link, rttMs } of relayed) {
      this.#trips.set(link, Math.min(rttMs, this.#trips.get(link) ?? Infinity));
    }
    const longest = Math.max(0, ...relayed.map(({ link }) => this.#trips.get(link)!));
    return links.map((each) =>
      each.isRelayed && each.kind === "tcp" && each.rttMs > 0 ? { ...each, rttMs: longest } : each
    );
  }

  #steered(measure: LinkMeasure): SteeredLink {
    let steered = this.#links.get(measure.link);
    if (steered === undefined) {
      const start = this.#links.size === 0 ? this.#start : this.#limits.minStreams;
      steered = new SteeredLink({ ...this.#limits, kind: measure.kind }, start);
      this.#links.set(measure.link, steered);
    }
    return steered;
  }
}

/** One link's controller with what it was told last. */
class SteeredLink {
  readonly #limits: StreamLimits;
  #controller: StreamController;
  #carried = false;
  #wanted = 0;
  #last: { now: number; measure: LinkMeasure } | undefined;
  #lossRate = 0;

  constructor(limits: StreamLimits, start: number) {
    this.#limits = limits;
    this.#controller = new StreamController(limits, { start });
  }

  get isSettled(): boolean {
    return this.#carried && this.#controller.isSettled;
  }

  tick(
    measure: LinkMeasure,
    { now, remaining, carries, isFrozen }: {
      now: number;
      remaining: number;
      carries: boolean;
      isFrozen: boolean;
    },
  ): number {
    const last = this.#last;
    this.#last = { now, measure };
    if (!carries) {
      this.#carried = false;
      return 0;
    }
    if (!this.#carried) {
      // It begins anew, with what did well before.
      if (this.#wanted > 0) this.#controller = new StreamController(this.#limits, { start: this.#wanted });
      this.#carried = true;
    }
    if (isFrozen) {
      this.#controller.disturbed();
      return this.#wanted = this.#controller.wanted;
    }
    const ms = last === undefined ? 0 : now - last.now;
    const blocked = last === undefined ? 0 : measure.blockedUs - last.measure.blockedUs;
    this.#lossRate = last === undefined ? 0 : lossOf(measure, last.measure, this.#lossRate);
    this.#wanted = this.#controller.tick({
      now,
      rttMs: measure.rttMs,
      received: measure.received,
      lossRate: this.#lossRate,
      blockedShare: ms > 0 ? Math.min(1, blocked / 1000 / ms / Math.max(1, measure.streams)) : 1,
      remaining,
    });
    return this.#wanted;
  }
}

/** A slow average: one packet of ten lost in 100 ms says little. */
function lossOf(measure: LinkMeasure, last: LinkMeasure, before: number): number {
  const sent = measure.sentPackets - last.sentPackets;
  if (sent <= 0) return before;
  const now = Math.min(1, Math.max(0, (measure.lostPackets - last.lostPackets) / sent));
  return before + 0.2 * (now - before);
}
