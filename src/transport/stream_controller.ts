/**
 * How many bulk streams a link should have, from what it has carried so far. Pure: the time and the measurements come
 * from outside, a number comes out. The law and why: docs/design/streams.md; tested on simulated paths in tests/sim.
 */
import { isLan, streamCount } from "./chooser.ts";
import type { TransportKind } from "./connection.ts";

/**
 * What one stream can have in flight. TCP: what a stock Linux keeps usable of a socket's 4 to 6 MiB; QUIC: the limit of
 * noq-proto (ffi/src/net/quic.rs).
 */
const WINDOW_BYTES = { tcp: 3 * 2 ** 20, quic: 2 * 2 ** 20 } as const;

/** Windows kept for each that is full: less, and nobody would find out that the link takes more. */
const HEADROOM = 2;

/** The same where packets are lost: a stream that waits for a repeated packet holds its window for more round trips. */
const LOSSY_HEADROOM = 4;

/** Part of its window that a stream has in flight on average when the window is what holds it up. */
const FULL = 0.85;

/** Part of the packets lost from which on a link counts as lossy; a full queue alone loses less over time. */
const LOSSY = 0.003;

/** Growth of the goodput per period that shows connections which are still starting. */
const STILL_RISING = 1.2;

/** Part of a proportional gain that more streams must bring to be kept. */
const LEAST_GAIN = 0.25;

/** Goodput that fewer streams must keep. */
const LEAST_KEPT = 0.97;

/** A change of the goodput that was none of ours: the path is another one now. */
const FELL = 0.7;
const ROSE = 1.4;

/** Blocked less than this, streams wait for the CPU or the disk and more of them would only take turns. */
const HARDLY_BLOCKED = 0.25;

/** How long a finding stands at first and at most before it is tried again, in ms; every failure doubles it. */
const FIRST_HOLD_MS = 4000;
const LONGEST_HOLD_MS = 60_000;

/** A transfer that ends within this time is not worth an experiment, in s. */
const TOO_LATE_S = 2;

/** Bytes that a stream must still find to send: one chunk. */
const BYTES_PER_STREAM = 4 * 2 ** 20;

/** What a controller is made for. */
export interface StreamLimits {
  readonly kind: TransportKind;
  /** Logical processors of this machine. */
  readonly cpuCount: number;
  /** The config's MIN_STREAMS and MAX_STREAMS, the latter within what the other side takes. */
  readonly minStreams: number;
  readonly maxStreams: number;
}

/** How a link does. */
export interface LinkSample {
  /** ms, of a clock that does not go back. */
  readonly now: number;
  /** Round trip; 0 while it is not known. */
  readonly rttMs: number;
  /** Bytes that the other side has received over it so far. */
  readonly received: number;
  /** Part of the packets that were lost lately, 0 to 1. */
  readonly lossRate: number;
  /** Part of the time that its streams lately waited for the link, 0 to 1. */
  readonly blockedShare: number;
  /** Bytes still to be sent; Infinity when nobody knows. */
  readonly remaining: number;
}

/** What the controller is busy with. */
type Stage = "starting" | "settling" | "holding" | "trying more" | "trying fewer";

/** The number of streams of one link. */
export class StreamController {
  readonly #limits: StreamLimits;
  #wanted: number;
  #stage: Stage = "starting";
  /** When the running measurement began, and what had been received. */
  #mark: { at: number; received: number } | undefined;
  #leastRtt = Infinity;
  /** Until then nothing is measured: streams that were just opened are not up to speed. */
  #settledAt = 0;
  #last = 0;
  #flat = 0;
  /** What is known to work: a number of streams and its goodput. */
  #base = { streams: 0, goodput: 0 };
  #step = 1.5;
  #holdMs = FIRST_HOLD_MS;
  #heldSince = 0;
  #odd = 0;
  #triedMore = false;

  constructor(limits: StreamLimits, { start }: { start?: number } = {}) {
    this.#limits = limits;
    this.#wanted = this.#within(start ?? limits.minStreams);
  }

  /** The number of streams that the link should have now. */
  get wanted(): number {
    return this.#wanted;
  }

  /** Tells whether it has found what it was looking for, so that the link's goodput means something. */
  get isSettled(): boolean {
    return this.#stage === "holding";
  }

