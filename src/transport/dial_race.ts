import { GRACE_MS, preferredTransport } from "./chooser.ts";
import type { Hint } from "./hints.ts";

/** Head start of one address before the next is tried too; 100-250 ms is RFC 8305 §5's advice. */
export const STAGGER_MS = 150;

/** Head start of direct connections before those through a proxy, which are slower for the whole transfer. */
export const DIRECT_HEAD_START_MS = 1000;

/** What happened to a race. */
export type RaceEvent =
  /** The hint's dial made a link; `rttMs` is Infinity when it cannot tell. */
  | { readonly type: "linked"; readonly hint: Hint; readonly rttMs: number }
  | { readonly type: "failed"; readonly hint: Hint }
  | { readonly type: "timer"; readonly timer: number };

/** What the driver of a race has to do. */
export type RaceAction =
  | { readonly type: "dial"; readonly hint: Hint }
  | { readonly type: "timer"; readonly timer: number; readonly ms: number }
  /** Close the hint's link. */
  | { readonly type: "drop"; readonly hint: Hint }
  /** The race is over; whatever still links is dropped. */
  | { readonly type: "win"; readonly hint: Hint }
  | { readonly type: "give up" };

/**
 * Decides a race between addresses in the manner of Happy Eyeballs (RFC 8305): every transport of an address at
 * once, the next address after {@linkcode STAGGER_MS} or as soon as an attempt fails. The first to link wins,
 * unless the transport that suits the path better links within {@linkcode GRACE_MS}. Hints through a proxy, which
 * come last, wait {@linkcode DIRECT_HEAD_START_MS} or until every direct attempt has failed. Pure.
 */
export class DialRace {
  readonly #waiting: Hint[][];
  readonly #running = new Set<Hint>();
  /** The link that answered first and waits for `wanted`, the better transport for its path. */
  #first: { hint: Hint; wanted: Hint["transport"] } | undefined;
  #timer = 0;
  #over = false;

  constructor(hints: readonly Hint[]) {
    this.#waiting = [...Map.groupBy(hints, ({ host, proxy }) => proxy ? `${host} proxy` : host).values()];
  }

  /** Gives the first actions. */
  start(): RaceAction[] {
    return this.#next();
  }

  /** Gives the actions that follow from `event`. */
  handle(event: RaceEvent): RaceAction[] {
    if (this.#over) return event.type === "linked" ? [{ type: "drop", hint: event.hint }] : [];
    switch (event.type) {
      case "timer":
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

  #linked(hint: Hint, rttMs: number): RaceAction[] {
    if (!this.#first) {
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

  #win(hint: Hint): RaceAction[] {
    this.#over = true;
    return [{ type: "win", hint }];
  }

  #next(): RaceAction[] {
    const group = this.#waiting.shift();
    if (!group) {
      if (this.#running.size > 0) return [];
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
}
