/**
 * Being at one meeting point of two machines that know each other: whoever else is there, each of its visits apart
 * from the others, so that what a crashed program left, or one that comes by several ways, harms nobody. wire/spec/known_peers.md §4.
 */
import { WormholeError } from "../base/errors.ts";
import { KNOWN_APP_ID, type KnownPlace } from "../pairing/known_place.ts";
import { type Mailbox, MailboxClient, type MailboxMessage } from "../pairing/mailbox_client.ts";
import type { RelayOffer } from "../pairing/relay_offer.ts";
import { abortable } from "../transport/abortable.ts";

/** Visits of the other side that are answered in one mailbox; it holds 100 messages. */
const MAX_VISITS = 24;

/** Messages of one visit that wait to be read; an exchange has three. */
const MAX_WAITING = 16;

/** Bytes of the random name of a visit. */
const NAME_BYTES = 8;

const HERE = /^here-([0-9a-f]{16})$/;
const ADDRESSED = /^to-([0-9a-f]{16})-([0-9a-f]{16})-([a-z0-9]{1,16})$/;

/** What {@linkcode visit} needs. */
export interface VisitOptions {
  readonly place: KnownPlace;
  readonly role: "sender" | "receiver";
  /** Called for each visit of the other side, with a mailbox that holds only what the two say to each other. */
  readonly greet: (mailbox: Mailbox) => void;
  readonly signal: AbortSignal;
}

/**
 * Is at the meeting point at the server `url` until the signal aborts.
 *
 * @throws {WormholeError} when the server cannot be reached, refuses, or is lost; the signal's reason.
 */
export async function visit(
  url: URL,
  { place, role, greet, signal }: VisitOptions,
): Promise<never> {
  await using client = await MailboxClient.connect(url, {
    appId: KNOWN_APP_ID,
    side: place.sides[role],
    signal,
  });
  const own = crypto.getRandomValues(new Uint8Array(NAME_BYTES)).toHex();
  client.open(place.mailbox);
  client.add(`here-${own}`, new Uint8Array(1));
  const lanes = new Map<string, Lane>();
  try {
    for (;;) {
      const message = await client.next({ signal });
      // This side's other visits are no matter here.
      if (message.side !== place.sides[role === "sender" ? "receiver" : "sender"]) continue;
      const here = HERE.exec(message.phase)?.[1];
      if (here !== undefined && !lanes.has(here)) {
        if (lanes.size >= MAX_VISITS) dropOldest(lanes);
        const lane = new Lane(client, { from: own, to: here });
        lanes.set(here, lane);
        greet(lane);
        continue;
      }
      const [, to, from, phase] = ADDRESSED.exec(message.phase) ?? [];
      if (to === own) lanes.get(from!)?.take({ ...message, phase: phase! });
    }
  } finally {
    for (const lane of lanes.values()) lane.end();
  }
}

/** Whoever came last is likeliest to be there still. */
function dropOldest(lanes: Map<string, Lane>): void {
  for (const [name, lane] of lanes) {
    lane.end();
    lanes.delete(name);
    return;
  }
}

/** The part of a mailbox that is between two visits. */
class Lane implements Mailbox {
  readonly side: string;
  readonly relay: RelayOffer | undefined;
  readonly #client: MailboxClient;
  readonly #prefix: string;
  readonly #waiting: MailboxMessage[] = [];
  #wanted: PromiseWithResolvers<void> | undefined;
  #over = false;

  constructor(client: MailboxClient, { from, to }: { from: string; to: string }) {
    this.side = client.side;
    this.relay = client.relay;
    this.#client = client;
    this.#prefix = `to-${to}-${from}-`;
  }

  add(phase: string, body: Uint8Array): void {
    this.#client.add(`${this.#prefix}${phase}`, body);
  }

  async next({ signal }: { signal?: AbortSignal } = {}): Promise<MailboxMessage> {
    for (;;) {
      signal?.throwIfAborted();
      const message = this.#waiting.shift();
      if (message !== undefined) return message;
      if (this.#over) throw new WormholeError("CONNECTION_LOST", "Cannot go on here: the mailbox is left");
      this.#wanted = Promise.withResolvers();
      await abortable(this.#wanted.promise, signal);
    }
  }

  /** The mailbox is left as a whole, not by one exchange. */
  close(): Promise<void> {
    return Promise.resolve();
  }

  take(message: MailboxMessage): void {
    if (this.#waiting.length < MAX_WAITING) this.#waiting.push(message);
    this.#wanted?.resolve();
  }

  end(): void {
    this.#over = true;
    this.#wanted?.resolve();
  }
}
