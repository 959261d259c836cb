/**
 * Simulated paths between two machines, for what decides about streams and links: a bottleneck with a queue, round
 * trips, random loss, windows per stream and a price in CPU. Time goes in small steps; bytes flow between them. The same
 * seed gives the same run.
 */
import { type Flow, makeFlow, PACKET_BYTES, type Reaction } from "./flow.ts";
import { seeded } from "./random.ts";

/** What lies between the two machines. */
export interface PathProfile {
  /** Bytes/s of the bottleneck. */
  rate: number;
  rttMs: number;
  /** Part of the packets that are lost by chance. */
  loss: number;
  /** Bytes that wait before the bottleneck; one bandwidth-delay product when left out. */
  queueBytes?: number;
  /** Bytes/s that the network lets through of one transport; 0 blocks it. */
  tcpRate?: number;
  quicRate?: number;
}

/** What the machines at both ends are like. */
export interface Machines {
  /** Logical processors of the weaker end. */
  cores: number;
  /** CPU seconds that one end spends per GiB. */
  cost: { tcp: number; quic: number };
}

/** How the transports behave. */
export interface Stacks {
  tcp: { reaction: Reaction; windowBytes: number };
  quic: { reaction: Reaction; windowBytes: number };
}

/** Per end half of what both cost together: 1.3-2.0 and 3.2 CPU s/GiB (docs/architecture.md). */
export const TWO_CORES: Machines = { cores: 2, cost: { tcp: 0.8, quic: 1.6 } };

/** Stock Linux TCP, and BBR with the stream window of our QUIC. */
export const STOCK: Stacks = {
  tcp: { reaction: "cubic", windowBytes: 3 * 2 ** 20 },
  quic: { reaction: "bbr", windowBytes: 2 * 2 ** 20 },
};

/** Bytes that a stream that is to end has still to send: at most one frame. */
const FRAME_BYTES = 4 * 2 ** 20;

interface Stream {
  readonly opens: number;
  /** Own congestion control over TCP, the link's over QUIC. */
  readonly flow: Flow;
  /** Bytes left to send once it is to end. */
  left: number;
  /** Bytes/s wanted and given in this step. */
  wish: number;
}

/** A link over a path: its streams and what they have done. */
export class SimulatedLink {
  received = 0;
  sentPackets = 0;
  lostPackets = 0;
  blockedMs = 0;
  dead = false;
  readonly streams: Stream[] = [];
  readonly #shared: Flow;

  constructor(readonly kind: "tcp" | "quic", readonly stacks: Stacks) {
    this.#shared = makeFlow(stacks[kind].reaction);
  }

  /** Streams that are not about to end. */
  get live(): number {
    return this.streams.filter(({ left }) => left === Infinity).length;
  }

  /** Opens streams, or lets some end after the frame at hand. */
  resize(wanted: number, { now, rttMs, random }: { now: number; rttMs: number; random: () => number }): void {
    for (let live = this.live; live < wanted; live++) {
      const { reaction } = this.stacks[this.kind];
      const flow = this.kind === "quic" ? this.#shared : makeFlow(reaction);
      // TCP and TLS want a round trip each; a stream of an open connection none.
      this.streams.push({
        opens: this.kind === "tcp" ? now + 2 * rttMs : now,
        flow,
        left: Infinity,
        wish: 0,
      });
    }
    for (const stream of this.streams.filter(({ left }) => left === Infinity).slice(wanted)) {
      stream.left = random() * FRAME_BYTES;
    }
  }
}

/** One path with the links over it. */
export class SimulatedPath {
  now = 0;
  readonly profile: PathProfile;
  readonly links: SimulatedLink[] = [];
  readonly random: () => number;
  readonly #machines: Machines;
  readonly #stacks: Stacks;
  #queue = 0;

  constructor(
    profile: PathProfile,
    { seed = 1, machines = TWO_CORES, stacks = STOCK }: {
      seed?: number;
      machines?: Machines;
      stacks?: Stacks;
    } = {},
  ) {
    this.profile = { ...profile };
    this.random = seeded(seed);
    this.#machines = machines;
    this.#stacks = stacks;
  }

