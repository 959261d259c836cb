/**
 * The sender's part in bulk streams, pure: how many there are on which link, what has arrived, what broke.
 * Spec: wire/spec/streams.md. The provider is its machine.
 */
import { WormholeError } from "../base/errors.ts";
import { Steering } from "../transport/steering.ts";
import type { TransportKind } from "../transport/connection.ts";
import { MAX_STREAM_NUMBERS, type Message, type MessageOf, readAcknowledgement } from "../wire/mod.ts";
import { unexpected } from "./machine.ts";

/** What the engine says of one link. */
export interface SentOverLink {
  readonly link: number;
  /** Streams that take work. */
  readonly streams: number;
  readonly bytes_wire: number;
  readonly bytes_delivered: number;
  readonly blocked_us: number;
}

/** What the transport says of one link. */
export interface LinkStatus {
  readonly link: number;
  readonly rttMs: number;
  readonly bytesSent: number;
  readonly lostPackets: number;
  /** Whether a hub's relay carries it now. */
  readonly isRelayed: boolean;
}

/** What only the streams' surroundings tell. */
export type BulkSenderEvent =
  /** Result of `start`. */
  | { readonly type: "started" }
  /** The receiver has made a further link; `isRelayed`: over a hub. */
  | {
    readonly type: "linked";
    readonly link: number;
    readonly kind: TransportKind;
    readonly isRelayed?: boolean;
  }
  /** A further link has ended, or broke the rules. */
  | { readonly type: "link_gone"; readonly link: number }
  /** Result of `streams`; `failed` when it could not be done. */
  | { readonly type: "streams_set"; readonly link: number; readonly failed?: boolean }
  /** Result of `look_at_links`. */
  | { readonly type: "links"; readonly links: readonly LinkStatus[] };

/** What the streams want done. */
export type BulkSenderAction =
  /** Bring the streams of a link to `streams`; `opens` of them are made possible first, with the receiver. */
  | {
    readonly type: "streams";
    readonly link: number;
    readonly streams: number;
    readonly opens: number;
  }
  /** Stop waiting for streams that the receiver cannot make possible. */
  | { readonly type: "stop_opening"; readonly link: number }
  /** Forget frames that have arrived. */
  | { readonly type: "acknowledge"; readonly streams: readonly (readonly [number, number])[] }
  /** Send again what was in the frames of a stream beyond these. */
  | { readonly type: "lost"; readonly stream: number; readonly frames: number }
  /** Close a further link. */
  | { readonly type: "drop_link"; readonly link: number }
  /** Ask the transport how the links do. */
  | { readonly type: "look_at_links" }
  /** Wait for the receiver's next further link. */
  | { readonly type: "take_link" }
  /** Wait for the end of a further link. */
  | { readonly type: "watch_link"; readonly link: number };

/** What {@linkcode BulkSender} is made from. */
export interface BulkSenderOptions {
  readonly kind: TransportKind;
  readonly cpuCount: number;
  readonly minStreams: number;
  readonly maxStreams: number;
  /** Streams at first. */
  readonly start: number;
  act(action: BulkSenderAction): void;
  send(message: Message): void;
}

interface SenderLink {
  readonly kind: TransportKind;
  /** As the engine says, or as was asked for last. */
  streams: number;
  /** Streams that are being opened, 0 for being ended; undefined when nothing is. */
  changing: number | undefined;
  /** No more than these: the receiver cannot connect for more. */
  most: number;
  sent: SentOverLink | undefined;
}

/** The bulk streams of one transfer, at the sender. */
export class BulkSender {
  readonly #options: BulkSenderOptions;
  readonly #steering: Steering;
  readonly #links = new Map<number, SenderLink>();
  readonly #usedNumbers = new Set([0]);
  #announced = 0;
  readonly #lost = new Set<number>();
  #acknowledged: { time: number; links: readonly number[] } | undefined;
  #looking = false;
  #remaining = Infinity;

