import { anySignal } from "../base/any_signal.ts";
import { isWormholeError, WormholeError } from "../base/errors.ts";
import { type FarLocks, SyncSession } from "../sync/remote/mod.ts";
import type { Context } from "./context.ts";
import { LINK_CODES, sessionSettings } from "./far_link.ts";
import type { SyncArgs } from "./table.ts";

/** What the commands that ask another machine about locks have in common. */
export type LockLinkArgs = Pick<SyncArgs, "transport" | "peer" | "timeout">;

/** Pause before another try to reach the machine, in ms. */
const PAUSE_MS = 1000;

/** A session in which another machine is asked about locks, made when it is needed and anew when it was lost. */
export class LockLink implements AsyncDisposable {
  readonly #context: Context<LockLinkArgs>;
  readonly #name: string;
  #session: SyncSession | undefined;
  /** Ends the session, or the search for the machine. */
  #stop = new AbortController();

  /** `name`: what the machine is called here. */
  constructor(context: Context<LockLinkArgs>, name: string) {
    this.#context = context;
    this.#name = name;
  }

  /**
   * Asks, and once more over another connection where one that worked was lost. `until`: as long as this, on the monotonic clock, a
   * machine that is not reached is tried again. An abort of the signal ends the session only while there is a question.
   *
   * @throws {WormholeError} as `SyncSession.connect` and the question; the signal's reason.
   */
  async ask<T>(
    question: (locks: FarLocks) => Promise<T>,
    { until = 0, signal = this.#context.signal }: { until?: number; signal?: AbortSignal } = {},
  ): Promise<T> {
    const { clock } = this.#context;
    const abort = () => this.#stop.abort(signal.reason);
    signal.addEventListener("abort", abort, { once: true });
    try {
      for (;;) {
        signal.throwIfAborted();
        const worked = this.#session !== undefined;
        try {
          return await question((await this.#opened()).locks);
        } catch (error) {
          signal.throwIfAborted();
          const isLost = isWormholeError(error, ...LINK_CODES);
          if (isLost) await this.#drop();
          if (!isLost || (!worked && clock.monotonic() >= until)) throw error;
          if (!worked) await clock.sleep(PAUSE_MS, { signal });
        }
      }
    } finally {
      signal.removeEventListener("abort", abort);
    }
  }

  /** Waits for `ms`, or until the connection is lost: the sooner there is another one, the better. @throws the signal's reason. */
  async idle(ms: number): Promise<void> {
    const { clock, signal } = this.#context;
    const lost = this.#session?.signal;
    const either = anySignal(signal, lost);
    try {
      await clock.sleep(ms, { signal: either });
    } catch (error) {
      signal.throwIfAborted();
      if (!lost?.aborted) throw error;
    }
  }

  /** Asks whatever became of the command's signal, for at most `ms`. @throws {WormholeError} TIMEOUT; as {@linkcode LockLink.ask}. */
  async askInTime<T>(question: (locks: FarLocks) => Promise<T>, { ms }: { ms: number }): Promise<T> {
    const late = new AbortController();
    using _timer = this.#context.clock.timer(ms, () => {
      late.abort(new WormholeError("TIMEOUT", `Cannot ask "${this.#name}" about a lock: it does not answer`));
    });
    return await this.ask(question, { signal: late.signal });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#drop();
  }

  async #opened(): Promise<SyncSession> {
    if (this.#session !== undefined && !this.#session.signal.aborted) return this.#session;
    await this.#drop();
    const { args } = this.#context;
    return this.#session = await SyncSession.connect({
      ...sessionSettings(this.#context),
      name: this.#name,
      ...args.peer !== undefined && { peer: args.peer },
      timeoutMs: args.timeout,
      signal: this.#stop.signal,
    });
  }

  async #drop(): Promise<void> {
    const session = this.#session;
    this.#session = undefined;
    this.#stop = new AbortController();
    await session?.[Symbol.asyncDispose]().catch((error) => {
      // It was lost; why is known already.
      if (!isWormholeError(error)) throw error;
    });
  }
}
