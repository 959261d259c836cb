/**
 * The control stream of a sync session: messages in order, answers to pings, and the notice that the other machine is gone.
 * wire/spec/sync.md §2.
 */
import type { Clock, Timer } from "../../base/clock.ts";
import { type ErrorCode, isWormholeError, WormholeError } from "../../base/errors.ts";
import type { Link } from "../../transport/connection.ts";
import { Liveness } from "../../transfer/liveness.ts";
import {
  decodeSyncMessage,
  encodeSyncMessage,
  type SyncMessage,
  type SyncMessageOf,
  type SyncMessageType,
} from "../../wire/mod.ts";
import { stateOf } from "./states.ts";

/** Messages that may wait to be taken before no more are read. */
const MAX_WAITING = 64;

/** Protocol of sync sessions that this program speaks. */
const VERSION = { major: 1, minor: 1 } as const;

/** Options of {@linkcode SyncChannel.open}. */
export interface ChannelOptions {
  /** Program and version, such as `wormhole/0.1.0`. */
  readonly agent: string;
  readonly clock: Clock;
  /** Told each time that something has changed in the folder of the other side. */
  onNews?(): void;
}

/** One side's end of the control stream; see the top of this file. */
export class SyncChannel implements AsyncDisposable {
  readonly #connection: Pick<Link, "send" | "recv" | "close">;
  readonly #options: ChannelOptions;
  readonly #over = new AbortController();
  readonly #ready: SyncMessage[] = [];
  readonly #liveness: Liveness;
  #reading: Promise<void> = Promise.resolve();
  #wanted: PromiseWithResolvers<void> | undefined;
  #taken: PromiseWithResolvers<void> | undefined;
  #failure: unknown;
  #timer: Timer | undefined;
  #pings = 0;
  #wasEnded = false;
  #minor = 0;
  /** Frames that have come. */
  #frames = 0;
  #heard: PromiseWithResolvers<void> | undefined;

  private constructor(connection: Pick<Link, "send" | "recv" | "close">, options: ChannelOptions) {
    this.#connection = connection;
    this.#options = options;
    this.#liveness = new Liveness(options.clock.monotonic());
  }

  /** Greets the other side. @throws {WormholeError} VERSION_UNSUPPORTED, PROTOCOL; what the link throws. */
  static async open(
    connection: Pick<Link, "send" | "recv" | "close">,
    options: ChannelOptions,
  ): Promise<SyncChannel> {
    const channel = new SyncChannel(connection, options);
    try {
      const nonce = crypto.getRandomValues(new Uint8Array(16));
      const { agent } = options;
      channel.#reading = channel.#read();
      channel.#schedule();
      await channel.send({ type: "hello", version: VERSION, agent, nonce });
      const hello = await channel.next();
      if (hello.type !== "hello" || hello.nonce.every((byte, i) => byte === nonce[i])) {
        throw unexpected(hello.type);
      }
      const { major, minor } = hello.version;
      if (major !== VERSION.major) {
        throw new WormholeError(
          "VERSION_UNSUPPORTED",
          `Cannot synchronize with the other side: it speaks version ${major}.${minor}, this program ${VERSION.major}.${VERSION.minor}`,
        );
      }
      channel.#minor = minor;
      return channel;
    } catch (error) {
      await channel.fail(error);
      throw error;
    }
  }

  /** Aborts when nothing more can come. */
  get signal(): AbortSignal {
    return this.#over.signal;
  }

  /** Minor version that the other side speaks. */
  get minor(): number {
    return this.#minor;
  }

  /** The other side closed the connection in good order. */
  get wasEnded(): boolean {
    return this.#wasEnded;
  }

