import { WormholeError } from "../../base/errors.ts";
import { lockedPath } from "../../locks/mod.ts";
import type { Context } from "../context.ts";
import type { LockReleaseArgs } from "../table.ts";
import { lockBook, lockEvent } from "./locks.ts";

/** Runs `wormhole lock release`. @throws {WormholeError} NOT_FOUND when there is no such lock; what the disk says. */
export async function run(context: Context<LockReleaseArgs>): Promise<void> {
  const { args, output } = context;
  using book = lockBook(context);
  const locks = args.force ? book.breakAt(await lockedPath(args.token)) : [book.release(args.token)];
  if (locks.length === 0) {
    throw new WormholeError("NOT_FOUND", `Cannot release "${args.token}": it is not locked`);
  }
  for (const lock of locks) output.emit(lockEvent(lock, { token: null, released: true }));
}
