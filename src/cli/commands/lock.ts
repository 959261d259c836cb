import { lockedPath, type OwnLock } from "../../locks/mod.ts";
import type { Context } from "../context.ts";
import type { LockArgs } from "../table.ts";
import { lockBook, lockEvent } from "./locks.ts";

/**
 * Runs `wormhole lock`.
 *
 * @throws {WormholeError} BUSY while somebody is in the way; with --hold NOT_FOUND when the lock was taken away; what the disk says.
 */
export async function run(context: Context<LockArgs>): Promise<void> {
  const { args, output, clock, signal, env } = context;
  using book = lockBook(context);
  const owner = args.owner ?? `${env("USER") ?? env("LOGNAME") ?? "somebody"}@${Deno.hostname()}`;
  const path = await lockedPath(args.path);
  const request = { path, isShared: args.shared, owner, ttlMs: args.ttl };
  let lock: OwnLock = await book.acquire(request, { waitMs: args.wait, signal });
  output.emit(lockEvent(lock, { token: lock.token, released: false }));
  if (!args.hold) return;
  try {
    for (;;) {
      // Twice before it ends, so that one late wakening loses nothing.
      await clock.sleep(args.ttl / 3, { signal });
      lock = book.renew(lock.token, { ttlMs: args.ttl });
    }
  } finally {
    if (signal.aborted) output.emit(lockEvent(book.release(lock.token), { token: null, released: true }));
  }
}
