import { WormholeError } from "../../base/errors.ts";
import { hubStatus } from "../../hub/mod.ts";
import { parseHubUrl } from "../../pairing/hub_url.ts";
import type { Context } from "../context.ts";
import type { HubStatusArgs } from "../table.ts";

/**
 * Runs `wormhole hub status`.
 *
 * @throws {WormholeError} USAGE when no hub is named anywhere; HUB_UNREACHABLE; PROTOCOL when it is no hub.
 */
export async function run({ args, config, output, signal }: Context<HubStatusArgs>): Promise<void> {
  const named = args.url ?? config.signalServer;
  if (named === "") {
    throw new WormholeError("USAGE", "Cannot ask a hub: name it, or set signal_server");
  }
  const url = parseHubUrl(named);
  const { uptimeMs, ...status } = await hubStatus(url, { signal });
  output.emit({ event: "hub_status", url: url.href, ...status, uptime_ms: uptimeMs });
}