  /** Takes a sample, several a second, and gives the number of streams wanted from now on. */
  tick(sample: LinkSample): number {
    const { now, rttMs, received } = sample;
    if (rttMs > 0) this.#leastRtt = Math.min(this.#leastRtt, rttMs);
    if (this.#isLan()) return this.#wanted = this.#lanCount();
    // While streams come up to speed nothing is measured.
    if (this.#mark === undefined || now < this.#settledAt) this.#mark = { at: now, received };
    const elapsed = now - this.#mark.at;
    if (elapsed < this.#periodMs()) return this.#wanted;
    const goodput = (received - this.#mark.received) / elapsed * 1000;
    this.#mark = { at: now, received };
    this.#judge(goodput, sample);
    return this.#wanted;
  }

  /** Forgets the running measurement: what came meanwhile says nothing about the number of streams. */
  disturbed(): void {
    this.#mark = undefined;
    if (this.#stage === "trying more" || this.#stage === "trying fewer") {
      this.#wanted = this.#base.streams;
      this.#stage = "settling";
    }
  }

  #judge(goodput: number, sample: LinkSample): void {
    switch (this.#stage) {
      case "starting":
        return this.#start(goodput, sample);
      case "settling":
        return this.#settle(goodput, sample);
      case "trying more":
        return this.#triedMoreStreams(goodput, sample);
      case "trying fewer":
        return this.#triedFewerStreams(goodput, sample);
      case "holding":
        return this.#watch(goodput, sample);
    }
  }

  /** Follows what the windows need until the goodput rises no more. */
  #start(goodput: number, sample: LinkSample): void {
    const rising = goodput > STILL_RISING * this.#last;
    this.#last = goodput;
    const needed = this.#needed(goodput, sample);
    if (needed > this.#wanted && this.#wanted < this.#limits.maxStreams && this.#mayGrow(sample)) {
      this.#flat = 0;
      // Full windows: the link takes more, and nobody knows how much. Connections that come up one after the other
      // would take seconds to find out.
      const full = needed >= FULL * HEADROOM * this.#wanted;
      if (full) this.#wanted = this.#within(4 * this.#wanted);
      else if (!rising || this.#limits.kind === "quic") {
        this.#wanted = this.#within(Math.min(needed, 4 * this.#wanted));
      }
      return;
    }
    this.#flat = rising || goodput === 0 ? 0 : this.#flat + 1;
    if (this.#flat < 2) return;
    this.#flat = 0;
    this.#base = { streams: this.#wanted, goodput };
    this.#step = this.#firstStep(sample);
    this.#tryMore(sample);
  }

  /** Each TCP connection that loses packets is slow by itself: many more are needed, and a few are lost in the noise. */
  #firstStep({ lossRate }: LinkSample): number {
    return this.#limits.kind === "tcp" && lossRate > LOSSY ? 4 : 1.5;
  }

  #tryMore(sample: LinkSample): void {
    const { streams } = this.#base;
    const more = this.#within(Math.max(streams + 1, Math.round(streams * this.#step)));
    if (more <= streams || !this.#mayGrow(sample) || !this.#mayHelp(sample)) {
      return this.#hold(this.#base, sample);
    }
    this.#triedMore = true;
    this.#change(more, "trying more", sample.now);
  }

  #triedMoreStreams(goodput: number, sample: LinkSample): void {
    const { streams, goodput: before } = this.#base;
    const proportional = this.#wanted / streams - 1;
    const gain = goodput / Math.max(1, before) - 1;
    if (gain < Math.max(0.05, LEAST_GAIN * Math.min(1, proportional))) {
      this.#holdMs = Math.min(LONGEST_HOLD_MS, 2 * this.#holdMs);
      return this.#change(streams, "settling", sample.now);
    }
    this.#base = { streams: this.#wanted, goodput };
    this.#step = gain > 0.5 * proportional ? 4 : 1.5;
    this.#tryMore(sample);
  }

  #tryFewer(sample: LinkSample): void {
    const { streams } = this.#base;
    const fewer = this.#within(Math.max(this.#limits.minStreams, Math.floor(streams * 0.7)));
    if (fewer >= streams || this.#isEnding(sample)) return this.#hold(this.#base, sample);
    this.#change(fewer, "trying fewer", sample.now);
  }

