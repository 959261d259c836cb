/** The facts about the network in plain words; no I/O. */
import { isIP } from "node:net";
import { contains, NEAR } from "../config/subnets.ts";
import { isUnknown, LOOPBACK, natKind, type NetworkFacts, SHARED, type Unknown } from "./facts.ts";
import type { Finding } from "./mod.ts";

/** Clocks that differ by less than this trouble nobody: meeting points of known machines change every hour. */
const HARMLESS_SKEW_MS = 5 * 60_000;

/** Gives a finding for each fact. */
export function explain(facts: NetworkFacts): Finding[] {
  return [
    explainAddresses(facts.addresses),
    explainSocket("TCP", facts.tcp),
    facts.udp === "off"
      ? { name: "UDP", status: "note", text: "not used: force_tcp is set" }
      : explainSocket("UDP", facts.udp),
    ...explainHub(facts),
    explainReflection(facts),
    explainPortMapping(facts),
    explainMulticast(facts.multicast),
    ...explainProxies(facts.proxies),
    explainFirewalls(facts.firewalls),
  ];
}

function explainAddresses(addresses: NetworkFacts["addresses"]): Finding {
  const name = "addresses";
  if (isUnknown(addresses)) return { name, status: "problem", text: addresses.unknown };
  const outside = addresses.filter((ip) => !contains(LOOPBACK, ip) && !/^fe[89ab]/i.test(ip));
  if (outside.length === 0) {
    return { name, status: "problem", text: "this machine is on no network", advice: "Connect it to one." };
  }
  const kind = (ip: string) =>
    contains(SHARED, ip) ? " (shared by a provider)" : contains(NEAR, ip) ? " (private)" : " (public)";
  const families = [4, 6].filter((family) => outside.some((ip) => isIP(ip) === family)).map((each) =>
    `IPv${each}`
  );
  const text = `${families.join(" and ")}: ${outside.map((ip) => ip + kind(ip)).join(", ")}`;
  return { name, status: "ok", text };
}

function explainSocket(name: string, socket: string | Unknown): Finding {
  if (!isUnknown(socket)) {
    return { name, status: "ok", text: `connections can be taken, as now at ${socket}` };
  }
  return {
    name,
    status: name === "TCP" ? "problem" : "note",
    text: `no socket can be opened: ${socket.unknown}`,
    advice: name === "TCP" ? "Check what forbids this program to listen." : "Everything goes over TCP then.",
  };
}

function explainHub({ hub, hubUrl }: NetworkFacts): Finding[] {
  const name = "hub";
  if (hub === "none") {
    return [{ name, status: "note", text: "none is set; machines find each other on the local network" }];
  }
  if (isUnknown(hub)) {
    const advice = "Check the address (wormhole config set signal_server URL) and that the hub runs.";
    return [{ name, status: "problem", text: hub.unknown, advice }];
  }
  const way = hub.proxy === undefined ? "" : ` through the proxy at ${hub.proxy}`;
  const rtt = hub.rttMs === undefined ? "" : `, then ${rounded(hub.rttMs)} there and back`;
  const findings: Finding[] = [{
    name,
    status: "ok",
    text: `${hubUrl} answers over TCP${way}: welcome after ${rounded(hub.connectMs)}${rtt}`,
  }];
  findings.push({
    name: "relay",
    status: hub.relay ? "ok" : "note",
    text: hub.relay
      ? "the hub has one, for machines that do not reach each other directly"
      : "the hub has none: of two machines behind routers, one must be reachable",
  });
  if (hub.skewMs === undefined) {
    findings.push({ name: "clock", status: "note", text: "the hub does not tell its time" });
  } else if (Math.abs(hub.skewMs) < HARMLESS_SKEW_MS) {
    findings.push({ name: "clock", status: "ok", text: `${rounded(Math.abs(hub.skewMs))} from the hub's` });
  } else {
    const direction = hub.skewMs > 0 ? "behind" : "ahead of";
    findings.push({
      name: "clock",
      status: "problem",
      text: `${rounded(Math.abs(hub.skewMs))} ${direction} the hub's`,
      advice: "Machines that know each other meet by the time: set this clock, or have it set (NTP).",
    });
  }
  return findings;
}

