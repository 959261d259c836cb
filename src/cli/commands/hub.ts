import { WormholeError } from "../../base/errors.ts";
import { runHub } from "../../hub/mod.ts";
import type { Context } from "../context.ts";
import { counted, formatDuration } from "../format.ts";
import type { HubArgs } from "../table.ts";

/**
 * Runs `wormhole hub` until it is interrupted.
 *
 * @throws {WormholeError} USAGE for one of --tls-cert and --tls-key without the other; ADDRESS_IN_USE and its kin when
 * it cannot listen; what is wrong with the certificate or the database.
 */
export async function run({ args, output, log, clock, signal, hangup }: Context<HubArgs>): Promise<void> {
  const { tlsCert: cert, tlsKey: key } = args;
  if ((cert === undefined) !== (key === undefined)) {
    throw new WormholeError("USAGE", "Cannot use --tls-cert and --tls-key one without the other");
  }
  const relay = {
    ...args.relayListen !== undefined && { listen: args.relayListen },
    ...args.relayUrl !== undefined && { url: args.relayUrl },
    ...args.discoveryListen !== undefined && { discoveryListen: args.discoveryListen },
    ...args.relayRate !== undefined && { clientBytesPerSecond: args.relayRate },
    maxClients: args.relayClients,
  };
  const { transitListen: listen, transitAnnounce: announce } = args;
  if (announce !== undefined && listen === undefined) {
    throw new WormholeError("USAGE", "Cannot use --transit-announce: there is no --transit-listen");
  }
  await runHub({
    listen: args.listen,
    ...!args.noRelay && { relay },
    ...listen !== undefined && { transit: { listen, ...announce !== undefined && { announce } } },
    ...cert !== undefined && key !== undefined && { tls: { cert, key } },
    ...args.database !== undefined && { database: args.database },
    codeTtlMs: args.codeTtl,
    limits: { claimsPerMinute: args.rateLimit, claimBurst: args.rateLimit },
    ...args.motd !== undefined && { motd: args.motd },
    trustForwarded: args.trustForwarded,
    allowOrigins: args.allowOrigin,
    metrics: args.metrics,
    ...args.metricsListen !== undefined && { metricsListen: args.metricsListen },
    drainMs: args.drain,
    log,
    clock,
    onRenewal: (renew) => hangup.take(renew),
    onListening: ({ url, metricsUrl, transit }) =>
      output.emit({ event: "listening", url, metrics: metricsUrl ?? null, transit: transit ?? null }),
    onDraining: ({ connections, transit, drainMs }) =>
      output.emit({
        event: "warning",
        message: `ending in at most ${formatDuration(drainMs)}: ${
          counted(connections, "connection has a code", "connections have codes")
        }${
          transit > 0 ? `, ${counted(transit, "is relayed", "are relayed")}` : ""
        } (once more to end at once)`,
      }),
    signal,
  });
}
