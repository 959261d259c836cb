import { WormholeError } from "../../base/errors.ts";
import {
  conclude,
  diagnose,
  explain,
  filtering,
  type Finding,
  isUnknown,
  lookAtNetwork,
  natKind,
  views,
} from "../../doctor/mod.ts";
import type { Context } from "../context.ts";
import type { NetworkEvent } from "../events.ts";
import type { DoctorArgs } from "../table.ts";
import { VERSION } from "../version.ts";

/**
 * Says what works on this machine and what does not.
 *
 * @throws {WormholeError} HUB_UNREACHABLE or CONNECT_FAILED when `--network` finds that nothing can be transferred.
 */
export async function run(context: Context<DoctorArgs>): Promise<void> {
  const { args, settings, settingsProblem, signal } = context;
  if (args.network) return await network(context);
  const surroundings = { settings, settingsProblem, signal, version: VERSION, folder: Deno.cwd() };
  for await (const finding of diagnose(surroundings)) show(finding, context);
}

async function network(context: Context<DoctorArgs>): Promise<void> {
  const { settings, output, signal } = context;
  const facts = await lookAtNetwork({ settings, signal });
  for (const finding of explain(facts)) show(finding, context);
  const { reach, possible, text, advice } = conclude(facts);
  const { hub, portMapping } = facts;
  const mapping = isUnknown(portMapping) ? { protocols: [] } : portMapping;
  const event: NetworkEvent = {
    event: "network",
    reach,
    possible,
    text,
    advice: advice ?? null,
    addresses: isUnknown(facts.addresses) ? [] : facts.addresses,
    nat: natKind(facts),
    filtering: filtering(facts),
    seen: views(facts).map(({ seen }) => seen),
    udp: facts.udp === "off" || facts.reflection === "none" ? null : !isUnknown(facts.reflection),
    captive_portal: facts.portal ?? null,
    hub: hub === "none" || isUnknown(hub) ? null : {
      connect_ms: Math.round(hub.connectMs),
      rtt_ms: hub.rttMs === undefined ? null : Math.round(hub.rttMs),
      skew_ms: hub.skewMs === undefined ? null : Math.round(hub.skewMs),
      relay: hub.relay,
      proxy: hub.proxy ?? null,
    },
    port_mapping: mapping.protocols,
    external: mapping.external ?? null,
    multicast: isUnknown(facts.multicast) ? null : facts.multicast,
    firewalls: facts.firewalls,
  };
  output.emit(event);
  if (possible) return;
  const code = hub !== "none" && isUnknown(hub) && reach === "local" ? "HUB_UNREACHABLE" : "CONNECT_FAILED";
  throw new WormholeError(code, `Cannot reach other machines: ${text}`);
}

function show({ name, status, text, advice }: Finding, { output }: Context<DoctorArgs>): void {
  output.emit({ event: "check", name, status, text, advice: advice ?? null });
}
