/**
 * Which of the links to one peer carry the bulk data, from what each has carried so far. Pure. The law and why:
 * docs/design/streams.md; tested on simulated paths in tests/sim.
 */
import { isLan } from "./chooser.ts";
import type { TransportKind } from "./connection.ts";

/** What another link must bring to be worth a move. */
const WORTH = 1.15;

/** Goodput that must stay when the other link carries everything, for it to be left alone with it. */
const AS_GOOD = 0.95;

/** Part of the goodput that the cheaper link must have won beside the other to be tried in its place. */
const HOLDS_ITS_OWN = 0.4;

/** Part of the goodput below which a link only costs its set-up. */
const USELESS = 0.05;

/** The goodput fell to this part of what it was: something throttles the link. */
const FELL = 0.7;

/** An experiment must be able to pay: time that the rest takes, in ms. */
const LEFT_MS = 30_000;

/** How long a failed experiment keeps another from being made, at first and at most, in ms. */
const FIRST_REST_MS = 20_000;
const LONGEST_REST_MS = 300_000;

/** Silence of a carrying link after which the other one carries, and after which it is given up; at least, in ms. */
const STALLED_MS = 3000;
const GIVEN_UP_MS = 10_000;

/** How one link does. */
export interface PathState {
  readonly link: number;
  readonly kind: TransportKind;
  /** 0 while it is not known. */
  readonly rttMs: number;
  /** Whether a hub's relay carries it now. */
  readonly isRelayed: boolean;
  /** Bytes that have come over it. */
  readonly received: number;
  /** Its number of streams has been found. */
  readonly isSettled: boolean;
  /** Something that was sent over it has not been acknowledged. */
  readonly isOwing: boolean;
}

/** What all of them do. */
export interface PathSample {
  /** ms, of a clock that does not go back. */
  readonly now: number;
  /** Links that are there; one that died is left out. */
  readonly links: readonly PathState[];
  /** Bytes still to be sent; Infinity when nobody knows. */
  readonly remaining: number;
}

/** Who carries. */
export interface PathChoice {
  readonly carrying: ReadonlySet<number>;
  /** Links whose number of streams stays as it is, since something else is being measured. */
  readonly frozen: ReadonlySet<number>;
  /** Links that are as good as dead. */
  readonly given_up: readonly number[];
}

type Stage = "steady" | "beside" | "instead";

/** The links that carry bulk data. */
export class PathChooser {
  #carrying: number[] = [];
  #stage: Stage = "steady";
  /** The link that an experiment began with, and the one that it is about. */
  #main = 0;
  #other = 0;
  /** Goodput before the experiment, and of both together. */
  #before = 0;
  #both = 0;
  #steady: number | undefined;
  #low = 0;
  #mark: { at: number; received: ReadonlyMap<number, number> } | undefined;
  #settledAt = 0;
  #restUntil = 0;
  #restMs = FIRST_REST_MS;
  #tried = false;
  /** Links that owe something and say nothing. */
  readonly #silent = new Set<number>();
  readonly #heard = new Map<number, { at: number; received: number }>();