  constructor(options: BulkSenderOptions) {
    this.#options = options;
    const { cpuCount, minStreams, maxStreams, start } = options;
    this.#steering = new Steering({ cpuCount, minStreams, maxStreams }, { start });
    this.#announce(0, start);
    this.#links.set(0, this.#newLink(options.kind, start));
  }

  /** Streams of all links. */
  get streams(): number {
    return this.#links.values().reduce((sum, { streams }) => sum + streams, 0);
  }

  on(event: BulkSenderEvent): void {
    switch (event.type) {
      case "started":
        this.#links.get(0)!.changing = undefined;
        return this.#options.act({ type: "take_link" });
      case "linked":
        return this.#linked(event);
      case "link_gone":
        return this.#drop(event.link, { tell: true });
      case "streams_set":
        return this.#set(event.link, event.failed ?? false);
      case "links":
        this.#looking = false;
        return this.#acknowledged ? this.#steer(event.links) : this.#openBeside(event.links);
    }
  }

  /** Takes the engine's counters, streams that broke here, and what is left to do. */
  sent(links: readonly SentOverLink[], lost: readonly number[], remaining: number): void {
    this.#remaining = remaining;
    for (const sent of links) {
      const link = this.#links.get(sent.link);
      if (link === undefined) continue;
      link.sent = sent;
      if (link.changing === undefined) link.streams = sent.streams;
    }
    for (const stream of lost) {
      if (!this.#lost.has(stream)) this.#options.send({ type: "bulk_gone", stream });
    }
  }

  /** What the receiver says of streams. @throws {WormholeError} PROTOCOL when it cannot be. */
  heard(
    message:
      | MessageOf<"bulk_received">
      | MessageOf<"bulk_lost">
      | MessageOf<"bulk_refused">
      | MessageOf<"link_lost">,
  ): void {
    switch (message.type) {
      case "bulk_received":
        return this.#received(message);
      case "bulk_lost":
        this.#mustBeKnown(message.stream);
        if (this.#lost.has(message.stream)) throw unexpected(message.type);
        this.#lost.add(message.stream);
        return this.#options.act({ type: "lost", stream: message.stream, frames: message.frames });
      case "bulk_refused":
        return this.#refused(message);
      case "link_lost":
        return this.#drop(message.link, { tell: false });
    }
  }

  #received(message: MessageOf<"bulk_received">): void {
    const { time, streams, links } = readAcknowledgement(message);
    for (const [stream] of streams) this.#mustBeKnown(stream);
    if (streams.length > 0) this.#options.act({ type: "acknowledge", streams });
    if (time < (this.#acknowledged?.time ?? 0)) throw unexpected(message.type);
    this.#acknowledged = { time, links };
    this.#look();
  }

  /** One look at a time: a receiver that talks fast makes us work no more. */
  #look(): void {
    if (this.#looking) return;
    this.#looking = true;
    this.#options.act({ type: "look_at_links" });
  }

  #refused({ link: number, count }: MessageOf<"bulk_refused">): void {
    const link = this.#links.get(number);
    if (link === undefined && this.#usedNumbers.has(number)) return;
    if (link?.changing !== count) throw unexpected("bulk_refused");
    link.most = Math.max(0, link.streams - count);
    this.#options.act({ type: "stop_opening", link: number });
  }

  #linked({ link: number, kind, isRelayed = false }: BulkSenderEvent & { type: "linked" }): void {
    this.#usedNumbers.add(number);
    this.#links.set(number, this.#newLink(kind, 0));
    this.#options.act({ type: "watch_link", link: number });
    this.#options.act({ type: "take_link" });
    if (isRelayed && this.#acknowledged === undefined) this.#look();
  }

  /**
   * Over a relay the first frames are long on their way, and nothing is measured before they have come. What its hub joins carries
   * meanwhile.
   */
  #openBeside(status: readonly LinkStatus[]): void {
    if (!status.every(({ isRelayed }) => isRelayed)) return;
    for (const [number, { kind, streams }] of this.#links) {
      if (number === 0 || kind !== "tcp" || streams > 0) continue;
      this.#change(new Map([[0, this.#links.get(0)!.streams], [number, this.#options.start]]));
    }
  }

  #set(number: number, failed: boolean): void {
    const link = this.#links.get(number);
    if (link === undefined) return;
    if (failed) {
      link.streams = Math.max(0, link.streams - (link.changing ?? 0));
      link.most = Math.min(link.most, link.streams);
    }
    link.changing = undefined;
    if (link.most > 0) return;
    if (number > 0) return this.#drop(number, { tell: true });
    if (this.streams > 0) return;
    throw new WormholeError(
      "CONNECTION_LOST",
      "Cannot go on: the other side can open no stream for the data",
    );
  }

  #drop(number: number, { tell }: { tell: boolean }): void {
    if (!this.#links.delete(number)) return;
    if (tell) this.#options.send({ type: "link_lost", link: number });
    this.#options.act({ type: "drop_link", link: number });
  }

  #steer(status: readonly LinkStatus[]): void {
    const { time, links: received } = this.#acknowledged!;
    const { streams, given_up } = this.#steering.tick({
      now: time,
      remaining: this.#remaining,
      links: [...this.#links].map(([number, link]) => {
        const { rttMs = 0, bytesSent = 0, lostPackets = 0, isRelayed = false } = status.find((each) =>
          each.link === number
        ) ?? {};
        const { bytes_wire = 0, bytes_delivered = 0, blocked_us = 0 } = link.sent ?? {};
        return {
          link: number,
          kind: link.kind,
          rttMs,
          isRelayed,
          received: received[number] ?? 0,
          lostPackets,
          sentPackets: bytesSent / PACKET_BYTES,
          blockedUs: blocked_us,
          streams: link.streams,
          isOwing: bytes_wire > bytes_delivered,
        };
      }),
    });
    // The connection of the control stream goes when the control stream does; session may bring another one day.
    for (const link of given_up) if (link > 0) this.#drop(link, { tell: true });
    this.#change(streams);
  }

  /** Opens first and ends after that, so that the receiver never sees a transfer without streams. */
  #change(wanted: ReadonlyMap<number, number>): void {
    for (const [number, link] of this.#links) {
      const streams = Math.min(wanted.get(number) ?? 0, link.most);
      if (link.changing !== undefined || streams <= link.streams) continue;
      const opens = Math.min(streams - link.streams, MAX_STREAM_NUMBERS - this.#announced);
      if (opens <= 0) continue;
      link.streams += opens;
      link.changing = opens;
      this.#announce(number, opens);
      this.#options.act({ type: "streams", link: number, streams: link.streams, opens });
    }
    if (this.#links.values().some(({ changing }) => (changing ?? 0) > 0)) return;
    for (const [number, link] of this.#links) {
      const streams = wanted.get(number) ?? 0;
      if (
        link.changing !== undefined || streams >= link.streams || this.streams - link.streams + streams < 1
      ) continue;
      link.streams = streams;
      link.changing = 0;
      this.#options.act({ type: "streams", link: number, streams, opens: 0 });
    }
  }

  #announce(link: number, count: number): void {
    this.#announced += count;
    this.#options.send({ type: "bulk_streams", ...link > 0 && { link }, count });
  }

  #newLink(kind: TransportKind, opening: number): SenderLink {
    const changing = opening > 0 ? opening : undefined;
    return { kind, streams: opening, changing, most: this.#options.maxStreams, sent: undefined };
  }

  #mustBeKnown(stream: number): void {
    if (stream < this.#announced) return;
    throw new WormholeError("PROTOCOL", "Cannot go on: the other side names a stream that was not opened");
  }
}

/** Payload of a packet on most paths; only the share of lost ones matters. */
const PACKET_BYTES = 1400;
