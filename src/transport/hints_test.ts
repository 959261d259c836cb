import fc from "fast-check";
import { isIP } from "node:net";
import { assertEquals, assertThrows, assertTrue } from "../base/testing.ts";
import { isWormholeError } from "../base/errors.ts";
import { Proxies } from "../config/proxies.ts";
import {
  addProxied,
  hintList,
  hintText,
  isLoopback,
  localHints,
  MAX_HINTS,
  orderHints,
  parseHints,
  parseHostPort,
} from "./hints.ts";

const RELAY = {
  transport: "hub-relay",
  relay: new Uint8Array(16).fill(1),
  key: new Uint8Array(32).fill(2),
  proof: new Uint8Array(64).fill(3),
} as const;
const GOOD = { transport: "tcp", host: "192.0.2.1", port: 1 };

Deno.test("parseHints() gives valid hints once and leaves unknown transports out", () => {
  const hints = [GOOD, { transport: "quic", host: "2001:db8::1", port: 65535, later: true }, {
    transport: "pigeon",
    loft: 7,
  }, { ...GOOD }];
  assertEquals(parseHints(hints).hints.map(hintText), ["tcp 192.0.2.1:1", "quic [2001:db8::1]:65535"]);
  assertEquals(parseHints([new Map(Object.entries(GOOD))]).hints.map(hintText), ["tcp 192.0.2.1:1"]);
});

const BAD = [
  { description: "no list", value: { 0: GOOD } },
  { description: "no map", value: ["tcp 192.0.2.1:1"] },
  { description: "null", value: [null] },
  { description: "no transport", value: [{ host: "192.0.2.1", port: 1 }] },
  { description: "a name instead of an address", value: [{ ...GOOD, host: "example.org" }] },
  { description: "an address with a zone", value: [{ ...GOOD, host: "fe80::1%eth0" }] },
  { description: "an endless host", value: [{ ...GOOD, host: "1".repeat(46) }] },
  { description: "0.0.0.0", value: [{ ...GOOD, host: "0.0.0.0" }] },
  { description: "::", value: [{ ...GOOD, host: "::" }] },
  { description: "IPv4 multicast", value: [{ ...GOOD, host: "224.0.0.251" }] },
  { description: "IPv6 multicast", value: [{ ...GOOD, host: "ff02::fb" }] },
  { description: "broadcast", value: [{ ...GOOD, host: "255.255.255.255" }] },
  { description: "port 0", value: [{ ...GOOD, port: 0 }] },
  { description: "port 65536", value: [{ ...GOOD, port: 65536 }] },
  { description: "half a port", value: [{ ...GOOD, port: 1.5 }] },
  { description: "a port in words", value: [{ ...GOOD, port: "80" }] },
  { description: "a relay without an id", value: [{ ...RELAY, relay: undefined }] },
  { description: "a relay's URL", value: [{ ...RELAY, relay: "https://192.168.0.1/" }] },
  { description: "a relay with half a key", value: [{ ...RELAY, key: new Uint8Array(16) }] },
  { description: "a relay without a proof", value: [{ ...RELAY, proof: new Uint8Array(0) }] },
];

for (const { description, value } of BAD) {
  Deno.test(`parseHints() rejects ${description}`, () =>
    void assertThrows(() => parseHints(value), "PROTOCOL"));
}

Deno.test("parseHints() rejects more hints than the limit before it looks at them", () => {
  assertThrows(() => parseHints(Array(MAX_HINTS + 1).fill(null)), "LIMIT_EXCEEDED");
  assertEquals(parseHints(Array(MAX_HINTS).fill(GOOD)).hints.length, 1);
});

Deno.test("parseHints() gives valid hints or a WormholeError for anything", () => {
  const value = fc.oneof(
    fc.anything({ withMap: true }),
    fc.array(
      fc.record({
        transport: fc.constantFrom("tcp", "quic", "hub-relay", "other"),
        relay: fc.uint8Array({ minLength: 15, maxLength: 16 }),
        key: fc.uint8Array({ minLength: 31, maxLength: 32 }),
        proof: fc.uint8Array({ minLength: 63, maxLength: 64 }),
        host: fc.oneof(fc.ipV4(), fc.ipV6(), fc.string()),
        port: fc.oneof(fc.integer({ min: -1, max: 65537 }), fc.anything()),
      }),
      { maxLength: 40 },
    ),
  );
  fc.assert(fc.property(value, (value) => {
    try {
      const { hints, relay } = parseHints(value);
      assertTrue(hints.length <= MAX_HINTS);
      for (const { host, port } of hints) assertTrue(isIP(host) !== 0 && port >= 1 && port <= 65535);
      assertTrue(relay === undefined || relay.key.length === 32 && relay.proof.length === 64);
      assertEquals(parseHints(hintList(hints, undefined)).hints, hints);
    } catch (error) {
      assertTrue(isWormholeError(error), String(error));
    }
  }));
});

Deno.test("parseHints() gives the first relay apart", () => {
  const { hints, relay } = parseHints([RELAY, GOOD, { ...RELAY, key: new Uint8Array(32) }]);
  assertEquals(hints.map(hintText), ["tcp 192.0.2.1:1"]);
  assertEquals(relay, { ...RELAY, transport: "relay" });
});

