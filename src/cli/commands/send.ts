import { WormholeError } from "../../base/errors.ts";
import type { Context } from "../context.ts";
import type { SendArgs } from "../table.ts";

/**
 * Runs `wormhole send`.
 *
 * @throws {WormholeError} UNSUPPORTED: the table marks it as pending, so no command line leads here yet.
 */
export function run(_context: Context<SendArgs>): Promise<void> {
  return Promise.reject(
    new WormholeError("UNSUPPORTED", 'Cannot run "wormhole send": this version does not have it yet'),
  );
}
