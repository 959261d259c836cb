/** The end of a transfer that finished here while the link was down: tells the sender over another one. */
import { type Clock, systemClock } from "../base/clock.ts";
import type { PeerConnection } from "../transport/connection.ts";
import type { Message, MessageOf } from "../wire/mod.ts";
import { drive } from "./drive.ts";
import { makeHello } from "./handshake.ts";
import { TransferMachine, unexpected } from "./machine.ts";
import type { TransferOutcome } from "./outcome.ts";

/** What {@linkcode tellDone} needs. */
export interface TellDoneOptions {
  readonly connection: PeerConnection;
  /** What is in place here. */
  readonly outcome: TransferOutcome;
  /** Program and version, such as `wormhole/0.1.0`. */
  readonly agent: string;
  readonly clock?: Clock;
  readonly signal?: AbortSignal;
}

/**
 * Answers the sender's offer with what is in place already; wire/spec/offer.md.
 *
 * @throws {WormholeError} as `runGetter`.
 */
export async function tellDone(
  { connection, outcome, agent, clock = systemClock, signal }: TellDoneOptions,
): Promise<void> {
  const hello = makeHello({ agent, nonce: crypto.getRandomValues(new Uint8Array(16)), streams: 1 });
  await drive<never, never>({
    machine: new Teller(hello, outcome),
    connection,
    clock,
    perform: () => Promise.resolve(undefined),
    ...signal && { signal },
  });
}

/** A receiver that has everything. */
export class Teller extends TransferMachine<never, never> {
  readonly #outcome: TransferOutcome;
  #state: "greeting" | "waiting" | "done" = "greeting";

  constructor(hello: MessageOf<"hello">, outcome: TransferOutcome) {
    super(hello);
    this.#outcome = outcome;
  }

  protected override on(): void {}

  protected override onHello(): void {
    this.#state = "waiting";
  }

  protected override onMessage(
    message: Exclude<Message, { type: "hello" | "ping" | "pong" | "cancel" }>,
  ): void {
    if (message.type === "done_ack" && this.#state === "done") return this.settle();
    // What the sender says before it has read our `done` means nothing any more.
    if (this.#state === "done") return;
    if (message.type !== "offer") throw unexpected(message.type);
    const { files, directories, symlinks, bytes, failedCount: failed_count } = this.#outcome;
    this.#state = "done";
    this.send({ type: "answer", accept: true, abilities: {}, streams: 1 });
    this.send({ type: "done", files, directories, symlinks, bytes, failed: [], failed_count });
  }

  protected override isSettled(): boolean {
    return this.#state === "done";
  }

  protected override settle(): void {
    this.finish(this.#outcome);
  }
}