  async send(message: SyncMessage): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    await this.#connection.send(encodeSyncMessage(message));
  }

  /** Gives the next message. One call at a time. @throws {WormholeError} CONNECTION_LOST, PEER_FROZEN, PROTOCOL; the peer's code. */
  async next({ signal }: { signal?: AbortSignal } = {}): Promise<SyncMessage> {
    const abort = () => this.#wanted?.resolve();
    signal?.addEventListener("abort", abort);
    try {
      for (;;) {
        signal?.throwIfAborted();
        const message = this.#ready.shift();
        this.#taken?.resolve();
        if (message !== undefined) return message;
        if (this.#failure !== undefined) throw this.#failure;
        this.#wanted = Promise.withResolvers();
        await this.#wanted.promise;
      }
    } finally {
      signal?.removeEventListener("abort", abort);
    }
  }

  /**
   * Gives the next message, which must be a `type`. `refusal` makes the error of a refusal.
   *
   * @throws {WormholeError} the peer's code when it refuses; PROTOCOL for another message; as {@linkcode SyncChannel.next}.
   */
  async expect<T extends SyncMessageType>(
    type: T,
    { refusal = (code) => notSynchronized(code) }: { refusal?: (code: ErrorCode) => WormholeError } = {},
  ): Promise<SyncMessageOf<T>> {
    const message = await this.next();
    if (message.type === type) return message as SyncMessageOf<T>;
    if (message.type === "refused") throw refusal(message.code);
    throw unexpected(message.type);
  }

  /** Tells whether the other side gives a sign of life within `ms`. */
  async isAlive(ms: number, clock: Clock): Promise<boolean> {
    const before = this.#frames;
    const heard = Promise.withResolvers<void>();
    this.#heard = heard;
    using _timer = clock.timer(ms, heard.resolve);
    await this.send({ type: "ping", nonce: this.#pings++ >>> 0 }).catch(heard.resolve);
    await heard.promise;
    return this.#frames > before && !this.#over.signal.aborted;
  }

  /** Ends it; the other side gets the error's code. */
  async fail(error: unknown): Promise<void> {
    this.#end(error);
    await this.#connection.close(closingCode(error)).catch(() => {}); // It may be gone.
    await this.#reading;
  }

  /** Ends it cleanly. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#end(new WormholeError("CLOSED", "Cannot go on: the session is over"));
    await this.#connection.close().catch(() => {}); // It may be gone.
    await this.#reading;
  }

  async #read(): Promise<void> {
    const { signal } = this.#over;
    try {
      while (!signal.aborted) {
        const frame = await this.#connection.recv({ signal });
        if (frame === undefined) {
          this.#wasEnded = this.#failure === undefined;
          throw new WormholeError("CONNECTION_LOST", "Cannot go on: the other side ended the connection");
        }
        this.#liveness.heard(this.#options.clock.monotonic());
        this.#frames++;
        this.#heard?.resolve();
        await this.#take(decodeSyncMessage(frame));
      }
    } catch (error) {
      this.#end(error);
    }
  }

  async #take(message: ReturnType<typeof decodeSyncMessage>): Promise<void> {
    switch (message.type) {
      case "unknown":
      case "pong":
        return;
      case "ping":
        return await this.send({ type: "pong", nonce: message.nonce });
      case "news":
        return this.#options.onNews?.();
      default:
        this.#ready.push(message);
        this.#wanted?.resolve();
    }
    while (this.#ready.length >= MAX_WAITING && !this.#over.signal.aborted) {
      this.#taken = Promise.withResolvers();
      await this.#taken.promise;
    }
  }

  #end(error: unknown): void {
    this.#failure ??= error;
    this.#timer?.cancel();
    this.#over.abort(this.#failure);
    this.#wanted?.resolve();
    this.#taken?.resolve();
    this.#heard?.resolve();
  }

  #schedule(): void {
    const { clock } = this.#options;
    const due = Math.max(0, this.#liveness.deadline - clock.monotonic());
    this.#timer = clock.timer(due, () => {
      if (this.#over.signal.aborted) return;
      const state = this.#liveness.tick(clock.monotonic());
      if (state === "frozen") {
        const error = new WormholeError(
          "PEER_FROZEN",
          "Cannot go on: the other side does not answer any more",
        );
        return void this.fail(error);
      }
      // Whoever reads notices a dead link.
      if (state === "ping") this.send({ type: "ping", nonce: this.#pings++ >>> 0 }).catch(() => {});
      this.#schedule();
    });
  }
}

/** Gives the error for a message that may not come now. */
export function unexpected(type: string): WormholeError {
  return new WormholeError("PROTOCOL", `Cannot go on: the other side sent "${type}" out of turn`);
}

/** Gives the error of a refusal; `state`: what it means where it is not what it mostly does. */
export function notSynchronized(code: ErrorCode, state: string = stateOf(code)): WormholeError {
  return new WormholeError(code, `Cannot synchronize with the other side: ${state}`);
}

function closingCode(error: unknown): ErrorCode {
  if (!isWormholeError(error)) return "INTERNAL";
  return error.code === "INTERRUPTED" ? "CANCELLED" : error.code;
}
