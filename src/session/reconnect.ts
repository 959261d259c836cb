/**
 * Goes on over a new link when the one in use dies: drives {@linkcode ReconnectPlan} for whoever uses links one after
 * the other. It decides nothing about what is done over them.
 */
import { anySignal } from "../base/any_signal.ts";
import { type Clock, systemClock, type Timer } from "../base/clock.ts";
import { type ErrorCode, isWormholeError, WormholeError } from "../base/errors.ts";
import type { PeerConnection, Renewal } from "../transport/connection.ts";
import { Arrivals } from "./arrivals.ts";
import { type ConnectedEvent, connectedEvent } from "./connected_event.ts";
import { addressSets, hasLeft } from "./network_watch.ts";
import { watchPath } from "./path_watch.ts";
import { ATTEMPT_MS, type PlanAction, type PlanEvent, ReconnectPlan } from "./reconnect_plan.ts";
import { withDeadline } from "./deadline.ts";

/** What people and scripts are told while a session has no link, and when it has another one or another path. */
export type ReconnectEvent =
  /** Attempt `attempt`, from 1 since the loss, begins in `waitMs`; it is all given up after `leftMs`. */
  | { readonly type: "waiting"; readonly attempt: number; readonly waitMs: number; readonly leftMs: number }
  | ConnectedEvent;

/** Options of {@linkcode acrossLinks}. */
export interface AcrossLinksOptions<T> {
  /** The first link; it stays the caller's. */
  readonly connection: PeerConnection;
  /** How long a loss may last, in ms; with 0 the first loss ends it. */
  readonly limitMs: number;
  /** Does over a link what is left to do; `moved` is to be called when that has come on. */
  run(connection: PeerConnection, moved: () => void): Promise<T>;
  /** Called once for each loss; what it throws ends it all. */
  onLost?(error: WormholeError): void;
  onEvent?(event: ReconnectEvent): void;
  readonly clock?: Clock;
  /** Gives a number from 0 to below 1. */
  readonly random?: () => number;
  readonly signal?: AbortSignal;
}

/** Failures that are the link's, so that another link may do better. */
const LINK_CODES: readonly ErrorCode[] = ["CONNECTION_LOST", "PEER_FROZEN", "TIMEOUT", "CONNECT_FAILED"];

/**
 * Runs `run` over one link after the other until it ends by itself, or no link comes in time.
 *
 * @throws {WormholeError} what `run` throws that is not of the link, or with a `limitMs` of 0 anything; what `onLost`
 * throws; CONNECTION_LOST when the time was up; the signal's reason.
 */
export async function acrossLinks<T>(options: AcrossLinksOptions<T>): Promise<T> {
  const { connection, limitMs, clock = systemClock, random = Math.random } = options;
  const { renewal } = connection;
  if (renewal === undefined || limitMs === 0) {
    using _ = watched(connection, options);
    return await options.run(connection, () => {});
  }
  const plan = new ReconnectPlan({ limitMs, random });
  await using arrivals = new Arrivals(renewal);
  let link = connection;
  for (;;) {
    const used = await use(link, { ...options, arrivals, renewal, clock });
    if ("value" in used) return used.value;
    options.onLost?.(used.error);
    arrivals.isLost = true;
    if (used.next === undefined) {
      link = await new Wait({ ...options, clock, plan, arrivals, renewal }).run(used);
    } else {
      link = used.next;
      // A peer that comes again and again with links that carry nothing does not keep anybody for ever.
      const actions = plan.handle({ type: "lost", moved: used.moved }, clock.monotonic());
      if (actions.some(({ type }) => type === "give_up")) {
        await link.close().catch(() => {}); // Nobody will use it.
        throw gaveUp(limitMs, used.error);
      }
    }
    arrivals.isLost = false;
    plan.handle({ type: "connected" }, clock.monotonic());
    options.onEvent?.(await connectedEvent(link));
  }
}

interface Lost {
  readonly error: WormholeError;
  readonly moved: boolean;
  /** The other machine has made the next link already. */
  readonly next?: PeerConnection;
}

/**
 * Uses one link to its end, or until this machine has left its network, or the other machine comes over another link: it
 * knows earlier that this one is dead.
 */
async function use<T>(
  link: PeerConnection,
  { run, arrivals, renewal, clock, onEvent, signal }: AcrossLinksOptions<T> & {
    arrivals: Arrivals;
    renewal: Renewal;
    clock: Clock;
  },
): Promise<{ value: T } | Lost> {
  let moved = false;
  let isGivenUp = false;
  let next: PeerConnection | undefined;
  const giveUp = () => {
    isGivenUp = true;
    // Whatever uses it notices.
    link.close("CONNECTION_LOST").catch(() => {});
  };
  using _path = watched(link, { clock, ...onEvent && { onEvent } });
  using _ = arrivals.expect((arrived) => {
    next = arrived;
    giveUp();
  });
  const used = new AbortController();
  const watch = { addresses: () => renewal.addresses(), clock, signal: used.signal };
  const watching = hasLeft(link, watch).then((left) => left && giveUp());
  try {
    const value = await run(link, () => void (moved = true));
    await next?.close();
    return { value };
  } catch (error) {
    const isLost = isWormholeError(error, ...LINK_CODES) ||
      (isGivenUp && isWormholeError(error, "CLOSED"));
    if (isLost && !signal?.aborted) return { error, moved, ...next && { next } };
    await next?.close().catch(() => {}); // Nobody uses it.
    throw error;
  } finally {
    used.abort();
    await watching;
    // This closes the link alone; the session ends when the caller disposes of the first one. A dead one takes its time.
    const closing = link.close().catch(() => {});
    if (!isGivenUp) await closing;
  }
}

