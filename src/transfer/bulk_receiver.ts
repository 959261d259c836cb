/**
 * The receiver's part in bulk streams, pure: takes what the sender opens, tells what has arrived and what broke, and
 * makes a further link. Spec: wire/spec/streams.md. The getter is its machine.
 */
import { WormholeError } from "../base/errors.ts";
import type { ArrivedFrames } from "../native/receive.ts";
import {
  MAX_ACKNOWLEDGED_STREAMS,
  MAX_LINKS,
  MAX_STREAM_NUMBERS,
  type Message,
  type MessageOf,
  writeAcknowledgement,
} from "../wire/mod.ts";
import { unexpected } from "./machine.ts";

/** What only the streams' surroundings tell. */
export type BulkReceiverEvent =
  /** Result of `start`: streams of a link can come. */
  | { readonly type: "opened"; readonly link: number }
  /** `start` failed. */
  | { readonly type: "not_opened"; readonly link: number; readonly count: number; readonly error: Error }
  /** Result of `find_link`. */
  | { readonly type: "linked"; readonly link: number }
  /** A further link has ended, or broke the rules. */
  | { readonly type: "link_gone"; readonly link: number }
  /** Result of `give_up`. */
  | { readonly type: "gave_up"; readonly stream: number; readonly frames: number }
  /** Result of `look_at_links`: bytes received over each link, by its number; whether any are being written just now. */
  | { readonly type: "links"; readonly received: readonly number[]; readonly isPlacing?: boolean };

/** What the streams want done. */
export type BulkReceiverAction =
  /** Make streams possible on a link, and take them. */
  | { readonly type: "start"; readonly link: number; readonly streams: number }
  /** Make a further link if one could serve; it is closed when the transfer ends. */
  | { readonly type: "find_link" }
  | { readonly type: "drop_link"; readonly link: number }
  /** Wait for the end of a further link. */
  | { readonly type: "watch_link"; readonly link: number }
  /** Let nothing more of a stream count. */
  | { readonly type: "give_up"; readonly stream: number }
  /** Ask the transport what has come over the links. */
  | { readonly type: "look_at_links" };

/** What {@linkcode BulkReceiver} is made from. */
export interface BulkReceiverOptions {
  /** Streams that the answer allowed. */
  readonly streams: number;
  /** Whether a further link may be worth its making. */
  readonly wantsLink: boolean;
  act(action: BulkReceiverAction): void;
  send(message: Message): void;
}

/** How often the sender hears from us while something is outstanding, at least, in ms: silence would hide a dead link. */
const TELL_EVERY_MS = 500;

/** How long all streams may be over with something outstanding: more of them may be announced and not yet heard of. */
const DRY_MS = 5000;

/**
 * Streams that may be there at a time, as a multiple of those agreed on: a sender that moves to another link, and back when that is cut,
 * has three times as many until we have heard of the ends of those that it left.
 */
const OPEN_SHARES = 4;

/** The bulk streams of one transfer, at the receiver. */
export class BulkReceiver {
  readonly #options: BulkReceiverOptions;
  /** Links that are there, and all that there ever were. */
  readonly #links = new Set([0]);
  readonly #known = new Set([0]);
  /** Streams announced on the link that is being made: the sender may have it, and say so over link 0, before this side has. */
  #early: { link: number; count: number }[] = [];
  #finding = false;
  #announced = 0;
  #ended = 0;
  #starting = 0;
  #opened = false;
  readonly #overStreams = new Set<number>();
  readonly #lost = new Set<number>();
  readonly #changed = new Map<number, number>();
  #received: number[] = [];
  #looking = false;
  #toldAt = 0;
  #dryAt: number | undefined;
  #active = false;

  constructor(options: BulkReceiverOptions) {
    this.#options = options;
  }

