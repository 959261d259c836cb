import { GRACE_MS, preferredTransport } from "./chooser.ts";
import type { DialTarget, DirectTransport, Hint, RelayHint } from "./hints.ts";

/** Head start of one address before the next is tried too; 100-250 ms is RFC 8305 §5's advice. */
export const STAGGER_MS = 150;

/** Head start of direct connections before those through a proxy, which are slower for the whole transfer. */
export const DIRECT_HEAD_START_MS = 1000;

/**
 * Head start of the addresses before the relay: enough for two round trips halfway round the world. A dial to the relay
 * waits for a direct path by itself (`DIRECT_PATIENCE` in ffi/src/net/quic.rs).
 */
export const RELAY_DELAY_MS = 500;

/** The timer of the relay; those of addresses count from 1. */
const RELAY_TIMER = 0;

/** What happened to a race. */
export type RaceEvent =
  /** The hint's dial made a link; `rttMs` is Infinity when it cannot tell. */
  | { readonly type: "linked"; readonly hint: DialTarget; readonly rttMs: number }
  | { readonly type: "failed"; readonly hint: DialTarget }
  | { readonly type: "timer"; readonly timer: number };

/** What the driver of a race has to do. */
export type RaceAction =
  | { readonly type: "dial"; readonly hint: DialTarget }
  | { readonly type: "timer"; readonly timer: number; readonly ms: number }
  /** Close the hint's link. */
  | { readonly type: "drop"; readonly hint: DialTarget }
  /** The race is over; whatever still links is dropped. */
  | { readonly type: "win"; readonly hint: DialTarget }
  | { readonly type: "give up" };

/**
 * Decides a race between addresses in the manner of Happy Eyeballs (RFC 8305): every transport of an address at
 * once, the next address after {@linkcode STAGGER_MS} or as soon as an attempt fails. The first to link wins,
 * unless the transport that suits the path better links within {@linkcode GRACE_MS}. Hints through a proxy, which
 * come last, wait {@linkcode DIRECT_HEAD_START_MS} or until every direct attempt has failed. The relay runs from
 * {@linkcode RELAY_DELAY_MS} on, or once there is no address left to try. Pure.
 */
export class DialRace {
  readonly #waiting: Hint[][];
  /** The relay, until it is dialled. */
  #relay: RelayHint | undefined;
  readonly #running = new Set<DialTarget>();
  /** The link that answered first and waits for `wanted`, the better transport for its path. */
  #first: { hint: DialTarget; wanted: DirectTransport } | undefined;
  #timer = 0;
  #over = false;

  constructor(targets: readonly DialTarget[]) {
    const hints = targets.filter((target) => target.transport !== "relay");
    this.#waiting = [...Map.groupBy(hints, ({ host, proxy }) => proxy ? `${host} proxy` : host).values()];
    this.#relay = targets.find((target) => target.transport === "relay");
  }

  /** Gives the first actions. */
  start(): RaceAction[] {
    const first = this.#next();
    if (this.#relay === undefined) return first;
    return [...first, { type: "timer", timer: RELAY_TIMER, ms: RELAY_DELAY_MS }];
  }

  /** Gives the actions that follow from `event`. */
  handle(event: RaceEvent): RaceAction[] {
    if (this.#over) return event.type === "linked" ? [{ type: "drop", hint: event.hint }] : [];
    switch (event.type) {
      case "timer":
        if (event.timer === RELAY_TIMER) return this.#first ? [] : this.#dialRelay();
        if (event.timer !== this.#timer) return [];
        return this.#first ? this.#win(this.#first.hint) : this.#next();
      case "failed":
        this.#running.delete(event.hint);
        if (this.#first) return this.#settle();
        // The timer that brings the proxies is running.
        if (this.#running.size > 0 && this.#waiting[0]?.[0]?.proxy) return [];
        return this.#next();
      case "linked":
        this.#running.delete(event.hint);
        return this.#linked(event.hint, event.rttMs);
    }
  }

  #linked(hint: DialTarget, rttMs: number): RaceAction[] {
    if (!this.#first) {
      if (hint.transport === "relay") return this.#win(hint);
      this.#first = { hint, wanted: preferredTransport({ rttMs }) };
      if (hint.transport === this.#first.wanted) return this.#win(hint);
      const settled = this.#settle();
      return settled.length > 0 ? settled : [{ type: "timer", timer: ++this.#timer, ms: GRACE_MS }];
    }
    if (hint.transport !== this.#first.wanted) return [{ type: "drop", hint }, ...this.#settle()];
    return [{ type: "drop", hint: this.#first.hint }, ...this.#win(hint)];
  }

  /** The first link wins once nothing better can still come. */
  #settle(): RaceAction[] {
    const { hint, wanted } = this.#first!;
    for (const other of this.#running) if (other.transport === wanted) return [];
    return this.#win(hint);
  }

  #win(hint: DialTarget): RaceAction[] {
    this.#over = true;
    return [{ type: "win", hint }];
  }

  #next(): RaceAction[] {
    const group = this.#waiting.shift();
    if (!group) {
      if (this.#running.size > 0) return [];
      if (this.#relay) return this.#dialRelay();
      this.#over = true;
      return [{ type: "give up" }];
    }
    const actions: RaceAction[] = [];
    for (const hint of group) {
      this.#running.add(hint);
      actions.push({ type: "dial", hint });
    }
    const next = this.#waiting[0];
    if (next !== undefined) {
      const ms = next[0]?.proxy && !group[0]?.proxy ? DIRECT_HEAD_START_MS : STAGGER_MS;
      actions.push({ type: "timer", timer: ++this.#timer, ms });
    }
    return actions;
  }

  #dialRelay(): RaceAction[] {
    const hint = this.#relay;
    if (hint === undefined) return [];
    this.#relay = undefined;
    this.#running.add(hint);
    return [{ type: "dial", hint }];
  }
}