function explainReflection(facts: NetworkFacts): Finding {
  const { hub, reflection, udp } = facts;
  const name = "NAT";
  if (udp === "off") return { name, status: "note", text: "not looked at: force_tcp is set" };
  if (hub === "none") {
    return { name, status: "note", text: "only a hub could tell how this machine looks from outside" };
  }
  if (reflection === "none") {
    return { name, status: "note", text: "what kind it is cannot be known: the hub does not tell addresses" };
  }
  if (isUnknown(reflection)) {
    return {
      name,
      status: "note",
      text: `the hub cannot be reached over UDP: ${reflection.unknown}`,
      advice: "A firewall may block UDP; everything goes over TCP then.",
    };
  }
  const seen = [...new Set(reflection.seen)].join(", ");
  switch (natKind(facts)) {
    case "none":
      return { name, status: "ok", text: `none: the hub sees this machine at its own address, ${seen}` };
    case "endpoint-independent":
      return {
        name,
        status: "ok",
        text: `friendly: every address of the hub sees ${seen} (endpoint-independent mapping)`,
      };
    case "symmetric":
      return {
        name,
        status: "note",
        text: `symmetric: the hub's addresses see ${seen} (another port for each)`,
        advice: "Holes cannot be punched through it to machines behind a NAT of the same kind.",
      };
    case "unknown": {
      const kept = seen.endsWith(`:${reflection.localPort}`);
      return {
        name,
        status: "note",
        text:
          `the hub sees ${seen || "nothing"}${
            kept ? ", with the port that it has here" : ""
          }; whether others see the same ` +
          "cannot be known: the hub has only one address to look from",
      };
    }
  }
}

function explainPortMapping({ portMapping }: NetworkFacts): Finding {
  const name = "port mapping";
  if (isUnknown(portMapping)) return { name, status: "note", text: portMapping.unknown };
  const { protocols, external } = portMapping;
  if (protocols.length === 0) {
    return { name, status: "note", text: "the router answers neither UPnP, nor NAT-PMP, nor PCP" };
  }
  const at = external === undefined ? "" : `; outside it is ${external}`;
  const behind = external !== undefined && contains(NEAR, external);
  return {
    name,
    status: behind ? "note" : "ok",
    text: `the router answers ${protocols.join(" and ")}${at}`,
    ...behind &&
      { advice: "That is a private address: there is another router behind it, which forwards nothing." },
  };
}

function explainMulticast(multicast: NetworkFacts["multicast"]): Finding {
  const name = "multicast";
  if (isUnknown(multicast)) {
    return {
      name,
      status: "note",
      text: multicast.unknown,
      advice: "Machines here are found with --peer or a hub.",
    };
  }
  return multicast
    ? {
      name,
      status: "ok",
      text: "this machine hears its own mDNS announcement; an access point may still keep it from others",
    }
    : {
      name,
      status: "note",
      text: "this machine does not hear its own mDNS announcement",
      advice:
        "Senders on this network are found with --peer or a hub; let UDP port 5353 through the firewall.",
    };
}

function explainProxies(proxies: NetworkFacts["proxies"]): Finding[] {
  if (proxies.length === 0) return [{ name: "proxies", status: "ok", text: "the environment names none" }];
  return proxies.map(({ variable, place, state }) =>
    place === undefined
      ? {
        name: "proxies",
        status: "problem",
        text: `${variable} cannot be used: ${state}`,
        advice: `Set it to http://HOST:PORT or socks5h://HOST:PORT, or unset it.`,
      }
      : { name: "proxies", status: "ok", text: `${variable}: ${place}` }
  );
}

function explainFirewalls(firewalls: readonly string[]): Finding {
  const name = "firewall";
  if (firewalls.length === 0) {
    return { name, status: "ok", text: "none that this program knows is switched on here" };
  }
  return {
    name,
    status: "note",
    text: `${firewalls.join(" and ")} ${firewalls.length > 1 ? "are" : "is"} switched on`,
    advice: "To be reached, open one port, TCP and UDP, and set it: wormhole config set port N",
  };
}

function rounded(ms: number): string {
  if (ms < 10_000) return `${Math.round(ms)} ms`;
  return ms < 120_000 ? `${Math.round(ms / 1000)} s` : `${Math.round(ms / 60_000)} min`;
}