  open(kind: "tcp" | "quic"): SimulatedLink {
    const link = new SimulatedLink(kind, this.#stacks);
    this.links.push(link);
    return link;
  }

  /** Round trip with what waits before the bottleneck, in ms. */
  get rttMs(): number {
    return this.profile.rttMs + this.#queue / this.profile.rate * 1000;
  }

  /** Bytes/s of CPU that is free are no matter: tells how much of it is used, 0 to 1. */
  cpuShare = 0;

  resize(link: SimulatedLink, wanted: number): void {
    link.resize(link.dead ? 0 : wanted, this);
  }

  /** Lets `ms` pass. */
  advance(ms: number): void {
    const end = this.now + ms;
    const step = Math.min(10, Math.max(0.5, this.profile.rttMs / 10));
    while (this.now < end) this.#step(Math.min(step, end - this.now));
  }

  #step(ms: number): void {
    const { rate, loss } = this.profile;
    const { rttMs } = this;
    const queueLimit = this.profile.queueBytes ?? Math.max(64 * 1024, rate * this.profile.rttMs / 1000);
    for (const link of this.links) this.#wish(link, rttMs);
    this.#payCpu();
    const offered = this.links.flatMap(({ streams }) => streams).reduce((sum, { wish }) => sum + wish, 0);
    const arriving = offered * ms / 1000;
    const room = rate * ms / 1000;
    this.#queue += arriving - room;
    const dropped = Math.max(0, this.#queue - queueLimit);
    this.#queue = Math.max(0, Math.min(queueLimit, this.#queue));
    const dropShare = arriving > 0 ? dropped / arriving : 0;
    // What leaves the queue is shared as what came into it.
    const leaving = offered > 0 ? Math.min(1, room / arriving) : 0;
    this.now += ms;
    for (const link of this.links) this.#deliver(link, { ms, rttMs, leaving, dropShare, loss });
  }

  /** What each stream would send. */
  #wish(link: SimulatedLink, rttMs: number): void {
    const { windowBytes } = this.#stacks[link.kind];
    const open = link.streams.filter(({ opens, left }) => opens <= this.now && left > 0);
    for (const stream of link.streams) stream.wish = 0;
    if (link.dead || open.length === 0) return;
    const byWindow = windowBytes / (rttMs / 1000);
    for (const stream of open) {
      const own = stream.flow.rate(rttMs) / (link.kind === "quic" ? open.length : 1);
      stream.wish = Math.min(own, byWindow);
    }
    const most = link.kind === "tcp" ? this.profile.tcpRate : this.profile.quicRate;
    const sum = open.reduce((sum, { wish }) => sum + wish, 0);
    if (most !== undefined && sum > most) { for (const stream of open) stream.wish *= most / sum; }
  }

  /** A stream has one core at most, all together have the cores. */
  #payCpu(): void {
    const { cores, cost } = this.#machines;
    let busy = 0;
    let threads = 0;
    for (const link of this.links) {
      const perCore = 2 ** 30 / cost[link.kind];
      for (const stream of link.streams) {
        stream.wish = Math.min(stream.wish, perCore);
        busy += stream.wish / perCore;
        if (stream.wish > 0) threads++;
      }
    }
    // Threads beyond the cores only take turns, which costs something too.
    const able = cores / (1 + 0.02 * Math.max(0, threads - 2 * cores) * Math.min(1, busy / cores));
    this.cpuShare = Math.min(1, busy / able);
    if (busy <= able) return;
    for (const link of this.links) for (const stream of link.streams) stream.wish *= able / busy;
  }

  #deliver(
    link: SimulatedLink,
    { ms, rttMs, leaving, dropShare, loss }: {
      ms: number;
      rttMs: number;
      leaving: number;
      dropShare: number;
      loss: number;
    },
  ): void {
    const perCore = 2 ** 30 / this.#machines.cost[link.kind];
    const heard = new Map<Flow, { delivered: number; lost: boolean }>();
    for (const stream of link.streams) {
      if (stream.opens > this.now) continue;
      const sent = stream.wish * ms / 1000;
      const packets = sent / PACKET_BYTES;
      const bad = 1 - (1 - loss) * (1 - dropShare);
      const lost = this.random() < 1 - (1 - bad) ** packets;
      const delivered = sent * Math.min(leaving, 1 - dropShare) * (1 - loss);
      link.received += delivered;
      link.sentPackets += packets;
      link.lostPackets += packets * bad;
      if (stream.left === Infinity) link.blockedMs += ms * (1 - Math.min(1, stream.wish / perCore));
      else stream.left -= delivered;
      const news = heard.get(stream.flow);
      heard.set(stream.flow, {
        delivered: delivered + (news?.delivered ?? 0),
        lost: lost || (news?.lost ?? false),
      });
    }
    for (const [flow, news] of heard) flow.heard(this.now, ms, { ...news, rttMs });
    for (let i = link.streams.length - 1; i >= 0; i--) {
      if (link.streams[i]!.left <= 0) link.streams.splice(i, 1);
    }
  }
}
