/**
 * Follows a transfer and chooses the codec that moves the most. Pure: measured facts in, a choice out; the native
 * library compresses.
 *
 * The model: with a codec that makes `ratio` bytes of one and takes `cost` CPU seconds for it, the link lets through
 * `link / ratio` and the processors `cores / (base + cost)`; the lower of the two counts. `link` is what went over the
 * wire while the link was the bottleneck, `base` what else a byte costs here, `ratio` and `cost` are measured on the
 * very bytes: of the codec in use on all of them, of the others on samples (`probe`).
 */
import {
  alwaysChoice,
  candidates,
  type Codec,
  type CodecChoice,
  type CompressionMode,
} from "./compression.ts";
import { isSameChoice, RAW } from "./compression.ts";
import {
  type CompressionFacts,
  isLinkBound,
  type ProbeResult,
  type Window,
  windowOf,
} from "./compression_facts.ts";

/** What a controller is made from. */
export interface CompressionOptions {
  readonly mode: CompressionMode;
  /** zstd level, 1 to 19: what `always` uses and the highest that `auto` uses. */
  readonly level: number;
  /** Codecs that the receiver reads. */
  readonly supported: ReadonlySet<Codec>;
  /** Round trip time of the link, where it is known. */
  readonly rttMs?: number;
}

/** What to do next. */
export interface CompressionDecision {
  readonly choice: CodecChoice;
  /** Codecs to try on samples until the next call. */
  readonly probe: readonly CodecChoice[];
}

/** Windows in ms: the first decisions come soon, later ones rest on more. */
const WINDOWS_MS = [250, 500, 1000];
/** From this round trip on the path is no local one: links there are slower than any compressor. */
const FAR_RTT_MS = 5;
/** Gain that makes a change worth it. */
const WORTH_CHANGING = 1.03;
/** Gain that is too large to be chance, and windows in a row that must promise a smaller one. */
const CLEARLY_WORTH_CHANGING = 1.2;
const WISHES = 4;
/** Part of a promised gain that must come true; if it does not, something that we do not see is the bottleneck. */
const PROMISE_KEPT = 0.25;
/** Windows for which what did not keep its promise is not tried again; doubles each time. */
const BANNED_WINDOWS = 30;
const MOST_BANNED_WINDOWS = 600;
/** Windows after which a link's speed, not seen to be the bottleneck any more, is taken to be higher. */
const LINK_STALE_WINDOWS = 20;
const MOST_STALE_WINDOWS = 640;
const LINK_GROWTH = 1.25;
/** Weight of the newest window. */
const NEWEST = 0.4;
/** CPU seconds per byte that reading, hashing and sealing cost at most: at low speed other work would blur it. */
const MOST_BASE_COST = 5e-9;

interface Measure {
  /** Bytes on the wire of one byte. */
  ratio: number;
  /** CPU seconds of one byte. */
  cost: number;
}

/** See the top of this file. */
export class CompressionController {
  readonly #options: CompressionOptions;
  readonly #candidates: readonly CodecChoice[];
  /** By {@linkcode keyOf}. */
  readonly #probed = new Map<string, Measure>();
  #choice: CodecChoice;
  #last: CompressionFacts | undefined;
  #windows = 0;
  /** The codec in use, on all bytes. */
  #actual: Measure | undefined;
  /** How the whole differs from samples. */
  #scale: Measure = { ratio: 1, cost: 1 };
  /** Bytes/s; undefined while it was never the bottleneck. */
  #link: number | undefined;
  #windowsUnbound = 0;
  /** {@linkcode LINK_STALE_WINDOWS}, three times as many each time that the link turned out to be no faster. */
  #staleWindows = LINK_STALE_WINDOWS;
  #baseCost: number | undefined;
  /** Speed with the codec in use, over windows that began after the change to it. */
  #speed: number | undefined;
  #windowsInUse = 0;
  #hold = 0;
  /** Windows in a row that promised a small gain. */
  #wishes = 0;
  #changes = 0;
  #trial: { readonly before: CodecChoice; readonly speed: number; readonly gain: number } | undefined;
  #ban = { cost: Infinity, until: 0, windows: BANNED_WINDOWS };

