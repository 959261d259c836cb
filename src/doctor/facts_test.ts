import { assertEquals, assertTrue } from "../base/testing.ts";
import { conclude, type Reach } from "./conclude.ts";
import { explain } from "./explain.ts";
import { filtering, natKind, type NetworkFacts, type View } from "./facts.ts";

const HUB = { connectMs: 42.4, rttMs: 20, skewMs: 1500, relay: true };

const FACTS: NetworkFacts = {
  addresses: ["192.168.1.7", "fd00::7", "fe80::1", "127.0.0.1", "::1"],
  tcp: "0.0.0.0:4000",
  udp: "0.0.0.0:4001",
  hub: HUB,
  hubUrl: "wss://hub.example",
  reflection: "none",
  portMapping: { protocols: [] },
  multicast: true,
  proxies: [],
  firewalls: [],
};

function seen(seen: string, more: Partial<View> = {}): Partial<NetworkFacts> {
  return { reflection: [{ seen, localPort: 4001, ...more }] };
}

const OUTSIDE = "203.0.113.9:4001";
/** Each kind of NAT, as the two ports of a hub see a socket behind it. */
const CONE = seen(OUTSIDE, { other: OUTSIDE, knocked: true });
const PORT_RESTRICTED = seen(OUTSIDE, { other: OUTSIDE, knocked: false });
const SYMMETRIC = seen(OUTSIDE, { other: "203.0.113.9:4002", knocked: false });

Deno.test("conclude() says how others reach this machine, and whether anything can be transferred", () => {
  const failed = { unknown: "it does not answer" };
  const rows: [string, Partial<NetworkFacts>, Reach, boolean][] = [
    ["a private address, and a hub that tells nothing", {}, "unknown", true],
    ["the same without a hub", { hub: "none" }, "local", true],
    ["a hub that does not answer", { hub: failed }, "local", false],
    ["a public IPv4 address", { addresses: ["198.18.0.1", "127.0.0.1"] }, "direct", true],
    ["a public IPv6 address", { addresses: ["10.0.0.1", "2001:db8::7"] }, "direct", true],
    [
      "a public address and a hub that does not answer",
      { addresses: ["198.18.0.1"], hub: failed },
      "local",
      false,
    ],
    ["a provider's shared address", { addresses: ["100.64.3.4"] }, "unknown", true],
    ["loopback only", { addresses: ["127.0.0.1", "::1"] }, "none", false],
    ["no sockets", { tcp: failed, udp: failed }, "none", false],
    ["no TCP, but UDP", { tcp: failed }, "unknown", true],
    ["UDP switched off", { udp: "off" }, "relay", true],
    ["UDP does not get to the hub", { reflection: failed }, "relay", true],
    ["one port of the hub", seen(OUTSIDE), "unknown", true],
    ["a full or restricted cone", CONE, "punching", true],
    ["a port-restricted cone", PORT_RESTRICTED, "punching", true],
    ["a symmetric NAT", SYMMETRIC, "relay", true],
    [
      "a public address that lets everybody in",
      {
        addresses: ["198.18.0.1"],
        ...seen("198.18.0.1:4001", { other: "198.18.0.1:4001", knocked: true }),
      },
      "direct",
      true,
    ],
    [
      "a public address behind a firewall",
      {
        addresses: ["198.18.0.1"],
        ...seen("198.18.0.1:4001", { other: "198.18.0.1:4001", knocked: false }),
      },
      "punching",
      true,
    ],
    [
      "a router that forwards",
      { portMapping: { protocols: ["UPnP"], external: "203.0.113.9" } },
      "punching",
      true,
    ],
    [
      "the same behind a symmetric NAT",
      {
        ...SYMMETRIC,
        portMapping: { protocols: ["PCP"], external: "203.0.113.9" },
      },
      "punching",
      true,
    ],
    [
      "behind another router",
      { portMapping: { protocols: ["UPnP"], external: "10.0.0.2" } },
      "unknown",
      true,
    ],
  ];
  for (const [what, facts, reach, possible] of rows) {
    const conclusion = conclude({ ...FACTS, ...facts });
    assertEquals([conclusion.reach, conclusion.possible], [reach, possible], what);
    assertTrue(possible || conclusion.advice, `${what}: what to do`);
  }
});

