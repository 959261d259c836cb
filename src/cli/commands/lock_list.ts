import { lockedPath } from "../../locks/mod.ts";
import type { Context } from "../context.ts";
import type { LockListArgs } from "../table.ts";
import { lockBook, lockEvent } from "./locks.ts";

/** Runs `wormhole lock list`. @throws {WormholeError} what the disk says. */
export async function run(context: Context<LockListArgs>): Promise<void> {
  const { args, output } = context;
  using book = lockBook(context);
  const path = args.path === undefined ? undefined : await lockedPath(args.path);
  for (const lock of book.list(path)) output.emit(lockEvent(lock, { token: null, released: false }));
}