  constructor(options: CompressionOptions) {
    this.#options = options;
    this.#candidates = candidates(options.level, options.supported);
    this.#choice = this.#first();
  }

  /** What to use now. */
  get choice(): CodecChoice {
    return this.#choice;
  }

  /** What to try on the first bytes: nothing on a path that is near. */
  get firstProbe(): readonly CodecChoice[] {
    return this.#isFar() ? this.#others() : [];
  }

  /** Takes facts in; gives a decision at the end of a window, and nothing in between. */
  next(facts: CompressionFacts): CompressionDecision | undefined {
    if (this.#options.mode !== "auto") return undefined;
    this.#learnProbes(facts.probes);
    const last = this.#last ??= facts;
    const length = WINDOWS_MS[Math.min(this.#windows, WINDOWS_MS.length - 1)]!;
    if (facts.atMs - last.atMs < length || facts.plainBytes === last.plainBytes) return undefined;
    this.#last = facts;
    this.#windows++;
    const window = windowOf(last, facts);
    this.#learn(window);
    const choice = this.#failedTrial(window) ?? this.#best(window);
    if (!isSameChoice(choice, this.#choice)) this.#change(choice);
    return { choice, probe: isLinkBound(window) || choice.codec !== "raw" ? this.#others() : [] };
  }

  #isFar(): boolean {
    const { mode, rttMs = 0 } = this.#options;
    return mode === "auto" && rttMs >= FAR_RTT_MS;
  }

  #first(): CodecChoice {
    const { mode, level, supported } = this.#options;
    if (mode === "always") return alwaysChoice(level, supported);
    return this.#isFar() ? alwaysChoice(1, supported) : RAW;
  }

  #others(): readonly CodecChoice[] {
    return this.#candidates.filter(({ codec }) => codec !== "raw");
  }

  #learnProbes(probes: readonly ProbeResult[]): void {
    for (const probe of probes) {
      if (probe.plainBytes === 0) continue;
      const measure = {
        ratio: probe.wireBytes / probe.plainBytes,
        cost: probe.cpuMs / 1000 / probe.plainBytes,
      };
      this.#probed.set(keyOf(probe), blend(this.#probed.get(keyOf(probe)), measure));
    }
  }

  #learn(window: Window): void {
    this.#windowsInUse++;
    // What is under way during the first window after a change was encoded before it.
    if (this.#windowsInUse > 1 || this.#windows === 1) {
      const cost = window.encodeCores / window.plainRate;
      this.#actual = blend(this.#actual, { ratio: window.ratio, cost });
      if (this.#windows > 1) this.#speed = mix(this.#speed, window.plainRate);
    }
    const probed = this.#probed.get(keyOf(this.#choice));
    if (this.#actual && probed && this.#choice.codec !== "raw") {
      this.#scale = {
        ratio: clamp(this.#actual.ratio / probed.ratio, 0.5, 2),
        cost: probed.cost > 0 ? clamp(this.#actual.cost / probed.cost, 0.5, 2) : 1,
      };
    }
    const base = clamp((window.ownCores - window.encodeCores) / window.plainRate, 0, MOST_BASE_COST);
    this.#baseCost = mix(this.#baseCost, base);
    this.#learnLink(window);
  }

  #learnLink(window: Window): void {
    const { wireRate } = window;
    if (isLinkBound(window)) {
      if (this.#windowsUnbound > this.#staleWindows) this.#guessLater();
      // Buffers fill during the first window: what they took says nothing about later.
      this.#link = this.#windows <= 2 ? wireRate : mix(this.#link, wireRate);
      this.#windowsUnbound = 0;
      return;
    }
    if (this.#link === undefined) return;
    this.#link = Math.max(this.#link, wireRate);
    if (this.#choice.codec === "raw") this.#link = undefined;
    // While no change is allowed the guess must not run away: the next step up is to be a small one.
    else if (++this.#windowsUnbound > this.#staleWindows && this.#hold === 0) this.#link *= LINK_GROWTH;
  }

  /** A guess that the link is faster was wrong: the next one waits longer. */
  #guessLater(): void {
    this.#staleWindows = Math.min(3 * this.#staleWindows, MOST_STALE_WINDOWS);
    this.#windowsUnbound = 0;
  }

  /** Gives what was in use before when the last change did not pay. */
  #failedTrial(window: Window): CodecChoice | undefined {
    const trial = this.#trial;
    if (trial === undefined) return undefined;
    const cost = this.#measureOf(this.#choice)?.cost ?? 0;
    const isHeavier = cost > (this.#measureOf(trial.before)?.cost ?? 0);
    if (this.#windowsInUse < (isHeavier ? 3 : 2)) return undefined;
    this.#trial = undefined;
    if (this.#speed! >= trial.speed * (1 + PROMISE_KEPT * (trial.gain - 1))) return undefined;
    if (isHeavier) {
      this.#ban = {
        cost,
        until: this.#windows + this.#ban.windows,
        windows: Math.min(2 * this.#ban.windows, MOST_BANNED_WINDOWS),
      };
    } else {
      // The link is no faster than it was.
      this.#link = window.wireRate;
      this.#guessLater();
    }
    return trial.before;
  }

  #best(window: Window): CodecChoice {
    if (this.#hold > 0) {
      this.#hold--;
      return this.#choice;
    }
    const speeds = this.#candidates.flatMap((choice) => {
      const measure = this.#measureOf(choice);
      const banned = this.#windows < this.#ban.until && measure !== undefined &&
        measure.cost >= 0.9 * this.#ban.cost;
      if (measure === undefined || (banned && !isSameChoice(choice, this.#choice))) return [];
      return [{ choice, speed: this.#speedWith(measure, window) }];
    });
    const current = speeds.find(({ choice }) => isSameChoice(choice, this.#choice));
    const best = speeds.reduce((best, next) => next.speed > best.speed ? next : best, current ?? speeds[0]!);
    if (current === undefined || best.speed < WORTH_CHANGING * current.speed) {
      this.#wishes = 0;
      return this.#choice;
    }
    // A small gain may be one of chance: it has to show again and again.
    const isLarge = best.speed >= CLEARLY_WORTH_CHANGING * current.speed;
    if (!isLarge && ++this.#wishes < WISHES) return this.#choice;
    if (this.#speed !== undefined && this.#windowsInUse >= 3) {
      // The newest window counts when it is lower: a link that has just become slow is no reason to blame the codec.
      const speed = Math.min(this.#speed, window.plainRate);
      this.#trial = { before: this.#choice, speed, gain: best.speed / current.speed };
    }
    return best.choice;
  }

  #measureOf(choice: CodecChoice): Measure | undefined {
    if (choice.codec === "raw") return { ratio: 1, cost: 0 };
    if (isSameChoice(choice, this.#choice) && this.#actual) return this.#actual;
    const probed = this.#probed.get(keyOf(choice));
    return probed &&
      { ratio: Math.min(1, probed.ratio * this.#scale.ratio), cost: probed.cost * this.#scale.cost };
  }

  #speedWith({ ratio, cost }: Measure, { ownCores, idleCores, streams }: Window): number {
    const cores = Math.min(streams, ownCores + idleCores);
    const needed = (this.#baseCost ?? 0) + cost;
    const byProcessors = needed === 0 ? Infinity : cores / needed;
    return Math.min((this.#link ?? Infinity) / ratio, byProcessors);
  }

  #change(choice: CodecChoice): void {
    this.#choice = choice;
    this.#actual = undefined;
    this.#speed = undefined;
    this.#windowsInUse = 0;
    this.#wishes = 0;
    // Each change makes the next one wait longer, so that two that are as good do not take turns.
    this.#hold = Math.min(2 ** Math.max(0, this.#changes++ - 1), 64);
  }
}

function keyOf({ codec, level }: CodecChoice): string {
  return `${codec} ${level}`;
}

function mix(before: number | undefined, now: number): number {
  return before === undefined ? now : before + NEWEST * (now - before);
}

function blend(before: Measure | undefined, now: Measure): Measure {
  return { ratio: mix(before?.ratio, now.ratio), cost: mix(before?.cost, now.cost) };
}

function clamp(value: number, least: number, most: number): number {
  return Math.min(most, Math.max(least, value));
}
