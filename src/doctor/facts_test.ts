import { assertEquals, assertTrue } from "../base/testing.ts";
import { conclude, type Reach } from "./conclude.ts";
import { explain } from "./explain.ts";
import { natKind, type NetworkFacts } from "./facts.ts";

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

function seen(...seen: string[]): Partial<NetworkFacts> {
  return { reflection: { seen, localPort: 4001 } };
}

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
    ["one address of the hub", seen("203.0.113.9:4001"), "unknown", true],
    ["a friendly NAT", seen("203.0.113.9:4001", "203.0.113.9:4001"), "punching", true],
    ["a symmetric NAT", seen("203.0.113.9:1", "203.0.113.9:2"), "relay", true],
    [
      "a router that forwards",
      { portMapping: { protocols: ["UPnP"], external: "203.0.113.9" } },
      "punching",
      true,
    ],
    [
      "the same behind a symmetric NAT",
      {
        ...seen("203.0.113.9:1", "203.0.113.9:2"),
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

Deno.test("natKind() knows a machine without a NAT, and what one address cannot tell", () => {
  const rows: [Partial<NetworkFacts>, ReturnType<typeof natKind>][] = [
    [{}, "unknown"],
    [seen(), "unknown"],
    [seen("192.168.1.7:4001"), "none"],
    [seen("192.168.1.7:4001", "[fd00::7]:4001"), "none"],
    [seen("203.0.113.9:4001"), "unknown"],
    [seen("203.0.113.9:4001", "203.0.113.9:4001"), "endpoint-independent"],
    [seen("203.0.113.9:4001", "203.0.113.9:4002"), "symmetric"],
  ];
  for (const [facts, kind] of rows) {
    assertEquals(natKind({ ...FACTS, ...facts }), kind, JSON.stringify(facts));
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
      "NAT",
      seen("203.0.113.9:1", "203.0.113.9:2"),
      "note",
      "symmetric: the hub's addresses see 203.0.113.9:1, 203.0.113.9:2 (another port for each)",
    ],
    [
      "NAT",
      seen("203.0.113.9:4001"),
      "note",
      "the hub sees 203.0.113.9:4001, with the port that it has here; whether others see the same cannot be known: the hub has only one address to look from",
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