  #triedFewerStreams(goodput: number, sample: LinkSample): void {
    if (goodput < LEAST_KEPT * this.#base.goodput) {
      this.#holdMs = Math.min(LONGEST_HOLD_MS, 2 * this.#holdMs);
      return this.#change(this.#base.streams, "settling", sample.now);
    }
    this.#base = { streams: this.#wanted, goodput: Math.max(goodput, this.#base.goodput) };
    this.#tryFewer(sample);
  }

  /** Back where it was: either that is as good as before, or the path has changed during the experiment. */
  #settle(goodput: number, sample: LinkSample): void {
    const fell = goodput < FELL * this.#base.goodput;
    if (fell) this.#holdMs = FIRST_HOLD_MS;
    this.#hold({ streams: this.#wanted, goodput }, sample);
    if (fell) this.#changed(sample);
  }

  #hold(base: { streams: number; goodput: number }, { now }: LinkSample): void {
    this.#base = base;
    this.#stage = "holding";
    this.#heldSince = now;
    this.#odd = 0;
  }

  #watch(goodput: number, sample: LinkSample): void {
    const { goodput: before } = this.#base;
    const fell = goodput < FELL * before;
    const rose = goodput > ROSE * before && this.#needed(goodput, sample) > this.#wanted;
    this.#odd = fell || rose ? this.#odd + 1 : 0;
    if (this.#odd >= 2) {
      this.#odd = 0;
      this.#holdMs = FIRST_HOLD_MS;
      this.#base = { streams: this.#wanted, goodput };
      // After a fall fewer may do as well, and where they do not, more may.
      if (fell) return this.#changed(sample);
      this.#last = 0;
      this.#stage = "starting";
      return;
    }
    // A slow average, so that a measurement of a bad moment does not stand for ever.
    this.#base.goodput += 0.2 * (goodput - before);
    if (sample.now - this.#heldSince < this.#holdMs) return;
    this.#holdMs = Math.min(LONGEST_HOLD_MS, 2 * this.#holdMs);
    // By turns: both find out something that may have changed.
    if (this.#triedMore) {
      this.#triedMore = false;
      return this.#tryFewer(sample);
    }
    this.#step = this.#firstStep(sample);
    this.#tryMore(sample);
  }

  #changed(sample: LinkSample): void {
    this.#triedMore = false;
    const { streams } = this.#base;
    if (streams > this.#limits.minStreams) return this.#tryFewer(sample);
    this.#step = this.#firstStep(sample);
    this.#tryMore(sample);
  }

  #change(streams: number, stage: Stage, now: number): void {
    const grows = streams > this.#wanted;
    this.#wanted = streams;
    this.#stage = stage;
    // A new TCP connection needs two round trips to open and eight to fill 3 MiB from ten packets; what ends still
    // sends its last frame.
    const trips = grows ? this.#limits.kind === "tcp" ? 10 : 3 : 4;
    this.#settledAt = now + Math.max(200, trips * this.#rtt());
  }

  /** Streams whose windows hold what is in flight, with headroom. */
  #needed(goodput: number, { lossRate }: LinkSample): number {
    const { kind } = this.#limits;
    if (kind === "memory") return this.#wanted;
    const headroom = lossRate > LOSSY && kind === "quic" ? LOSSY_HEADROOM : HEADROOM;
    return Math.ceil(headroom * goodput * this.#rtt() / 1000 / WINDOW_BYTES[kind]);
  }

  /** QUIC streams share one congestion window: once their own windows do not bind, more cannot help. */
  #mayHelp(sample: LinkSample): boolean {
    if (this.#limits.kind !== "quic") return true;
    return this.#base.streams < this.#needed(this.#base.goodput, { ...sample, lossRate: 1 });
  }

  #mayGrow(sample: LinkSample): boolean {
    const busy = sample.blockedShare < HARDLY_BLOCKED && this.#wanted >= this.#limits.cpuCount;
    return !busy && !this.#isEnding(sample) && sample.remaining > this.#wanted * BYTES_PER_STREAM;
  }

  #isEnding({ remaining }: LinkSample): boolean {
    return remaining < TOO_LATE_S * this.#base.goodput;
  }

  #periodMs(): number {
    const starting = this.#stage === "starting";
    return Math.max(starting ? 200 : 400, (starting ? 2 : 4) * this.#rtt());
  }

  #rtt(): number {
    return Number.isFinite(this.#leastRtt) ? this.#leastRtt : 50;
  }

  #isLan(): boolean {
    return this.#limits.kind === "memory" || isLan(this.#leastRtt);
  }

  #lanCount(): number {
    return streamCount({ ...this.#limits, rttMs: this.#rtt() });
  }

  #within(streams: number): number {
    const { minStreams, maxStreams } = this.#limits;
    return Math.max(1, Math.min(Math.max(minStreams, streams), maxStreams));
  }
}
