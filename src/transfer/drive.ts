/** Runs a machine over a connection: control messages, timers and operations in, actions out. */
import type { Clock, Timer } from "../base/clock.ts";
import { type ErrorCode, isWormholeError, WormholeError } from "../base/errors.ts";
import type { Link } from "../transport/connection.ts";
import { decodeMessage, encodeMessage, type Message } from "../wire/mod.ts";
import type { CommonAction, CommonEvent, TransferMachine } from "./machine.ts";
import type { Progress, TransferOutcome } from "./outcome.ts";

/** Messages that may wait for the link before we read on: a peer that does not read must not fill our memory. */
const MAX_WAITING_MESSAGES = 64;

/** Operations that may run before we read on: a peer that asks faster than we can do must wait. */
const MAX_RUNNING = 64;

/** How long the last message may take to leave before the connection is closed, in ms. */
const LAST_WORDS_MS = 1000;

/** What {@linkcode drive} needs. */
export interface DriveOptions<Event, Action> {
  readonly machine: TransferMachine<Event, Action>;
  readonly connection: Pick<Link, "send" | "recv" | "close">;
  readonly clock: Clock;
  /**
   * Does one action; what it resolves to is the machine's next event. `signal` aborts when the transfer is over, so
   * that waiting operations end; a rejection is the machine's `failed` event.
   */
  perform(action: Action, signal: AbortSignal): Promise<Event | undefined>;
  onProgress?(progress: Progress): void;
  readonly signal?: AbortSignal;
}

/**
 * Runs the machine to its end. On failure the peer is told and the connection closed; on success it stays open.
 *
 * @throws {WormholeError} what the machine failed with; the signal's reason when aborted.
 */
export function drive<Event, Action extends { type: string }>(
  options: DriveOptions<Event, Action>,
): Promise<TransferOutcome> {
  return new Drive(options).run();
}

class Drive<Event, Action extends { type: string }> {
  readonly #options: DriveOptions<Event, Action>;
  readonly #over = new AbortController();
  readonly #ending = Promise.withResolvers<TransferOutcome>();
  #sending: Promise<void> = Promise.resolve();
  #waiting = 0;
  #running = 0;
  #someEnded = Promise.withResolvers<void>();
  #timer: Timer | undefined;

  constructor(options: DriveOptions<Event, Action>) {
    this.#options = options;
  }

  async run(): Promise<TransferOutcome> {
    const { signal } = this.#options;
    const abort = () => this.#post({ type: "abort", reason: signal!.reason });
    signal?.addEventListener("abort", abort, { once: true });
    try {
      this.#post({ type: "start" });
      if (signal?.aborted) abort();
      const reading = this.#read();
      const outcome = await this.#ending.promise;
      await this.#lastWords();
      this.#over.abort();
      await reading;
      return outcome;
    } finally {
      this.#over.abort();
      this.#timer?.cancel();
      signal?.removeEventListener("abort", abort);
    }
  }

  #post(event: Event | CommonEvent): void {
    const { machine, clock } = this.#options;
    let actions: (Action | CommonAction)[];
    try {
      actions = machine.handle(event, clock.monotonic());
    } catch (error) {
      // A fault of ours: the peer must not wait for somebody who is lost.
      return this.#fail(error, "INTERNAL");
    }
    for (const action of actions) this.#do(action);
    this.#timer?.cancel();
    const { deadline } = machine;
    if (deadline === Infinity || this.#over.signal.aborted) return;
    this.#timer = clock.timer(Math.max(0, deadline - clock.monotonic()), () => this.#post({ type: "tick" }));
  }

  #do(action: Action | CommonAction): void {
    const common = action as CommonAction;
    switch (common.type) {
      case "send":
        return this.#send(common.message);
      case "progress":
        return this.#options.onProgress?.(common.progress);
      case "finish":
        return this.#ending.resolve(common.outcome);
      case "fail":
        return this.#fail(common.error, common.closeWith);
      default:
        this.#perform(action as Action);
    }
  }

  #perform(action: Action): void {
    this.#running++;
    const ended = () => {
      this.#running--;
      this.#someEnded.resolve();
    };
    this.#options.perform(action, this.#over.signal).finally(ended).then(
      (event) => event !== undefined && this.#post(event),
      (error) => this.#over.signal.aborted || this.#post({ type: "failed", error: asError(error) }),
    );
  }

  #send(message: Message): void {
    this.#waiting++;
    const frame = encodeMessage(message);
    this.#sending = this.#sending.then(() => this.#options.connection.send(frame)).then(
      () => void this.#waiting--,
      (error) => {
        this.#waiting--;
        // The reading side knows better why a link is dead; a machine takes the first of the two.
        if (!this.#over.signal.aborted) this.#post({ type: "failed", error: asError(error) });
      },
    );
  }

  async #read(): Promise<void> {
    const { connection } = this.#options;
    const { signal } = this.#over;
    signal.addEventListener("abort", () => this.#someEnded.resolve(), { once: true });
    try {
      while (!signal.aborted) {
        const frame = await connection.recv({ signal });
        if (frame === undefined) return this.#post({ type: "closed" });
        this.#post({ type: "message", message: decodeMessage(frame) });
        if (this.#waiting > MAX_WAITING_MESSAGES) await this.#sending;
        while (this.#running > MAX_RUNNING && !signal.aborted) {
          this.#someEnded = Promise.withResolvers();
          await this.#someEnded.promise;
        }
      }
    } catch (error) {
      if (!signal.aborted) this.#post({ type: "link_failed", error: asError(error) });
    }
  }

  #fail(error: unknown, closeWith: ErrorCode): void {
    const close = async () => {
      await this.#lastWords();
      this.#over.abort();
      const closing = this.#options.connection.close(closeWith).catch(() => {});
      // Whoever closed it here has given it up, and a dead one takes its time.
      if (!isWormholeError(error, "CLOSED")) await closing;
      this.#ending.reject(error);
    };
    close();
  }

  /** Lets what was sent last leave, but not for long: the peer may be frozen. */
  async #lastWords(): Promise<void> {
    const wait = Promise.withResolvers<void>();
    using _ = this.#options.clock.timer(LAST_WORDS_MS, wait.resolve);
    await Promise.race([this.#sending, wait.promise]);
  }
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new WormholeError("INTERNAL", String(error));
}