  /** When {@linkcode BulkReceiver.tick} is due, in ms. */
  get deadline(): number {
    const dry = this.#dryAt === undefined ? Infinity : this.#dryAt + DRY_MS;
    return Math.min(dry, this.#tellAt());
  }

  on(event: BulkReceiverEvent, now: number): void {
    switch (event.type) {
      case "opened":
        this.#starting--;
        if (this.#opened) return;
        this.#opened = true;
        this.#active = true;
        this.#toldAt = now;
        if (!this.#options.wantsLink) return;
        this.#finding = true;
        return this.#options.act({ type: "find_link" });
      case "not_opened":
        return this.#notOpened(event);
      case "linked":
        return this.#linked(event.link);
      case "link_gone":
        return this.#drop(event.link, { tell: true });
      case "gave_up":
        return this.#tellLost(event.stream, event.frames);
      case "links":
        this.#looking = false;
        this.#received = event.received.slice(0, MAX_LINKS);
        return this.#tell(now);
    }
  }

  /** What the sender says of streams. @throws {WormholeError} PROTOCOL, LIMIT_EXCEEDED when it cannot be. */
  heard(message: MessageOf<"bulk_streams"> | MessageOf<"bulk_gone"> | MessageOf<"link_lost">): void {
    switch (message.type) {
      case "bulk_streams":
        return this.#announcedMore(message);
      case "bulk_gone":
        if (message.stream >= this.#announced) throw unexpected(message.type);
        if (this.#lost.has(message.stream)) return;
        return this.#options.act({ type: "give_up", stream: message.stream });
      case "link_lost":
        for (const { count } of this.#early) this.#ended += count;
        this.#early = [];
        return this.#drop(message.link, { tell: false });
    }
  }

  /**
   * Takes the engine's news of streams.
   *
   * @throws {WormholeError} PROTOCOL when the sender has ended every stream and left something out.
   */
  news(streams: readonly ArrivedFrames[], { now, isDry }: { now: number; isDry: boolean }): void {
    for (const [stream, frames, state] of streams) {
      if (stream >= this.#announced) {
        throw new WormholeError(
          "PROTOCOL",
          "Cannot go on: the other side opened a stream that it did not announce",
        );
      }
      if (state !== "live" && !this.#overStreams.has(stream)) {
        this.#overStreams.add(stream);
        this.#ended++;
      }
      if (state === "lost") this.#tellLost(stream, frames);
      else if (!this.#lost.has(stream)) this.#changed.set(stream, frames);
    }
    this.#dryAt = !isDry || this.#starting > 0 || this.#lost.size > 0 ? undefined : this.#dryAt ?? now;
    if (streams.length > 0) this.#look();
  }

  /** To be called when {@linkcode BulkReceiver.deadline} has come. */
  tick(now: number): void {
    if (this.#dryAt !== undefined && now - this.#dryAt >= DRY_MS) {
      throw new WormholeError(
        "PROTOCOL",
        "Cannot go on: the other side ended its data before all of it was sent",
      );
    }
    if (now >= this.#tellAt()) this.#look();
  }

  /** Nothing more is outstanding: tells what is still untold. */
  end(now: number): void {
    if (this.#changed.size > 0) this.#tell(now);
    this.#active = false;
  }

  #announcedMore({ link = 0, count }: MessageOf<"bulk_streams">): void {
    const isEarly = this.#finding && !this.#known.has(link);
    if (!isEarly && !this.#known.has(link)) throw unexpected("bulk_streams");
    if (
      this.#announced - this.#ended + count > OPEN_SHARES * this.#options.streams ||
      this.#announced + count > MAX_STREAM_NUMBERS
    ) {
      throw new WormholeError(
        "LIMIT_EXCEEDED",
        "Cannot go on: the other side opens more streams than were agreed on",
      );
    }
    this.#announced += count;
    if (isEarly) {
      this.#early.push({ link, count });
      return;
    }
    if (!this.#links.has(link)) {
      // They will never come.
      this.#ended += count;
      return;
    }
    this.#start(link, count);
  }

  #start(link: number, streams: number): void {
    this.#starting++;
    this.#dryAt = undefined;
    this.#options.act({ type: "start", link, streams });
  }

  #notOpened({ link, count, error }: BulkReceiverEvent & { type: "not_opened" }): void {
    this.#starting--;
    this.#ended += count;
    if (!this.#links.has(link)) return;
    // Without a single stream there is no transfer, and the reason says more than its absence.
    if (!this.#opened) throw error;
    this.#options.send({ type: "bulk_refused", link, count });
  }

  #linked(link: number): void {
    this.#known.add(link);
    this.#links.add(link);
    this.#finding = false;
    this.#options.act({ type: "watch_link", link });
    for (const early of this.#early.splice(0)) {
      if (early.link !== link) throw unexpected("bulk_streams");
      this.#start(link, early.count);
    }
  }

  #drop(link: number, { tell }: { tell: boolean }): void {
    if (!this.#links.delete(link)) return;
    if (tell) this.#options.send({ type: "link_lost", link });
    this.#options.act({ type: "drop_link", link });
  }

  #tellLost(stream: number, frames: number): void {
    if (this.#lost.has(stream)) return;
    this.#lost.add(stream);
    this.#changed.delete(stream);
    if (!this.#overStreams.has(stream)) {
      this.#overStreams.add(stream);
      this.#ended++;
    }
    this.#options.send({ type: "bulk_lost", stream, frames });
  }

  #tellAt(): number {
    return this.#active && !this.#looking ? this.#toldAt + TELL_EVERY_MS : Infinity;
  }

  #look(): void {
    if (this.#looking) return;
    this.#looking = true;
    this.#options.act({ type: "look_at_links" });
  }

  #tell(now: number): void {
    if (!this.#active) return;
    this.#toldAt = now;
    const all = [...this.#changed];
    this.#changed.clear();
    do {
      const streams = all.splice(0, MAX_ACKNOWLEDGED_STREAMS);
      this.#options.send(writeAcknowledgement({ time: Math.floor(now), streams, links: this.#received }));
    } while (all.length > 0);
  }
}