function watched(
  link: PeerConnection,
  { clock = systemClock, onEvent }: Pick<AcrossLinksOptions<unknown>, "clock" | "onEvent">,
): Disposable {
  return watchPath(link, { clock, onChange: (event) => onEvent?.(event) });
}

interface WaitOptions {
  readonly plan: ReconnectPlan;
  readonly arrivals: Arrivals;
  readonly renewal: Renewal;
  readonly limitMs: number;
  readonly clock: Clock;
  onEvent?(event: ReconnectEvent): void;
  readonly signal?: AbortSignal;
}

/** The time between two links. */
class Wait {
  readonly #options: WaitOptions;
  readonly #over = new AbortController();
  readonly #ended = Promise.withResolvers<void>();
  #found: PeerConnection | undefined;
  #timer: Timer | undefined;
  #dialling: Promise<void> = Promise.resolve();
  #attempt = new AbortController();

  constructor(options: WaitOptions) {
    this.#options = options;
  }

  /** Gives the next link. @throws {WormholeError} CONNECTION_LOST when the time is up; the signal's reason. */
  async run({ error, moved }: Lost): Promise<PeerConnection> {
    const { arrivals, signal, limitMs } = this.#options;
    const abort = () => this.#ended.reject(signal!.reason);
    signal?.addEventListener("abort", abort, { once: true });
    if (signal?.aborted) abort();
    using _ = arrivals.expect((arrived) => this.#find(arrived));
    const looking = Promise.all([this.#look(), this.#seek()]);
    try {
      this.#handle({ type: "lost", moved });
      await this.#ended.promise;
      return this.#found!;
    } catch (reason) {
      await this.#found?.close().catch(() => {}); // Nobody will use it.
      if (reason !== GIVEN_UP) throw reason;
      throw gaveUp(limitMs, error);
    } finally {
      this.#over.abort();
      this.#timer?.cancel();
      signal?.removeEventListener("abort", abort);
      await Promise.all([looking, this.#dialling]);
    }
  }

  #handle(event: PlanEvent): void {
    const { plan, clock } = this.#options;
    if (this.#over.signal.aborted) return;
    for (const action of plan.handle(event, clock.monotonic())) this.#do(action);
    this.#timer?.cancel();
    if (plan.deadline === Infinity) return;
    const ms = Math.max(0, plan.deadline - clock.monotonic());
    this.#timer = clock.timer(ms, () => this.#handle({ type: "tick" }));
  }

  #do(action: PlanAction): void {
    switch (action.type) {
      case "wait": {
        const { attempt, waitMs, leftMs } = action;
        return this.#options.onEvent?.({ type: "waiting", attempt, waitMs, leftMs });
      }
      case "try":
        this.#attempt = new AbortController();
        this.#dialling = Promise.all([this.#dialling, this.#dial(this.#attempt.signal)]).then(() => {});
        return;
      case "abandon":
        return this.#attempt.abort();
      case "give_up":
        return this.#ended.reject(GIVEN_UP);
    }
  }

  async #dial(attempt: AbortSignal): Promise<void> {
    const { renewal, clock } = this.#options;
    const ended = anySignal(this.#over.signal, attempt);
    let link: PeerConnection;
    try {
      link = await withDeadline((signal) => renewal.dial({ signal }), {
        ms: ATTEMPT_MS,
        late: (cause) => new WormholeError("TIMEOUT", "Cannot reconnect: no answer", { cause }),
        clock,
        signal: ended,
      });
    } catch (error) {
      if (ended.aborted) return;
      if (isWormholeError(error)) this.#handle({ type: "failed" });
      else this.#ended.reject(error);
      return;
    }
    if (ended.aborted) return await link.close().catch(() => {}); // It came too late.
    this.#find(link);
  }

  /** Takes a link; of two in the same moment the later one is that which the other machine uses. */
  #find(link: PeerConnection): void {
    this.#found?.close().catch(() => {}); // There is a newer one.
    this.#found = link;
    this.#ended.resolve();
  }

  /** Tells the plan when this machine's addresses are others than before. */
  async #look(): Promise<void> {
    const { renewal, clock } = this.#options;
    const { signal } = this.#over;
    let isFirst = true;
    try {
      for await (const _ of addressSets({ addresses: () => renewal.addresses(), clock, signal })) {
        if (!isFirst) this.#handle({ type: "network_changed" });
        isFirst = false;
      }
    } catch (error) {
      // Without a look the pauses are a little longer, no more.
      if (!signal.aborted && !isWormholeError(error)) this.#ended.reject(error);
    }
  }

  async #seek(): Promise<void> {
    const { signal } = this.#over;
    const onFound = () => this.#handle({ type: "found" });
    try {
      await this.#options.renewal.seek({ onFound, signal });
    } catch (error) {
      // There are other ways.
      if (!signal.aborted && !isWormholeError(error)) this.#ended.reject(error);
    }
  }
}

/** Why a wait ended without a link. */
const GIVEN_UP = Symbol("given up");

function gaveUp(limitMs: number, cause: WormholeError): WormholeError {
  const state = `the connection was lost and did not come back within ${time(limitMs)}`;
  return new WormholeError("CONNECTION_LOST", `Cannot go on: ${state}`, { cause });
}

function time(ms: number): string {
  return ms < 120_000 ? `${Math.round(ms / 1000)} s` : `${Math.round(ms / 60_000)} min`;
}