  /** Takes a sample, several a second, and says who carries from now on. */
  tick(sample: PathSample): PathChoice {
    const { now, links } = sample;
    const given_up = this.#listen(sample);
    this.#replace(links, now);
    this.#takeLan(withoutRelay(links), now);
    this.#shunRelay(links, now);
    if (this.#mark === undefined || now < this.#settledAt) this.#measure(sample);
    else if (now - this.#mark.at >= this.#windowMs(links)) {
      const goodput = this.#goodput(sample);
      this.#measure(sample);
      this.#judge(goodput, sample);
    }
    const frozen = this.#stage === "beside" ? [this.#main] : [];
    return { carrying: new Set(this.#carrying), frozen: new Set(frozen), given_up };
  }

  #judge(goodput: ReadonlyMap<number, number>, sample: PathSample): void {
    const total = goodput.values().reduce((sum, each) => sum + each, 0);
    switch (this.#stage) {
      case "steady":
        return this.#watch(total, goodput, sample);
      case "beside": {
        const share = (goodput.get(this.#other) ?? 0) / Math.max(1, total);
        const gains = total >= WORTH * this.#before;
        const cheaper = this.#kind(this.#other, sample) === "tcp" && share >= HOLDS_ITS_OWN &&
          total >= AS_GOOD * this.#before;
        if (!gains && !cheaper) return this.#back(sample.now);
        this.#both = gains ? total : this.#before;
        return this.#carry([this.#other], "instead", sample);
      }
      case "instead": {
        if (total >= AS_GOOD * this.#both) {
          this.#rest(sample.now, FIRST_REST_MS);
          return this.#carry([this.#other], "steady", sample);
        }
        if (this.#both < WORTH * this.#before) return this.#back(sample.now);
        this.#rest(sample.now, FIRST_REST_MS);
        return this.#carry([this.#main, this.#other], "steady", sample);
      }
    }
  }

  #watch(total: number, goodput: ReadonlyMap<number, number>, sample: PathSample): void {
    const usual = this.#steady ?? total;
    const fell = total < FELL * usual;
    this.#low = fell ? this.#low + 1 : 0;
    // A fall is kept in mind until it is known what to do about it.
    if (!fell) this.#steady = usual + 0.3 * (total - usual);
    if (this.#carrying.length > 1) {
      const useful = this.#carrying.filter((link) => (goodput.get(link) ?? 0) >= USELESS * total);
      if (useful.length === 1) this.#carry(useful, "steady", sample);
      return;
    }
    const [main] = this.#carrying;
    const other = sample.links.find(({ link, isRelayed }) => link !== main && !isRelayed);
    if (main === undefined || other === undefined || total <= 0) return;
    if (sample.remaining / total * 1000 < LEFT_MS) return;
    const unknown = !this.#tried && sample.links.find(({ link }) => link === main)!.isSettled;
    const rested = this.#tried && sample.now >= this.#restUntil && this.#kind(main, sample) !== "tcp";
    // A second window tells a throttled path from a hiccup.
    if (!(this.#low >= 2 || unknown || rested)) return;
    this.#tried = true;
    this.#main = main;
    this.#other = other.link;
    this.#before = total;
    this.#carry([main, other.link], "beside", sample);
  }

  #back(now: number): void {
    this.#restMs = Math.min(LONGEST_REST_MS, 2 * this.#restMs);
    this.#rest(now, this.#restMs);
    this.#set([this.#main], "steady", now + 500);
  }

  #rest(now: number, ms: number): void {
    this.#restMs = ms;
    this.#restUntil = now + ms;
  }

  #carry(links: number[], stage: Stage, { now, links: all }: PathSample): void {
    const rtt = Math.max(...all.map(({ rttMs }) => rttMs));
    // New connections must open and fill before they show what they can do.
    const trips = stage === "beside" ? 16 : 8;
    this.#set(links, stage, now + Math.max(stage === "beside" ? 1500 : 1000, trips * rtt));
  }

  #set(links: number[], stage: Stage, settledAt: number): void {
    this.#carrying = links;
    this.#stage = stage;
    this.#steady = undefined;
    this.#low = 0;
    this.#mark = undefined;
    this.#settledAt = settledAt;
  }

  /** Puts another link in the place of one that has gone. */
  #replace(links: readonly PathState[], now: number): void {
    const here = (link: number) => links.some((each) => each.link === link);
    const left = this.#carrying.filter(here);
    const inExperiment = this.#stage !== "steady" && !(here(this.#main) && here(this.#other));
    if (left.length === this.#carrying.length && left.length > 0 && !inExperiment) return;
    const [first] = links;
    if (left.length > 0) this.#set(left, "steady", now);
    else this.#set(first === undefined ? [] : [first.link], "steady", now);
  }

  /** On a LAN nothing needs measuring: TCP takes half the CPU. */
  #takeLan(links: readonly PathState[], now: number): void {
    const tcp = links.find(({ kind }) => kind === "tcp");
    const near = links.some(({ rttMs }) => rttMs > 0 && isLan(rttMs));
    if (tcp === undefined || !near || this.#carrying.includes(tcp.link)) return;
    this.#tried = true;
    this.#set([tcp.link], "steady", now);
    this.#restUntil = Infinity;
  }

  /**
   * Nothing goes over a relay that can go directly, and that says nothing about the links that are left. Where all go over one, it
   * is TCP to the hub whatever they are, and what the hub passes on in the kernel costs it least.
   */
  #shunRelay(links: readonly PathState[], now: number): void {
    const able = links.filter(({ link }) => !this.#silent.has(link));
    const better = withoutRelay(able);
    const direct = better.length < able.length;
    if (!able.some(({ isRelayed }) => isRelayed)) return;
    const best = direct ? better[0]! : able.find(({ kind }) => kind === "tcp") ?? able[0]!;
    const carriesWell = this.#carrying.every((link) =>
      direct ? better.some((each) => each.link === link) : link === best.link
    );
    if (!carriesWell || this.#carrying.length === 0) this.#set([best.link], "steady", now);
  }

  /** Notices links over which nothing comes though something should; another one carries at once. */
  #listen({ now, links }: PathSample): number[] {
    const given_up: number[] = [];
    this.#silent.clear();
    for (const { link, received, rttMs, isOwing } of links) {
      const heard = this.#heard.get(link);
      if (heard === undefined || received > heard.received || !isOwing) {
        this.#heard.set(link, { at: now, received });
        continue;
      }
      const silent = now - heard.at;
      if (silent < Math.max(STALLED_MS, 8 * rttMs)) continue;
      this.#silent.add(link);
      if (silent >= Math.max(GIVEN_UP_MS, 16 * rttMs)) given_up.push(link);
      const others = links.filter((each) => each.link !== link);
      if (others.length === 0 || !this.#carrying.includes(link)) continue;
      const rest = this.#carrying.filter((each) => each !== link);
      this.#set(rest.length > 0 ? rest : [others[0]!.link], "steady", now);
    }
    return given_up;
  }

  #measure({ now, links }: PathSample): void {
    this.#mark = { at: now, received: new Map(links.map(({ link, received }) => [link, received])) };
  }

  #goodput({ now, links }: PathSample): Map<number, number> {
    const { at, received: before } = this.#mark!;
    const seconds = (now - at) / 1000;
    return new Map(
      links.map(({ link, received }) => [link, (received - (before.get(link) ?? received)) / seconds]),
    );
  }

  #windowMs(links: readonly PathState[]): number {
    return Math.max(1000, 8 * Math.max(...links.map(({ rttMs }) => rttMs)));
  }

  #kind(link: number, { links }: PathSample): TransportKind | undefined {
    return links.find((each) => each.link === link)?.kind;
  }
}

/** Gives the direct links, or all where there is none. */
function withoutRelay(links: readonly PathState[]): readonly PathState[] {
  const direct = links.filter(({ isRelayed }) => !isRelayed);
  return direct.length > 0 ? direct : links;
}
