import { lockedPath } from "../../locks/mod.ts";
import type { Context } from "../context.ts";
import { farPath } from "../far_path.ts";
import type { LockListArgs } from "../table.ts";
import { lockBook, tellLocks } from "./locks.ts";

/** Runs `wormhole lock list`. @throws {WormholeError} what the disk says, or the other machine. */
export async function run(context: Context<LockListArgs>): Promise<void> {
  const { path: given } = context.args;
  const far = given === undefined ? undefined : farPath(given);
  if (far !== undefined) return await (await import("../far_lock.ts")).listThere(context, far);
  using book = lockBook(context);
  const path = given === undefined ? undefined : await lockedPath(given);
  await tellLocks(context, book.list(path), { token: null, released: false });
}
