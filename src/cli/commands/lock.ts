import { lockedPath, type OwnLock } from "../../locks/mod.ts";
import type { Context } from "../context.ts";
import { farPath } from "../far_path.ts";
import type { LockArgs } from "../table.ts";
import { lockBook, ownerName, tellLocks } from "./locks.ts";

/**
 * Runs `wormhole lock`.
 *
 * @throws {WormholeError} BUSY while somebody is in the way; with --hold NOT_FOUND when the lock was taken away; what the disk says, or
 * the other machine.
 */
export async function run(context: Context<LockArgs>): Promise<void> {
  const { args, clock, signal } = context;
  const far = farPath(args.path);
  if (far !== undefined) return await (await import("../far_lock.ts")).lockThere(context, far);
  using book = lockBook(context);
  const path = await lockedPath(args.path);
  const request = { path, isShared: args.shared, owner: ownerName(context), ttlMs: args.ttl };
  let lock: OwnLock = await book.acquire(request, { waitMs: args.wait, signal });
  await tellLocks(context, [lock], { token: lock.token, released: false });
  if (!args.hold) return;
  try {
    for (;;) {
      // Twice before it ends, so that one late wakening loses nothing.
      await clock.sleep(args.ttl / 3, { signal });
      lock = book.renew(lock.token, { ttlMs: args.ttl });
    }
  } finally {
    if (signal.aborted) await tellLocks(context, [book.release(lock.token)], { token: null, released: true });
  }
}
