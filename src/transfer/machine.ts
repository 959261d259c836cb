/**
 * What both ends of a transfer have in common, as a pure machine: hello, liveness, cancel and error. Events and the
 * time go in, actions come out; nothing here waits or touches the connection.
 */
import { type ErrorCode, isWormholeError, WormholeError } from "../base/errors.ts";
import type { Message, MessageOf, UnknownMessage } from "../wire/mod.ts";
import { checkHello } from "./handshake.ts";
import { Liveness } from "./liveness.ts";
import type { Progress, TransferOutcome } from "./outcome.ts";
import { peerCancelled, peerError } from "./peer_error.ts";

/** What happens to either end. */
export type CommonEvent =
  | { readonly type: "start" }
  | { readonly type: "message"; readonly message: Message | UnknownMessage }
  /** The time that {@linkcode TransferMachine.deadline} told has come. */
  | { readonly type: "tick" }
  /** The peer ended the connection cleanly. */
  | { readonly type: "closed" }
  /** The control stream failed, or what came over it is not a message. */
  | { readonly type: "link_failed"; readonly error: Error }
  /** One of our own operations failed. */
  | { readonly type: "failed"; readonly error: Error }
  | { readonly type: "abort"; readonly reason: unknown };

/** What either end wants done. */
export type CommonAction =
  | { readonly type: "send"; readonly message: Message }
  | { readonly type: "progress"; readonly progress: Progress }
  | { readonly type: "finish"; readonly outcome: TransferOutcome }
  | { readonly type: "fail"; readonly error: unknown; readonly closeWith: ErrorCode };

/** How long a broken link's reason may take to arrive after its effect, in ms. */
const REASON_WAIT_MS = 1000;

/** Codes that a lost connection shows as; the control stream may tell the true reason a moment later. */
const LOST_CODES: readonly ErrorCode[] = ["CONNECTION_LOST", "CLOSED"];

/** One end of a transfer; `Event` and `Action` are what its role adds. */
export abstract class TransferMachine<Event, Action> {
  readonly #hello: MessageOf<"hello">;
  #actions: (Action | CommonAction)[] = [];
  #liveness: Liveness | undefined;
  #peer: MessageOf<"hello"> | undefined;
  #pings = 0;
  #ended = false;
  #lost: { error: Error; deadline: number } | undefined;
  /** Time of the event at hand, in ms. */
  protected now = 0;

  constructor(hello: MessageOf<"hello">) {
    this.#hello = hello;
  }

