import { WormholeError } from "../../base/errors.ts";
import type { Context } from "../context.ts";
import type { RecvArgs } from "../table.ts";

/**
 * Runs `wormhole recv`.
 *
 * @throws {WormholeError} UNSUPPORTED: the table marks it as pending, so no command line leads here yet.
 */
export function run(_context: Context<RecvArgs>): Promise<void> {
  return Promise.reject(
    new WormholeError("UNSUPPORTED", 'Cannot run "wormhole recv": this version does not have it yet'),
  );
}
