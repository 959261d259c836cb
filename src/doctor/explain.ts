/** The facts about the network in plain words; no I/O. */
import { isIP } from "node:net";
import { contains, NEAR } from "../config/subnets.ts";
import {
  familyOf,
  isUnknown,
  LOOPBACK,
  natOf,
  type NetworkFacts,
  SHARED,
  type Unknown,
  type View,
} from "./facts.ts";
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
    ...explainPortal(facts),
    ...explainReflection(facts),
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

function explainReflection(facts: NetworkFacts): Finding[] {
  const { hub, reflection, udp, addresses } = facts;
  const name = "NAT";
  if (udp === "off") return [{ name, status: "note", text: "not looked at: force_tcp is set" }];
  if (hub === "none") {
    return [{ name, status: "note", text: "only a hub could tell how this machine looks from outside" }];
  }
  if (reflection === "none") {
    return [{
      name,
      status: "note",
      text: "what kind it is cannot be known: the hub does not tell addresses",
    }];
  }
  if (isUnknown(reflection)) {
    return [{
      name,
      status: "note",
      text: `the hub cannot be reached over UDP: ${reflection.unknown}`,
      advice:
        "A firewall here or at the hub blocks UDP: what cannot be dialled over TCP goes over the hub's relay.",
    }];
  }
  const own = isUnknown(addresses) ? [] : addresses;
  return reflection.map((view) => ({
    name: familyOf(view) === 4 ? name : "NAT, IPv6",
    ...explainView(view, own),
  }));
}

/** Says what kind of NAT it is, by its name among people, and with whom files then go directly. */
function explainView(view: View, own: readonly string[]): Omit<Finding, "name"> {
  const { seen, other, knocked, localPort } = view;
  switch (natOf(view, own)) {
    case "none": {
      const text = `none: the hub sees this machine at its own address, ${seen}`;
      if (knocked === undefined) return { status: "ok", text };
      return knocked
        ? { status: "ok", text: `${text}, and what comes unasked gets in: everybody can dial it` }
        : {
          status: "ok",
          text: `${text}; what comes unasked is kept out by a firewall: others get in once both have dialled`,
        };
    }
    case "endpoint-independent": {
      const same = `both ports of the hub see ${seen}`;
      if (knocked === undefined) {
        return { status: "ok", text: `friendly: ${same} (endpoint-independent mapping)` };
      }
      return knocked
        ? {
          status: "ok",
          text:
            `full or restricted cone: ${same}, and an answer from another port than the one asked gets in. ` +
            "Files go directly to and from machines behind routers of any kind",
        }
        : {
          status: "ok",
          text: `port-restricted cone: ${same}, and only a port that was asked can answer. ` +
            "Files go directly, except to and from machines behind a symmetric NAT: those need the relay",
        };
    }
    case "symmetric":
      return {
        status: "note",
        text: `symmetric: one port of the hub sees ${seen}, the other ${other}. ` +
          "Files go directly to and from machines that can be dialled, or whose router is a full or restricted cone; " +
          "two machines behind such routers need the relay",
        advice: "Forward a port in the router, or send over IPv6, if that is too slow.",
      };
    case "unknown": {
      const kept = seen.endsWith(`:${localPort}`);
      return {
        status: "note",
        text:
          `the hub sees ${seen}${
            kept ? ", with the port that it has here" : ""
          }; whether others see the same ` +
          "cannot be known: only one port of the hub answers",
      };
    }
  }
}

/** Whether something on the way answers for the hub. */
function explainPortal({ hub, portal }: NetworkFacts): Finding[] {
  if (portal === undefined || hub === "none" || !isUnknown(hub)) return [];
  return [{
    name: "captive portal",
    status: "problem",
    text: `something answers in the hub's place (${portal})`,
    advice: "In a hotel, train or café: open any page in a browser and log in to the network first.",
  }];
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
