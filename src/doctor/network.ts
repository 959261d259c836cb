import { NativeQueue } from "../native/queue.ts";
import { parseHubUrl } from "../pairing/hub_url.ts";
import { isUnknown } from "./facts.ts";
import { probeHub } from "./hub_probe.ts";
import type { Finding, Surroundings } from "./mod.ts";
import { listensAt } from "./sockets.ts";

/** Time that a hub gets to answer. */
const HUB_TIMEOUT_MS = 5000;

/** Reports whether this machine can take direct connections over TCP and over UDP (QUIC). */
export async function checkNetwork({ settings, signal }: Surroundings): Promise<Finding[]> {
  await using queue = NativeQueue.open();
  const findings = [await probe(queue, { kind: "tcp", name: "TCP", signal })];
  if (settings.config.forceTcp) {
    findings.push({ name: "UDP", status: "note", text: "not used: force_tcp is set" });
  } else findings.push(await probe(queue, { kind: "quic", name: "UDP", signal }));
  return findings;
}

async function probe(
  queue: NativeQueue,
  { kind, name, signal }: { kind: "tcp" | "quic"; name: string; signal?: AbortSignal },
): Promise<Finding> {
  try {
    signal?.throwIfAborted();
    const address = await listensAt(queue, kind);
    return {
      name,
      status: "ok",
      text: `connections can be taken, as now at ${address}; a firewall may still be in between`,
    };
  } catch (error) {
    return {
      name,
      status: kind === "tcp" ? "problem" : "note",
      text: `no socket can be opened: ${error instanceof Error ? error.message : error}`,
      advice: kind === "tcp"
        ? "Check what forbids this program to listen."
        : "Everything goes over TCP then.",
    };
  }
}

/** Reports whether the hub that is set answers. */
export async function checkHub({ settings, signal }: Surroundings): Promise<Finding[]> {
  const { signalServer } = settings.config;
  if (signalServer === "") {
    return [{
      name: "hub",
      status: "note",
      text: "none is set; machines find each other on the local network",
    }];
  }
  const facts = await probeHub(parseHubUrl(signalServer), {
    timeoutMs: HUB_TIMEOUT_MS,
    name: signalServer,
    signal: signal ?? new AbortController().signal,
  });
  if (!isUnknown(facts)) {
    const way = facts.proxy === undefined ? "" : ` through the proxy at ${facts.proxy}`;
    return [{ name: "hub", status: "ok", text: `${signalServer} answers${way}` }];
  }
  return [{
    name: "hub",
    status: "problem",
    text: facts.unknown,
    advice: "Check the address (wormhole config set signal_server URL) and that the hub runs.",
  }];
}