Deno.test("conclude() says what carries files where two machines do not reach each other", () => {
  const texts = [true, false].map((relay) => conclude({ ...FACTS, hub: { ...HUB, relay } }).text);
  assertTrue(texts[0]!.endsWith("the hub's relay carries what is sent"), texts[0]);
  assertTrue(texts[1]!.endsWith("this hub has no relay for where they do not"), texts[1]);
});

Deno.test("natKind() and filtering() judge every kind of NAT, and claim nothing that one port cannot tell", () => {
  const rows: [Partial<NetworkFacts>, ReturnType<typeof natKind>, ReturnType<typeof filtering>][] = [
    [{}, "unknown", "unknown"],
    [{ reflection: { unknown: "no answer" } }, "unknown", "unknown"],
    [seen("192.168.1.7:4001"), "none", "unknown"],
    [seen("[fd00::7]:4001", { other: "[fd00::7]:4001", knocked: true }), "none", "port-independent"],
    [seen("192.168.1.7:4001", { other: "192.168.1.7:9" }), "symmetric", "unknown"],
    [seen(OUTSIDE), "unknown", "unknown"],
    [seen(OUTSIDE, { knocked: true }), "unknown", "port-independent"],
    [CONE, "endpoint-independent", "port-independent"],
    [PORT_RESTRICTED, "endpoint-independent", "port-dependent"],
    [SYMMETRIC, "symmetric", "port-dependent"],
    [
      {
        reflection: [
          { seen: OUTSIDE, other: OUTSIDE, localPort: 1, knocked: false },
          { seen: "[fd00::7]:1", other: "[fd00::7]:1", localPort: 1, knocked: true },
        ],
      },
      "endpoint-independent",
      "port-dependent",
    ],
  ];
  for (const [facts, kind, lets] of rows) {
    const all = { ...FACTS, ...facts };
    assertEquals([natKind(all), filtering(all)], [kind, lets], JSON.stringify(facts));
  }
});

Deno.test("explain() and conclude() say with whom files go directly, for every kind of NAT", () => {
  const rows: [string, Partial<NetworkFacts>, RegExp, RegExp][] = [
    ["a cone", CONE, /full or restricted cone.*routers of any kind$/, /whatever router they are behind$/],
    [
      "a port-restricted cone",
      PORT_RESTRICTED,
      /port-restricted cone.*except to and from machines behind a symmetric NAT: those need the relay$/,
      /unless they are behind a symmetric NAT; else the hub's relay carries what is sent$/,
    ],
    [
      "a symmetric NAT",
      SYMMETRIC,
      /symmetric: .*4001, the other .*4002.*two machines behind such routers need the relay$/,
      /if they can be dialled, or if their router .*; else the hub's relay carries what is sent$/,
    ],
    [
      "a firewall",
      {
        addresses: ["198.18.0.1"],
        ...seen("198.18.0.1:1", { other: "198.18.0.1:1", knocked: false }),
      },
      /own address, 198\.18\.0\.1:1; what comes unasked is kept out by a firewall/,
      /behind a firewall: others get in over UDP when both dial at once/,
    ],
  ];
  for (const [what, facts, finding, conclusion] of rows) {
    const all = { ...FACTS, ...facts };
    const nat = explain(all).find(({ name }) => name === "NAT")!.text;
    assertTrue(finding.test(nat), `${what}: ${nat}`);
    assertTrue(conclusion.test(conclude(all).text), `${what}: ${conclude(all).text}`);
  }
});

