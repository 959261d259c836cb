import { runHub } from "../../hub/mod.ts";
import type { Context } from "../context.ts";
import type { HubArgs } from "../table.ts";

/**
 * Runs `wormhole hub` until it is interrupted.
 *
 * @throws {WormholeError} ADDRESS_IN_USE and its kin when it cannot listen; what is wrong with the database.
 */
export async function run({ args, output, log, clock, signal }: Context<HubArgs>): Promise<void> {
  await runHub({
    listen: args.listen,
    ...args.database !== undefined && { database: args.database },
    codeTtlMs: args.codeTtl,
    limits: { claimsPerMinute: args.rateLimit },
    ...args.motd !== undefined && { motd: args.motd },
    trustForwarded: args.trustForwarded,
    log,
    clock,
    onListening: ({ url }) => output.emit({ event: "listening", url }),
    signal,
  });
}
