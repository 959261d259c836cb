/**
 * Takes every link that the peer makes once the session has its first: further links join it, others reconnect it. What
 * is neither, or another's, is closed. wire/spec/handshake.md §3, streams.md §1.
 */
import { sameSecret } from "../base/bytes.ts";
import { type Clock, systemClock } from "../base/clock.ts";
import { isWormholeError, WormholeError } from "../base/errors.ts";
import { abortable } from "../transport/abortable.ts";
import type { FurtherLink, Link } from "../transport/connection.ts";
import { authenticated, sameKey } from "./authenticated.ts";
import { withDeadline } from "./deadline.ts";
import { decodeReconnect } from "./reconnect_frame.ts";
import { type Acceptor, joinedNumber } from "./selection.ts";

/** How long a link may take to say what it is. */
const WORD_MS = 10_000;

/** Links that may stand at the door without a word: a peer makes a handful at once. */
const MAX_WORDLESS = 16;

/** Links of one kind that may wait to be taken. */
const MAX_WAITING = 8;

/** A link on which the peer has shown the session's secret. */
export interface Returned {
  readonly link: Link;
  /** As in {@linkcode Reconnect}. */
  readonly number: number;
}

/** What {@linkcode Door} needs. */
export interface DoorOptions {
  /** 32 bytes: the only key that is let in. */
  readonly peerKey: Uint8Array;
  /** 16 bytes. */
  readonly secret: Uint8Array;
  readonly clock?: Clock;
}

/** Stands open from its making until it is disposed of. */
export class Door implements AsyncDisposable {
  readonly #options: DoorOptions;
  readonly #closed = new AbortController();
  readonly #joining = new Waiting<FurtherLink>();
  readonly #returning = new Waiting<Returned>();
  readonly #wordless = new Set<Promise<void>>();
  readonly #accepting: Promise<void>;

  constructor(acceptor: Acceptor, options: DoorOptions) {
    this.#options = options;
    this.#accepting = this.#accept(acceptor);
  }

  /** Gives the next link that joins. One call at a time. @throws what ended the accepting; the signal's reason. */
  joined({ signal }: { signal?: AbortSignal } = {}): Promise<FurtherLink> {
    return this.#joining.next(signal);
  }

  /** Gives the next link that reconnects. One call at a time. @throws what ended the accepting; the signal's reason. */
  returned({ signal }: { signal?: AbortSignal } = {}): Promise<Returned> {
    return this.#returning.next(signal);
  }

  /** Closes what waits, and lets nobody in any more. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed.abort(new WormholeError("CLOSED", "Cannot wait for the other machine: the session is over"));
    await this.#accepting;
    await Promise.all(this.#wordless);
    await Promise.all([...this.#joining.end(), ...this.#returning.end()].map(({ link }) => discard(link)));
  }

  async #accept(acceptor: Acceptor): Promise<void> {
    const { signal } = this.#closed;
    try {
      for (;;) {
        const link = await acceptor.accept({ signal });
        if (this.#wordless.size >= MAX_WORDLESS || signal.aborted) await discard(link, "REFUSED");
        else {
          const judged = this.#judge(link).finally(() => this.#wordless.delete(judged));
          this.#wordless.add(judged);
        }
      }
    } catch (error) {
      this.#joining.fail(error);
      this.#returning.fail(error);
    }
  }

  async #judge(link: Link): Promise<void> {
    try {
      if (sameKey(link.peerKey, this.#options.peerKey) && await this.#take(link)) return;
    } catch (error) {
      // One link that says nothing, or nonsense, is no reason to close the door for others.
      if (!isWormholeError(error)) this.#returning.fail(error);
    }
    await discard(link, "REFUSED");
  }

  async #take(link: Link): Promise<boolean> {
    const { peerKey, secret, clock = systemClock } = this.#options;
    const frame = await withDeadline((signal) => link.recv({ signal }), {
      ms: WORD_MS,
      late: (cause) => new WormholeError("TIMEOUT", "Cannot take a link: it says nothing", { cause }),
      clock,
      signal: this.#closed.signal,
    });
    if (frame === undefined) return false;
    const reconnect = decodeReconnect(frame);
    if (reconnect !== undefined) {
      return sameSecret(reconnect.secret, secret) && this.#returning.add({ link, number: reconnect.link });
    }
    const number = joinedNumber(frame);
    return number !== undefined && this.#joining.add({ number, link: authenticated(link, peerKey) });
  }
}

/** A link that is not taken carries nothing, so how its end goes matters to nobody. */
export async function discard(link: Link, code?: "REFUSED"): Promise<void> {
  await link.close(code).catch(() => {});
}

/** What came and what waits for it. */
class Waiting<T> {
  readonly #ready: T[] = [];
  #wanted: PromiseWithResolvers<void> | undefined;
  #failure: { readonly error: unknown } | undefined;
  #over = false;

  /** Tells whether there was room. */
  add(value: T): boolean {
    if (this.#over || this.#ready.length >= MAX_WAITING) return false;
    this.#ready.push(value);
    this.#wanted?.resolve();
    return true;
  }

  fail(error: unknown): void {
    this.#failure ??= { error };
    this.#wanted?.resolve();
  }

  async next(signal: AbortSignal | undefined): Promise<T> {
    for (;;) {
      signal?.throwIfAborted();
      const value = this.#ready.shift();
      if (value !== undefined) return value;
      if (this.#failure) throw this.#failure.error;
      this.#wanted = Promise.withResolvers();
      await abortable(this.#wanted.promise, signal);
    }
  }

  /** Takes no more; gives what nobody took. */
  end(): T[] {
    this.#over = true;
    return this.#ready.splice(0);
  }
}

/** Gives `door` and its endpoint as one: what came in is closed first. */
export function behind(door: Door, endpoint: AsyncDisposable): AsyncDisposable {
  return {
    async [Symbol.asyncDispose]() {
      await door[Symbol.asyncDispose]();
      await endpoint[Symbol.asyncDispose]();
    },
  };
}
