/** Who holds which paths, who waits, and who is next; pure. Times are ms of one clock, which the caller gives. */
import { WormholeError } from "../base/errors.ts";

/** Shortest and longest time for which a lock lasts without being renewed, in ms. */
export const MIN_TTL_MS = 1000, MAX_TTL_MS = 24 * 60 * 60 * 1000;

/** How long somebody who waits may say nothing before the others go on without them, in ms. */
export const WAITER_SILENCE_MS = 5000;

/** Most locks and waiting requests: whoever asks for more has lost count, or means harm. */
export const MAX_LOCKS = 10_000;

/** What another machine may have us keep: locks and waiting requests, of them waiting ones, and bytes of all their paths. */
export const MAX_MACHINE_LOCKS = 128, MAX_MACHINE_WAITING = 16, MAX_MACHINE_PATH_BYTES = 64 * 1024;

/** What somebody wants. */
export interface LockRequest {
  /** By which the lock is renewed and released; unguessable, since it is all that it takes. */
  readonly key: string;
  /** Absolute, names separated by `/`, without `.` and `..`. A folder stands for everything in it. */
  readonly path: string;
  /** Others may share it; otherwise nobody. */
  readonly isShared: boolean;
  /** For people. */
  readonly owner: string;
  /** Key of the machine that asks over a session, in hex; absent: somebody of this machine. */
  readonly machine?: string;
  readonly ttlMs: number;
}

/** A lock that somebody has. */
export interface HeldLock extends LockRequest {
  readonly acquiredMs: number;
  readonly expiresMs: number;
}

/** A request whose turn has not come. */
export interface WaitingRequest extends LockRequest {
  /** Counts up; who has the smaller one was there first. */
  readonly ticket: number;
  readonly seenMs: number;
}

/** Everything that there is to know. */
export interface LockState {
  readonly held: readonly HeldLock[];
  /** In the order of their tickets. */
  readonly waiting: readonly WaitingRequest[];
  readonly nextTicket: number;
}

/** How a request stands. `by`: who is in its way. */
export type Asked =
  | { readonly is: "held"; readonly lock: HeldLock }
  | { readonly is: "waiting"; readonly ticket: number; readonly by: LockRequest }
  | { readonly is: "refused"; readonly by: LockRequest };

/**
 * See the top of this file. No two locks that are held are in each other's way, and nobody passes a request that came before and is in
 * theirs: a folder that is asked for is not kept from its turn by those who come for files in it.
 */
export class LockTable {
  #held: HeldLock[];
  #waiting: WaitingRequest[];
  #nextTicket: number;

  constructor(state: LockState = { held: [], waiting: [], nextTicket: 1 }) {
    this.#held = [...state.held];
    this.#waiting = state.waiting.toSorted((a, b) => a.ticket - b.ticket);
    this.#nextTicket = state.nextTicket;
  }

