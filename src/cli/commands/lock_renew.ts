import type { Context } from "../context.ts";
import type { LockRenewArgs } from "../table.ts";
import { lockBook, lockEvent } from "./locks.ts";

/** Runs `wormhole lock renew`. @throws {WormholeError} NOT_FOUND when the lock has ended; what the disk says. */
export function run(context: Context<LockRenewArgs>): Promise<void> {
  const { args, output } = context;
  using book = lockBook(context);
  const lock = book.renew(args.token, { ttlMs: args.ttl });
  output.emit(lockEvent(lock, { token: args.token, released: false }));
  return Promise.resolve();
}
