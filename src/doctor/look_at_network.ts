/** The probes of `wormhole doctor --network`: all at once, each with its own deadline, none of which fails the others. */
import { anySignal } from "../base/any_signal.ts";
import type { LoadedConfig } from "../config/config.ts";
import { processProxies } from "../config/proxies.ts";
import { announce, browse, nextNeighbour, stopBrowsing, withdraw } from "../native/mdns.ts";
import { ownAddresses, reflect } from "../native/net.ts";
import { NativeQueue } from "../native/queue.ts";
import { parseHubUrl } from "../pairing/hub_url.ts";
import { isIPv4 } from "node:net";
import { type HubFacts, isUnknown, type NetworkFacts, type Unknown } from "./facts.ts";
import { activeFirewalls } from "./firewall.ts";
import { probeHub } from "./hub_probe.ts";
import { defaultGateway, probePortMapping } from "./port_mapping.ts";
import { probePortal } from "./portal.ts";
import { listensAt } from "./sockets.ts";

/** Longest that any probe takes which asks nothing of others first. */
export const PROBE_MS = 3_000;

/** Longest that the hub may take to say how this machine looks: three questions, one after the other, with losses. */
export const REFLECTION_MS = 7_500;

/** How long routers get to answer: UPnP lets them wait for a second first. */
const ROUTER_MS = 2_000;

/** A name of its own, which no sender or receiver looks for. */
const MULTICAST_SERVICE = "_wh-doctor._tcp.local.";

/** Looks at everything, as a rule within {@linkcode PROBE_MS}. @throws the signal's reason only. */
export async function lookAtNetwork(
  { settings, signal = new AbortController().signal }: {
    settings: Pick<LoadedConfig, "config">;
    signal?: AbortSignal;
  },
): Promise<NetworkFacts> {
  const { signalServer, forceTcp } = settings.config;
  await using queue = NativeQueue.open();
  const within = <T>(probe: (signal: AbortSignal) => Promise<T>, ms = PROBE_MS) =>
    unlessLate(probe, { signal, ms });
  const addresses = within(() => ownAddresses(queue));
  const hub = signalServer === ""
    ? Promise.resolve("none" as const)
    : within(async (signal) =>
      await probeHub(parseHubUrl(signalServer), { timeoutMs: PROBE_MS, name: signalServer, signal })
    );
  const [tcp, udp, reflection, portal, portMapping, multicast, firewalls] = await Promise.all([
    within(() => listensAt(queue, "tcp")),
    forceTcp ? "off" as const : within(() => listensAt(queue, "quic")),
    hub.then((hub) =>
      forceTcp || hub === "none" || isUnknown(hub) || hub.discovery === undefined
        ? "none" as const
        : within((signal) => viewsFrom(queue, hub, signal), REFLECTION_MS)
    ),
    hub.then(async (found) => {
      if (found === "none" || !isUnknown(found)) return undefined;
      const answer = await within(async (signal) => {
        const url = parseHubUrl(signalServer);
        return processProxies().forUrl(url) ? undefined : await probePortal(url, { signal });
      });
      return typeof answer === "string" ? answer : undefined;
    }),
    within(async (signal) => {
      const gateway = defaultGateway(await routes());
      const own = await addresses;
      return await probePortMapping({
        gateway,
        own: Array.isArray(own) ? own.find(isIPv4) : undefined,
        timeoutMs: ROUTER_MS,
        signal,
      });
    }),
    within((signal) => hearsItself(queue, signal)),
    activeFirewalls(),
  ]);
  return {
    addresses: await addresses,
    tcp,
    udp,
    hub: await hub,
    hubUrl: signalServer,
    reflection,
    ...portal !== undefined && { portal },
    portMapping,
    multicast,
    proxies: processProxies().list(),
    firewalls,
  };
}

/** Runs one probe to its end or its deadline, and gives what went wrong as a fact. */
async function unlessLate<T>(
  probe: (signal: AbortSignal) => Promise<T>,
  { signal, ms }: { signal: AbortSignal; ms: number },
): Promise<T | Unknown> {
  const late = AbortSignal.timeout(ms);
  const limit = anySignal(signal, late);
  const { promise: ended, reject } = Promise.withResolvers<never>();
  const end = () => reject(limit.reason);
  limit.addEventListener("abort", end, { once: true });
  try {
    return await Promise.race([probe(limit), ended]);
  } catch (error) {
    signal.throwIfAborted();
    if (late.aborted) return { unknown: `no answer within ${ms / 1000} s` };
    return { unknown: error instanceof Error ? error.message : String(error) };
  } finally {
    limit.removeEventListener("abort", end);
  }
}

/** How the hub sees this machine over UDP. */
async function viewsFrom(
  queue: NativeQueue,
  { discovery }: HubFacts,
  signal: AbortSignal,
): Promise<NetworkFacts["reflection"]> {
  const views = await reflect(queue, discovery!, { signal });
  return views.length > 0 ? views : { unknown: `no answer from UDP port ${discovery!.port}` };
}

async function hearsItself(queue: NativeQueue, signal: AbortSignal): Promise<boolean> {
  const instance = `doctor-${crypto.getRandomValues(new Uint8Array(6)).toHex()}`;
  const browser = await browse(queue, MULTICAST_SERVICE);
  try {
    const announcement = await announce(queue, { service: MULTICAST_SERVICE, instance, port: 9 });
    try {
      for (;;) if ((await nextNeighbour(queue, browser, { signal })).instance === instance) return true;
    } catch (error) {
      if (!signal.aborted) throw error;
      return false;
    } finally {
      await withdraw(queue, announcement);
    }
  } finally {
    await stopBrowsing(queue, browser);
  }
}

/** The kernel's IPv4 routes; nothing where there is no such file. */
async function routes(): Promise<string> {
  try {
    return await Deno.readTextFile("/proc/net/route");
  } catch {
    return "";
  }
}
