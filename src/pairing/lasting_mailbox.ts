/**
 * A mailbox whose connection comes back by itself: the same nameplate under the same side, which nobody else knows. The server
 * gives every message again and the client passes each on once; wire/spec/mailbox.md §5.1.
 */
import { anySignal } from "../base/any_signal.ts";
import { type Clock, systemClock } from "../base/clock.ts";
import { isWormholeError, WormholeError } from "../base/errors.ts";
import type { RelayOffer } from "./relay_offer.ts";
import { type Mailbox, MailboxClient, type MailboxMessage, type Mood } from "./mailbox_client.ts";

/** How long a server may be away while nobody has come: it keeps a mailbox that long without anybody there. */
export const WAITING_MS = 60 * 60_000;

/** The same once the other side has spoken, or for who came to a code: somebody watches then. */
export const TALKING_MS = 12_000;

/** Pause before the first try, in ms; each further one is twice as long, up to the longest. */
const FIRST_PAUSE_MS = 300;
const LONGEST_PAUSE_MS = 20_000;

/** How often a server that says nothing is asked whether it is there: a vanished one does not hang up. */
const ASK_MS = 20_000;

/** Options of {@linkcode LastingMailbox}. */
export interface LastingOptions {
  readonly appId: string;
  /** For who made the code: what a server that has forgotten the nameplate is told. */
  readonly make?: { readonly reuse: boolean };
  /** How long a server may take to answer; {@linkcode TALKING_MS} when left out. */
  readonly timeoutMs?: number;
  /** How long to try while the other side has not spoken, in ms; {@linkcode WAITING_MS} when left out. */
  readonly waitingMs?: number;
  /** Told once for each loss. */
  readonly onLost?: (error: WormholeError) => void;
  readonly clock?: Clock;
  /** 0 to 1, so that all who lost a server do not come back at once. */
  readonly random?: () => number;
}

/** See the module. Disposing of it hangs up. */
export class LastingMailbox implements Mailbox, AsyncDisposable {
  readonly side: string;
  readonly #options: LastingOptions;
  readonly #clock: Clock;
  /** Own messages by phase, for a server that did not get them. */
  readonly #sent = new Map<string, Uint8Array>();
  /** Messages that were passed on, by side and phase; a server keeps 100. */
  readonly #had = new Set<string>();
  #client: MailboxClient;
  #ended = false;
  #cameBack = false;

  constructor(client: MailboxClient, options: LastingOptions) {
    this.#client = client;
    this.side = client.side;
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
  }

  /** That of the connection that is there now. */
  get relay(): RelayOffer | undefined {
    return this.#client.relay;
  }

  add(phase: string, body: Uint8Array): void {
    this.#sent.set(phase, body);
    try {
      this.#client.add(phase, body);
    } catch (error) {
      // It is added again when the connection is back, for which next() sees.
      if (!this.#isLost(error)) throw error;
    }
  }

  async next({ signal }: { signal?: AbortSignal } = {}): Promise<MailboxMessage> {
    for (;;) {
      let message: MailboxMessage;
      try {
        message = await this.#attended((signal) => this.#client.next({ signal }), signal);
      } catch (error) {
        signal?.throwIfAborted();
        if (this.#cameBack && isWormholeError(error, "CODE_NOT_FOUND")) throw forgotten(error);
        if (!this.#isLost(error)) throw error;
        await this.#comeBack(error, signal);
        continue;
      }
      const name = `${message.side} ${message.phase}`;
      if (this.#had.has(name)) continue;
      this.#had.add(name);
      return message;
    }
  }

  async close(mood: Mood): Promise<void> {
    await this.#client.close(mood);
    // Who has heard all that it waits for does not notice otherwise that what it said last was lost.
    if (mood !== "happy" || this.#client.hasSaidAll || this.#ended) return;
    try {
      await this.#comeBack(new WormholeError("CONNECTION_LOST", "the connection was lost"), undefined);
      await this.#client.close(mood);
    } catch (error) {
      // The server stays away; what the other side lacks it says itself.
      if (!isWormholeError(error)) throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended = true;
    await this.#client[Symbol.asyncDispose]();
  }

  /** Runs `wait` while the server is asked now and then whether it is there. */
  async #attended<T>(wait: (signal: AbortSignal) => Promise<T>, signal: AbortSignal | undefined): Promise<T> {
    const over = new AbortController();
    const limit = anySignal(signal, over.signal);
    const client = this.#client;
    const ask = async () => {
      for (;;) {
        await this.#clock.sleep(ASK_MS, { signal: limit });
        await client.ask();
      }
    };
    // What it finds out ends `wait`; its own end, also that of a question under way, says nothing more.
    ask().catch(() => {});
    try {
      return await wait(limit);
    } finally {
      over.abort();
    }
  }

  /** @throws {WormholeError} `lost` when the server stays away; what it says when it does not take this side again. */
  async #comeBack(lost: WormholeError, signal: AbortSignal | undefined): Promise<void> {
    const { appId, make, timeoutMs = TALKING_MS, waitingMs = WAITING_MS } = this.#options;
    const { onLost, random = Math.random } = this.#options;
    const before = this.#client;
    await before[Symbol.asyncDispose]();
    onLost?.(lost);
    const until = this.#clock.monotonic() +
      (this.#had.size > 0 ? Math.min(TALKING_MS, waitingMs) : waitingMs);
    for (let pause = FIRST_PAUSE_MS;; pause = Math.min(pause * 2, LONGEST_PAUSE_MS)) {
      const wait = pause * (0.5 + random());
      if (this.#clock.monotonic() + wait > until) throw lost;
      await this.#clock.sleep(wait, { ...signal && { signal } });
      let client: MailboxClient | undefined;
      try {
        const about = { ...signal && { signal } };
        client = await MailboxClient.connect(before.url, { appId, side: this.side, timeoutMs, ...about });
        await client.replace(before, { ...make && { make }, ...about });
        // Those that the server has already it gives to nobody twice who looks at phases, which all clients do.
        for (const [phase, body] of this.#sent) client.add(phase, body);
        this.#client = client;
        this.#cameBack = true;
        return;
      } catch (error) {
        await client?.[Symbol.asyncDispose]();
        signal?.throwIfAborted();
        if (!this.#isLost(error)) throw error;
      }
    }
  }

  #isLost(error: unknown): error is WormholeError {
    return !this.#ended && isWormholeError(error, "CONNECTION_LOST", "HUB_UNREACHABLE");
  }
}

function forgotten(cause: WormholeError): WormholeError {
  return new WormholeError(
    "CODE_EXPIRED",
    "Cannot go on with this code: the hub has forgotten it; the sender has to make a new one",
    { cause },
  );
}