Deno.test("parseHints() takes a relay whose machine is joined there, and one that says something newer", () => {
  assertEquals(parseHints([{ ...RELAY, joins: true }]).relay, { ...RELAY, transport: "relay", joins: true });
  assertEquals(parseHints([{ ...RELAY, joins: 2 }]).relay, { ...RELAY, transport: "relay" });
  const hint = { ...RELAY, transport: "relay", joins: true } as const;
  assertEquals(parseHints(hintList([], hint)).relay, hint);
});

Deno.test("hintList() makes room for the relay", () => {
  const many = Array.from(
    { length: MAX_HINTS },
    (_, at) => ({ ...GOOD, transport: "tcp", port: at + 1 } as const),
  );
  const list = hintList(many, { ...RELAY, transport: "relay" });
  assertEquals(list.length, MAX_HINTS);
  assertEquals(parseHints(list).relay, { ...RELAY, transport: "relay" });
  assertEquals(hintList(many, undefined).length, MAX_HINTS);
});

Deno.test("localHints() puts the machine's addresses for what is bound everywhere, loopback last", () => {
  const bound = { tcp: ["0.0.0.0:10", "[::]:10"], quic: ["0.0.0.0:20"] };
  const hints = localHints(bound, ["192.0.2.1", "2001:db8::1", "fe80::1", "127.0.0.1", "::1"]);
  assertEquals(hints.map(hintText), [
    "quic 192.0.2.1:20",
    "tcp 192.0.2.1:10",
    "tcp [2001:db8::1]:10",
    "quic 127.0.0.1:20",
    "tcp 127.0.0.1:10",
    "tcp [::1]:10",
  ]);
});

Deno.test("localHints() keeps an address that was bound by name, and loopback when there are too many", () => {
  assertEquals(localHints({ tcp: ["192.0.2.9:10"], quic: [] }, ["192.0.2.1"]).map(hintText), [
    "tcp 192.0.2.9:10",
  ]);
  const many = Array.from({ length: 60 }, (_, at) => `10.0.0.${at + 1}`);
  const hints = localHints({ tcp: ["0.0.0.0:10"], quic: ["0.0.0.0:20"] }, many);
  assertEquals(hints.length, MAX_HINTS);
  assertEquals(hints.slice(-2).map(hintText), ["quic 127.0.0.1:20", "tcp 127.0.0.1:10"]);
  assertEquals(parseHints(hints).hints, hints);
});

Deno.test("orderHints() tries the nearest network first and loopback last", () => {
  const hosts = ["127.0.0.1", "203.0.113.5", "10.0.0.9", "192.168.1.7", "fd00::7"];
  const hints = hosts.map((host) => ({ transport: "tcp", host, port: 1 } as const));
  const ordered = orderHints(hints, ["192.168.1.2", "fd00::2", "127.0.0.1"]).map(({ host }) => host);
  assertEquals(ordered, ["fd00::7", "192.168.1.7", "203.0.113.5", "10.0.0.9", "127.0.0.1"]);
  assertEquals(orderHints(hints.slice(0, 2), []).map(({ host }) => host), ["203.0.113.5", "127.0.0.1"]);
});

Deno.test("parseHostPort() takes addresses apart", () => {
  assertEquals(parseHostPort("192.0.2.1:80"), { host: "192.0.2.1", port: 80 });
  assertEquals(parseHostPort("[2001:db8::1]:80"), { host: "2001:db8::1", port: 80 });
  assertEquals(parseHostPort("example.org:80"), { host: "example.org", port: 80 });
  for (const text of ["192.0.2.1", "2001:db8::1:80", ":80", "a:", "a:65536", "[::1]", "a:1b"]) {
    assertThrows(() => parseHostPort(text), "INVALID_ARGUMENT", text);
  }
});

Deno.test("isLoopback() knows every spelling", () => {
  for (const host of ["127.0.0.1", "127.9.9.9", "::1", "0:0:0:0:0:0:0:1", "0::0.0.0.1"]) {
    assertTrue(isLoopback(host), host);
  }
  for (const host of ["128.0.0.1", "::2", "1::1"]) assertTrue(!isLoopback(host), host);
});

Deno.test("addProxied() adds TCP at public addresses, last", () => {
  const { hints } = parseHints([
    { transport: "quic", host: "203.0.113.7", port: 1 },
    { transport: "tcp", host: "203.0.113.7", port: 2 },
    { transport: "tcp", host: "192.168.1.7", port: 2 },
    { transport: "tcp", host: "127.0.0.1", port: 2 },
    { transport: "tcp", host: "203.0.114.7", port: 2 },
    { transport: "tcp", host: "2001:db8::7", port: 2 },
  ]);
  const env: Record<string, string> = { all_proxy: "socks5://u:secret@p", no_proxy: "203.0.114.0/24" };
  const texts = addProxied(hints, new Proxies((name) => env[name])).map(hintText);
  assertEquals(texts, [
    ...hints.map(hintText),
    "tcp 203.0.113.7:2 through the proxy at p:1080",
    "tcp [2001:db8::7]:2 through the proxy at p:1080",
  ]);
  assertEquals(addProxied(hints, new Proxies(() => undefined)), hints);
  const bad: Record<string, string> = { all_proxy: "ftp://p" };
  assertEquals(addProxied(hints, new Proxies((name) => bad[name])), hints);
});