  /** When a tick is due, in ms; Infinity once ended. */
  get deadline(): number {
    if (this.#ended) return Infinity;
    return Math.min(this.#liveness?.deadline ?? Infinity, this.#lost?.deadline ?? Infinity, this.ownDeadline);
  }

  /** Takes one event and gives what is to be done now, in order. */
  handle(event: Event | CommonEvent, now: number): (Action | CommonAction)[] {
    if (this.#ended) return [];
    this.now = now;
    try {
      this.#take(event);
    } catch (error) {
      if (!isWormholeError(error)) throw error;
      this.fail(error);
    }
    const actions = this.#actions;
    this.#actions = [];
    return actions;
  }

  /** The role's own events. */
  protected abstract on(event: Event): void;
  /** A message that is the role's business. */
  protected abstract onMessage(
    message: Exclude<Message, { type: "hello" | "ping" | "pong" | "cancel" }>,
  ): void;
  /** The hellos fit. */
  protected abstract onHello(hello: MessageOf<"hello">): void;
  /** Tells whether nothing more is needed of the peer. */
  protected abstract isSettled(): boolean;
  /** The peer has gone and {@linkcode TransferMachine.isSettled}: ends well, now or when the rest is done. */
  protected abstract settle(): void;
  /** When the role wants a tick. */
  protected get ownDeadline(): number {
    return Infinity;
  }
  /** The role's tick. */
  protected onTick(): void {}
  /** What the next ping says of what was done since the last. */
  protected takeBusy(): Pick<MessageOf<"ping">, "busy"> {
    return {};
  }
  /** What the peer says of what it does. */
  protected onPing(_ping: MessageOf<"ping">): void {}
  /** How a failure is told to the peer. */
  protected failureMessage(code: ErrorCode): Message {
    return { type: "error", code };
  }

  protected act(...actions: (Action | CommonAction)[]): void {
    this.#actions.push(...actions);
  }

  protected send(message: Message): void {
    this.act({ type: "send", message });
  }

  /** Takes note of bulk data that arrived: a sign of life. */
  protected heard(): void {
    this.#liveness?.heard(this.now);
  }

  protected finish(outcome: TransferOutcome): void {
    this.#ended = true;
    this.act({ type: "finish", outcome });
  }

  /** Ends badly; `tell` is the message for the peer, if it can still hear. */
  protected fail(error: Error, { tell }: { tell?: Message | null } = {}): void {
    this.#ended = true;
    const code = isWormholeError(error) ? error.code : "INTERNAL";
    const message = tell === undefined ? this.failureMessage(code) : tell;
    if (message !== null) this.send(message);
    this.act({ type: "fail", error, closeWith: code });
  }

  /** Ends because something of ours failed; what may only be the echo of a broken link waits for its reason. */
  protected failed(error: Error): void {
    if (!isWormholeError(error, ...LOST_CODES)) return this.fail(error);
    if (this.isSettled()) return this.#gone();
    this.#lost ??= { error, deadline: this.now + REASON_WAIT_MS };
  }

  #take(event: Event | CommonEvent): void {
    const common = event as CommonEvent;
    switch (common.type) {
      case "start":
        this.#liveness = new Liveness(this.now);
        return this.send(this.#hello);
      case "message":
        this.heard();
        return this.#message(common.message);
      case "tick":
        return this.#tick();
      case "closed":
        if (this.isSettled()) return this.#gone();
        return this.fail(this.#lost?.error ?? endedEarly(), { tell: null });
      case "link_failed":
        if (this.isSettled()) return this.#gone();
        // What a peer sent wrongly is told to it; on a dead link telling fails without harm.
        if (isWormholeError(common.error, ...LOST_CODES)) return this.fail(common.error, { tell: null });
        return this.fail(common.error);
      case "failed":
        return this.failed(common.error);
      case "abort":
        return this.#abort(common.reason);
      default:
        return this.on(event as Event);
    }
  }

  #message(message: Message | UnknownMessage): void {
    if (message.type === "unknown") return;
    if (message.type === "cancel" || (message.type === "error" && message.entry === undefined)) {
      if (this.isSettled()) return this.#gone();
      return this.fail(message.type === "cancel" ? peerCancelled() : peerError(message.code), { tell: null });
    }
    if (message.type === "hello") return this.#greeted(message);
    if (this.#peer === undefined) throw unexpected(message.type);
    if (message.type === "ping") {
      this.onPing(message);
      return this.send({ type: "pong", nonce: message.nonce });
    }
    if (message.type === "pong") return;
    this.onMessage(message);
  }

  #greeted(hello: MessageOf<"hello">): void {
    if (this.#peer !== undefined) throw unexpected("hello");
    checkHello(hello, this.#hello);
    this.#peer = hello;
    this.onHello(hello);
  }

  #tick(): void {
    if (this.#lost !== undefined && this.now >= this.#lost.deadline) {
      return this.fail(this.#lost.error, { tell: null });
    }
    const due = this.#liveness?.tick(this.now);
    if (due === "frozen") {
      if (this.isSettled()) return this.#gone();
      throw new WormholeError(
        "PEER_FROZEN",
        "Cannot finish the transfer: the other side does not answer any more",
      );
    }
    if (due === "ping") this.send({ type: "ping", nonce: this.#pings++ >>> 0, ...this.takeBusy() });
    this.onTick();
  }

  /** Goes on without the peer, which need not be alive any more. */
  #gone(): void {
    this.#liveness = undefined;
    this.settle();
  }

  #abort(reason: unknown): void {
    // What is being placed cannot be taken back, and both sides shall say the same of it.
    if (this.isSettled()) return this.#gone();
    this.#ended = true;
    const code: ErrorCode = isWormholeError(reason) ? reason.code : "INTERRUPTED";
    this.send({ type: "cancel", code });
    this.act({ type: "fail", error: reason, closeWith: "CANCELLED" });
  }
}

/** Gives the error for a message that may not come now. */
export function unexpected(type: string): WormholeError {
  return new WormholeError("PROTOCOL", `Cannot go on: the other side sent "${type}" out of turn`);
}

function endedEarly(): WormholeError {
  return new WormholeError(
    "CONNECTION_LOST",
    "Cannot finish the transfer: the other side ended the connection",
  );
}