Deno.test("explain() has a sentence for every fact, whatever it is", () => {
  const failed = { unknown: "no answer within 3 s" };
  const of = (facts: Partial<NetworkFacts>, name: string) =>
    explain({ ...FACTS, ...facts }).find((finding) => finding.name === name)!;
  const rows: [string, Partial<NetworkFacts>, string, string][] = [
    ["addresses", {}, "ok", "IPv4 and IPv6: 192.168.1.7 (private), fd00::7 (private)"],
    [
      "addresses",
      { addresses: ["100.64.0.1", "198.18.0.1"] },
      "ok",
      "IPv4: 100.64.0.1 (shared by a provider), 198.18.0.1 (public)",
    ],
    ["addresses", { addresses: ["::1"] }, "problem", "this machine is on no network"],
    ["addresses", { addresses: failed }, "problem", "no answer within 3 s"],
    ["TCP", { tcp: failed }, "problem", "no socket can be opened: no answer within 3 s"],
    ["UDP", { udp: "off" }, "note", "not used: force_tcp is set"],
    ["hub", {}, "ok", "wss://hub.example answers over TCP: welcome after 42 ms, then 20 ms there and back"],
    [
      "hub",
      { hub: { connectMs: 5, relay: false, proxy: "p:1080" } },
      "ok",
      "wss://hub.example answers over TCP through the proxy at p:1080: welcome after 5 ms",
    ],
    ["hub", { hub: failed }, "problem", "no answer within 3 s"],
    ["relay", {}, "ok", "the hub has one, for machines that do not reach each other directly"],
    [
      "relay",
      { hub: { ...HUB, relay: false } },
      "note",
      "the hub has none: of two machines behind routers, one must be reachable",
    ],
    ["clock", {}, "ok", "1500 ms from the hub's"],
    ["clock", { hub: { connectMs: 1, relay: false, skewMs: 600_000 } }, "problem", "10 min behind the hub's"],
    [
      "clock",
      { hub: { connectMs: 1, relay: false, skewMs: -600_000 } },
      "problem",
      "10 min ahead of the hub's",
    ],
    ["clock", { hub: { connectMs: 1, relay: false } }, "note", "the hub does not tell its time"],
    ["NAT", {}, "note", "what kind it is cannot be known: the hub does not tell addresses"],
    ["NAT", { hub: "none" }, "note", "only a hub could tell how this machine looks from outside"],
    [
      "NAT",
      seen("192.168.1.7:4001"),
      "ok",
      "none: the hub sees this machine at its own address, 192.168.1.7:4001",
    ],
    [
      "NAT, IPv6",
      seen("[fd00::7]:4001", { other: "[fd00::7]:4001", knocked: true }),
      "ok",
      "none: the hub sees this machine at its own address, [fd00::7]:4001, and what comes unasked gets in: everybody can dial it",
    ],
    [
      "NAT",
      seen(OUTSIDE, { other: OUTSIDE }),
      "ok",
      "friendly: both ports of the hub see 203.0.113.9:4001 (endpoint-independent mapping)",
    ],
    [
      "NAT",
      seen(OUTSIDE),
      "note",
      "the hub sees 203.0.113.9:4001, with the port that it has here; whether others see the same cannot be known: only one port of the hub answers",
    ],
    [
      "captive portal",
      { hub: failed, portal: "HTTP 302 to login.example" },
      "problem",
      "something answers in the hub's place (HTTP 302 to login.example)",
    ],
    ["NAT", { reflection: failed }, "note", "the hub cannot be reached over UDP: no answer within 3 s"],
    ["port mapping", {}, "note", "the router answers neither UPnP, nor NAT-PMP, nor PCP"],
    [
      "port mapping",
      { portMapping: { protocols: ["NAT-PMP", "UPnP"], external: "203.0.113.9" } },
      "ok",
      "the router answers NAT-PMP and UPnP; outside it is 203.0.113.9",
    ],
    [
      "port mapping",
      { portMapping: { protocols: ["PCP"], external: "10.0.0.2" } },
      "note",
      "the router answers PCP; outside it is 10.0.0.2",
    ],
    ["multicast", { multicast: false }, "note", "this machine does not hear its own mDNS announcement"],
    ["proxies", { proxies: [{ variable: "ALL_PROXY", place: "http p:1" }] }, "ok", "ALL_PROXY: http p:1"],
    [
      "proxies",
      { proxies: [{ variable: "ALL_PROXY", state: "it is no address" }] },
      "problem",
      "ALL_PROXY cannot be used: it is no address",
    ],
    ["firewall", { firewalls: ["ufw", "nftables"] }, "note", "ufw and nftables are switched on"],
  ];
  for (const [name, facts, status, text] of rows) {
    const finding = of(facts, name);
    assertEquals([finding.status, finding.text], [status, text]);
    assertTrue(status !== "problem" || finding.advice || text.startsWith("no answer"), `${text}: what to do`);
  }
});