  /** Gives everything, to be kept. */
  get state(): LockState {
    return { held: [...this.#held], waiting: [...this.#waiting], nextTicket: this.#nextTicket };
  }

  /** Ends what has expired and gives their turn to those whose turn it is. Every other call does that first. */
  advance(now: number): void {
    this.#held = this.#held.filter((lock) => remaining(lock, now) > 0)
      // A clock that was put back makes no lock longer.
      .map((lock) => remaining(lock, now) > lock.ttlMs ? { ...lock, expiresMs: now + lock.ttlMs } : lock);
    this.#waiting = this.#waiting.filter(({ seenMs }) => Math.abs(now - seenMs) < WAITER_SILENCE_MS);
    this.#serve(now);
  }

  /**
   * Asks for a lock. `waits`: where it cannot be had now, a place in the queue; {@linkcode LockTable.ask} it again and again then,
   * at least every {@linkcode WAITER_SILENCE_MS}.
   *
   * @throws {WormholeError} INVALID_ARGUMENT for a path or TTL that is none; LIMIT_EXCEEDED when there are too many, of that machine or
   * of all.
   */
  request(request: LockRequest, { now, waits }: { now: number; waits: boolean }): Asked {
    check(request);
    this.advance(now);
    const by = this.#inTheWay(request, this.#waiting);
    if (by !== undefined && !waits) return { is: "refused", by };
    if (this.#held.length + this.#waiting.length >= MAX_LOCKS) {
      throw new WormholeError(
        "LIMIT_EXCEEDED",
        `Cannot lock "${request.path}": there are ${MAX_LOCKS} locks`,
      );
    }
    this.#checkMachine(request, by !== undefined);
    if (by === undefined) return { is: "held", lock: this.#hold(request, now) };
    const ticket = this.#nextTicket++;
    this.#waiting.push({ ...request, ticket, seenMs: now });
    return { is: "waiting", ticket, by };
  }

  /** Tells how a request that waits stands; undefined when it was dropped, since nobody asked for too long. */
  ask(key: string, now: number): Asked | undefined {
    this.#waiting = this.#waiting.map((one) => one.key === key ? { ...one, seenMs: now } : one);
    this.advance(now);
    const lock = this.#held.find((one) => one.key === key);
    if (lock !== undefined) return { is: "held", lock };
    const at = this.#waiting.findIndex((one) => one.key === key);
    if (at < 0) return undefined;
    const request = this.#waiting[at]!;
    return {
      is: "waiting",
      ticket: request.ticket,
      by: this.#inTheWay(request, this.#waiting.slice(0, at))!,
    };
  }

  /** Makes a lock last `ttlMs` from now on; undefined when it is not held any more. */
  renew(key: string, { now, ttlMs }: { now: number; ttlMs: number }): HeldLock | undefined {
    this.advance(now);
    const at = this.#held.findIndex((one) => one.key === key);
    if (at < 0) return undefined;
    const lock = { ...this.#held[at]!, ttlMs, expiresMs: now + ttlMs };
    check(lock);
    return this.#held[at] = lock;
  }

  /** Gives up a lock, or a place in the queue; gives the lock if it was held until now. */
  release(key: string, now: number): HeldLock | undefined {
    this.advance(now);
    const lock = this.#held.find((one) => one.key === key);
    this.#held = this.#held.filter((one) => one.key !== key);
    this.#waiting = this.#waiting.filter((one) => one.key !== key);
    this.#serve(now);
    return lock;
  }

  #serve(now: number): void {
    const waiting: WaitingRequest[] = [];
    for (const request of this.#waiting) {
      if (this.#inTheWay(request, waiting) !== undefined) waiting.push(request);
      else this.#hold(request, now);
    }
    this.#waiting = waiting;
  }

  /** A machine that asks for ever more keeps nobody else from locks, nor from their turn. */
  #checkMachine({ machine, path }: LockRequest, waits: boolean): void {
    if (machine === undefined) return;
    const isIts = (request: LockRequest) => request.machine === machine;
    const waiting = this.#waiting.filter(isIts);
    const all = [...this.#held.filter(isIts), ...waiting];
    const bytes = all.reduce((sum, request) => sum + byteLength(request.path), byteLength(path));
    if (
      all.length < MAX_MACHINE_LOCKS && bytes <= MAX_MACHINE_PATH_BYTES &&
      (!waits || waiting.length < MAX_MACHINE_WAITING)
    ) return;
    throw new WormholeError("LIMIT_EXCEEDED", `Cannot lock "${path}": that machine has too many locks`);
  }

  #hold({ key, path, isShared, owner, machine, ttlMs }: LockRequest, now: number): HeldLock {
    const asked = { key, path, isShared, owner, ...machine !== undefined && { machine }, ttlMs };
    const lock = { ...asked, acquiredMs: now, expiresMs: now + ttlMs };
    this.#held.push(lock);
    return lock;
  }

  #inTheWay(request: LockRequest, before: readonly LockRequest[]): LockRequest | undefined {
    const isInTheWay = (other: LockRequest) =>
      !(request.isShared && other.isShared) && overlaps(request.path, other.path);
    return this.#held.find(isInTheWay) ?? before.find(isInTheWay);
  }
}

/** Tells whether two paths are one, or one is in the other. */
export function overlaps(a: string, b: string): boolean {
  const [x, y] = [a === "/" ? "" : a, b === "/" ? "" : b];
  return `${x}/`.startsWith(`${y}/`) || `${y}/`.startsWith(`${x}/`);
}

function byteLength(path: string): number {
  return new TextEncoder().encode(path).length;
}

function remaining({ expiresMs }: HeldLock, now: number): number {
  return expiresMs - now;
}

function check({ path, ttlMs }: LockRequest): void {
  const verb = `Cannot lock ${JSON.stringify(path)}`;
  if (!(ttlMs >= MIN_TTL_MS && ttlMs <= MAX_TTL_MS)) {
    throw new WormholeError("INVALID_ARGUMENT", `${verb}: a lock lasts from 1 s to 24 h`);
  }
  const names = path.split("/").slice(1);
  const isPath = path === "/" || names.every((name) => name !== "" && name !== "." && name !== "..");
  if (!path.startsWith("/") || !isPath || path.includes("\0")) {
    throw new WormholeError("INVALID_ARGUMENT", `${verb}: it is no absolute path`);
  }
}
