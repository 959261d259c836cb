import type { Context } from "../context.ts";
import { farPath } from "../far_path.ts";
import type { LockRenewArgs } from "../table.ts";
import { lockBook, tellLocks } from "./locks.ts";

/** Runs `wormhole lock renew`. @throws {WormholeError} NOT_FOUND when the lock has ended; what the disk says, or the other machine. */
export async function run(context: Context<LockRenewArgs>): Promise<void> {
  const { token, ttl: ttlMs } = context.args;
  const far = farPath(token);
  if (far !== undefined) return await (await import("../far_lock.ts")).renewThere(context, far);
  using book = lockBook(context);
  await tellLocks(context, [book.renew(token, { ttlMs })], { token, released: false });
}
