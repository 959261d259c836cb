import {
  closePipe,
  connect,
  type Connected,
  deafen,
  listen,
  type ListeningHandle,
  type Place,
} from "../native/compat.ts";
import type { NativeQueue } from "../native/queue.ts";
import { COMPAT_APP_ID } from "./meeting.ts";
import { type Conversation } from "./conversation.ts";
import { type PeerPlaces, transitMessage } from "./messages.ts";

/** How long the two try to connect; a relay's other side may come late. */
const CONNECT_MS = 60_000;

/** A connection for bulk bytes, from the ports that are opened first to the one that is used. */
export class Link implements AsyncDisposable {
  readonly #queue: NativeQueue;
  readonly #listening: ListeningHandle;
  readonly #relays: readonly Place[];
  readonly #places: readonly Place[];
  #connected: Connected | undefined;

  private constructor(
    queue: NativeQueue,
    { listening, places, relays }: { listening: ListeningHandle; places: Place[]; relays: readonly Place[] },
  ) {
    this.#queue = queue;
    this.#listening = listening;
    this.#places = places;
    this.#relays = relays;
  }

  /** Listens; `relays` are this side's own. */
  static async open(queue: NativeQueue, relays: readonly Place[]): Promise<Link> {
    return new Link(queue, { ...await listen(queue), relays });
  }

  /** The message that tells the peer where we are. */
  get message(): object {
    return transitMessage({ direct: this.#places, relays: this.#relays });
  }

  /** Connects to the peer of `conversation`. @throws {WormholeError} CONNECT_FAILED. */
  async connect(
    { conversation, sender, peer, signal }: {
      conversation: Pick<Conversation, "derive">;
      sender: boolean;
      peer: PeerPlaces;
      signal: AbortSignal;
    },
  ): Promise<Connected> {
    this.#connected = await connect(this.#queue, {
      listening: this.#listening,
      key: conversation.derive(`${COMPAT_APP_ID}/transit-key`),
      sender,
      direct: peer.direct,
      relays: [...this.#relays, ...peer.relays],
      timeoutMs: CONNECT_MS,
      signal,
    });
    return this.#connected;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await deafen(this.#queue, this.#listening);
    if (this.#connected) await closePipe(this.#queue, this.#connected.pipe);
  }
}
