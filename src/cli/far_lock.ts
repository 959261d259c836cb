/** `wormhole lock` and its kin on paths of a known machine, where `wormhole sync serve` runs. */
import { isWormholeError, WormholeError } from "../base/errors.ts";
import { newToken } from "../locks/mod.ts";
import type { FarLock, FarLocks } from "../sync/remote/mod.ts";
import type { Context } from "./context.ts";
import type { LockEvent } from "./events_lock.ts";
import { holderName, lockEvent, ownerName } from "./commands/locks.ts";
import { lockHolder } from "./human_lock.ts";
import { LockLink, type LockLinkArgs } from "./lock_link.ts";
import type { LockArgs, LockListArgs, LockReleaseArgs, LockRenewArgs } from "./table.ts";

/** How often who waits asks again, in ms: the other machine gives the place to others after 5 s of silence. */
const ASK_MS = 500;

/** How long the release at the end of `--hold` may take, in ms: the lock ends by itself anyhow. */
const RELEASE_MS = 3000;

interface Far {
  readonly name: string;
  /** A path, or a token. */
  readonly path: string;
}

/**
 * Locks a path of another machine; with `--hold` keeps it until the signal aborts.
 *
 * @throws {WormholeError} BUSY while somebody is in the way; NOT_FOUND or the connection's code when it could not be held any more; as
 * `SyncSession.connect` and `FarLocks.ask`.
 */
export async function lockThere(context: Context<LockArgs>, { name, path }: Far): Promise<void> {
  const { args, output } = context;
  const token = newToken();
  const { shared: isShared, ttl: ttlMs } = args;
  const request = { token, path, isShared, owner: ownerName(context), ttlMs };
  await using link = new LockLink(context, name);
  let got: { lock: FarLock; until: number };
  try {
    got = await acquire(context, link, { far: { name, path }, request });
  } catch (error) {
    // It may be held there, or have a place in the queue, by now.
    if (context.signal.aborted) await release(link, token).catch(mustBeKnown);
    throw error;
  }
  const own = { name, token: `${name}:${token}` };
  output.emit(eventOf(got.lock, context, { ...own, released: false }));
  if (args.hold) await hold(context, link, { ...own, secret: token, until: got.until });
}

/** Makes a lock at another machine last longer. @throws {WormholeError} as `FarLocks.renew`. */
export async function renewThere(context: Context<LockRenewArgs>, { name, path }: Far): Promise<void> {
  const secret = tokenOf(path, "renew");
  await using link = new LockLink(context, name);
  const lock = await link.ask((locks) => locks.renew(secret, context.args.ttl));
  context.output.emit(eventOf(lock, context, { name, token: `${name}:${secret}`, released: false }));
}

/** Gives up a lock at another machine. @throws {WormholeError} USAGE with `--force`; as `FarLocks.release`. */
export async function releaseThere(context: Context<LockReleaseArgs>, { name, path }: Far): Promise<void> {
  if (context.args.force) {
    throw new WormholeError(
      "USAGE",
      `Cannot take locks of "${name}" from their holders: only there (wormhole lock release --force PATH)`,
    );
  }
  const secret = tokenOf(path, "release");
  await using link = new LockLink(context, name);
  const lock = await link.ask((locks) => locks.release(secret));
  context.output.emit(eventOf(lock, context, { name, token: null, released: true }));
}

/** Lists what is locked at another machine in folders with a right. @throws {WormholeError} as `FarLocks.list`. */
export async function listThere(context: Context<LockListArgs>, { name, path }: Far): Promise<void> {
  await using link = new LockLink(context, name);
  const { locks, more } = await link.ask((locks) => locks.list(path));
  for (const lock of locks) {
    context.output.emit(eventOf(lock, context, { name, token: null, released: false }));
  }
  if (more > 0) context.output.emit({ event: "warning", message: `${more} more locks are not listed` });
}

/** Gives the lock and until when, on the monotonic clock, it lasts at least: it may be held for a while when that is heard of. */
async function acquire(
  { args, clock, signal }: Context<LockArgs>,
  link: LockLink,
  { far: { name, path }, request }: { far: Far; request: Omit<Parameters<FarLocks["ask"]>[0], "waits"> },
): Promise<{ lock: FarLock; until: number }> {
  const end = clock.monotonic() + args.wait;
  for (let until = 0;; until = end) {
    const before = clock.monotonic();
    const isLast = before >= end;
    const asked = await link.ask((locks) => locks.ask({ ...request, waits: !isLast }), { until });
    if (asked.is === "held") return { lock: asked.lock, until: before + (asked.lock.leftMs ?? 0) };
    if (asked.is === "busy") throw busy(`${name}:${path}`, asked.lock, name);
    await clock.sleep(Math.min(ASK_MS, Math.max(0, end - clock.monotonic())), { signal });
  }
}

/** Renews until the signal aborts, over as many connections as it takes while the lock lasts. */
async function hold(
  context: Context<LockArgs>,
  link: LockLink,
  { name, secret, until }: { name: string; secret: string; until: number },
): Promise<void> {
  const { args: { ttl: ttlMs }, output, clock, signal } = context;
  try {
    for (;;) {
      // Twice before it ends, so that one late wakening loses nothing.
      await link.idle(Math.max(0, (until - clock.monotonic()) / 3));
      // From before the question: it is never believed in for longer than it lasts there.
      const asked = clock.monotonic();
      await link.ask((locks) => locks.renew(secret, ttlMs), { until });
      until = asked + ttlMs;
    }
  } finally {
    if (signal.aborted) {
      try {
        output.emit(eventOf(await release(link, secret), context, { name, token: null, released: true }));
      } catch (error) {
        mustBeKnown(error);
        const state = `it ends by itself within ${Math.round(ttlMs / 1000)} s`;
        output.emit({ event: "warning", message: `${(error as Error).message}; ${state}` });
      }
    }
  }
}

async function release(link: LockLink, token: string): Promise<FarLock> {
  return await link.askInTime((locks) => locks.release(token), { ms: RELEASE_MS });
}

function mustBeKnown(error: unknown): void {
  if (!isWormholeError(error)) throw error;
}

function eventOf(
  { path, owner, isShared, holder, ageMs = 0, leftMs = 0 }: FarLock,
  { clock }: Context<LockLinkArgs>,
  { name, token, released }: { name: string; token: string | null; released: boolean },
): LockEvent {
  const now = clock.now();
  const machine = holderName(holder, name);
  const lock = {
    path: `${name}:${path}`,
    owner,
    machine,
    isShared,
    acquiredMs: now - ageMs,
    expiresMs: now + leftMs,
  };
  return lockEvent(lock, { token, released });
}

function busy(wanted: string, { path, owner, holder, leftMs }: FarLock, name: string): WormholeError {
  const who = lockHolder({ owner, machine: holderName(holder, name) });
  const state = leftMs === undefined
    ? `${who} waits for "${path}"`
    : `${who} has locked "${path}" for ${Math.ceil(leftMs / 1000)} s more`;
  return new WormholeError("BUSY", `Cannot lock "${wanted}": ${state}`);
}

function tokenOf(given: string, verb: string): string {
  if (/^[0-9a-f]{32}$/.test(given)) return given;
  throw new WormholeError(
    "USAGE",
    `Cannot ${verb} the lock: "${given}" is no token, which has 32 hex digits`,
  );
}
