import { WormholeError } from "../../base/errors.ts";
import type { Context } from "../context.ts";
import type { HubArgs } from "../table.ts";

/**
 * Runs `wormhole hub`.
 *
 * @throws {WormholeError} UNSUPPORTED: the table marks it as pending, so no command line leads here yet.
 */
export function run(_context: Context<HubArgs>): Promise<void> {
  return Promise.reject(
    new WormholeError("UNSUPPORTED", 'Cannot run "wormhole hub": this version does not have it yet'),
  );
}
