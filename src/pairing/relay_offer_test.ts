import { assertEquals } from "../base/testing.ts";
import { parseRelayOffer } from "./relay_offer.ts";

const HUB = new URL("wss://hub.example.org/v1");
const ID = "0123456789abcdef0123456789abcdef";
const PIN = "ab".repeat(32);
const OFFER = { id: ID, token: "a.b" };

Deno.test("parseRelayOffer() finds the relay at the hub's own address when nothing else is said", () => {
  const at = (hub: string) => parseRelayOffer(OFFER, new URL(hub))?.url;
  assertEquals(at("wss://hub.example.org/v1"), "https://hub.example.org/");
  assertEquals(at("ws://192.0.2.1:4000/v1"), "http://192.0.2.1:4000/");
  assertEquals(at("ws://[2001:db8::1]:4000/v1"), "http://[2001:db8::1]:4000/");
});

Deno.test("parseRelayOffer() takes what the hub says", () => {
  const discovery = { discovery_port: 4002, other_discovery_port: 4003 };
  const told = { ...OFFER, port: 4001, ...discovery, certificates: [PIN], new_field: 1 };
  assertEquals(parseRelayOffer(told, HUB), {
    id: Uint8Array.fromHex(ID),
    url: "https://hub.example.org:4001/",
    token: "a.b",
    discoveryPort: 4002,
    otherDiscoveryPort: 4003,
    pins: [Uint8Array.fromHex(PIN)],
  });
  const elsewhere = { ...OFFER, url: "https://relay.example.org/any/path?x" };
  assertEquals(parseRelayOffer(elsewhere, HUB)?.url, "https://relay.example.org/");
});

Deno.test("parseRelayOffer() takes a hub's word that it joins connections, where they can be sealed ones", () => {
  const joins = (hub: string, offer: object) => parseRelayOffer({ ...OFFER, ...offer }, new URL(hub))?.joins;
  assertEquals(joins("ws://hub.example.org/v1", { joins: true }), { host: "hub.example.org", port: 80 });
  assertEquals(joins("ws://[2001:db8::1]:4000/v1", { joins: true }), { host: "2001:db8::1", port: 4000 });
  assertEquals(joins("wss://hub.example.org/v1", { joins: true }), undefined);
  assertEquals(joins("ws://hub.example.org/v1", { joins: "yes" }), undefined);
  assertEquals(joins("ws://hub.example.org/v1", {}), undefined);
});

const BAD: [string, unknown][] = [
  ["none", undefined],
  ["text", "relay"],
  ["list", [OFFER]],
  ["no id", { token: "a" }],
  ["long id", { ...OFFER, id: ID + "00" }],
  ["no token", { id: ID }],
  ["token with a line break", { ...OFFER, token: "a\r\nb" }],
  ["long token", { ...OFFER, token: "a".repeat(257) }],
  ["port 0", { ...OFFER, port: 0 }],
  ["port as text", { ...OFFER, port: "80" }],
  ["discovery port too high", { ...OFFER, discovery_port: 65536 }],
  ["second discovery port 0", { ...OFFER, other_discovery_port: 0 }],
  ["file URL", { ...OFFER, url: "file:///etc/passwd" }],
  ["no URL", { ...OFFER, url: "hub" }],
  ["certificates as text", { ...OFFER, certificates: PIN }],
  ["short certificate", { ...OFFER, certificates: ["ab"] }],
  ["many certificates", { ...OFFER, certificates: Array(9).fill(PIN) }],
];

for (const [description, value] of BAD) {
  Deno.test(`parseRelayOffer() gives nothing for: ${description}`, () => {
    assertEquals(parseRelayOffer(value, HUB), undefined);
  });
}
