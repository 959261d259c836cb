import { WormholeError } from "../../base/errors.ts";
import { lockedPath } from "../../locks/mod.ts";
import type { Context } from "../context.ts";
import { farPath } from "../far_path.ts";
import type { LockReleaseArgs } from "../table.ts";
import { lockBook, tellLocks } from "./locks.ts";

/** Runs `wormhole lock release`. @throws {WormholeError} NOT_FOUND when there is no such lock; what the disk says, or the other machine. */
export async function run(context: Context<LockReleaseArgs>): Promise<void> {
  const { args } = context;
  const far = farPath(args.token);
  if (far !== undefined) return await (await import("../far_lock.ts")).releaseThere(context, far);
  using book = lockBook(context);
  const locks = args.force ? book.breakAt(await lockedPath(args.token)) : [book.release(args.token)];
  if (locks.length === 0) {
    throw new WormholeError("NOT_FOUND", `Cannot release "${args.token}": it is not locked`);
  }
  await tellLocks(context, locks, { token: null, released: true });
}
