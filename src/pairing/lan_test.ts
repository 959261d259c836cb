import fc from "fast-check";
import { assertEquals } from "../base/testing.ts";
import { parseSender } from "./lan.ts";

const GOOD = {
  instance: "wormhole-1",
  host: "a.local.",
  port: 4000,
  addresses: ["192.0.2.1"],
  txt: { nameplate: "123" },
};

Deno.test("parseSender() takes senders only", () => {
  assertEquals(parseSender(GOOD), {
    instance: "wormhole-1",
    sign: { nameplate: "123" },
    port: 4000,
    addresses: ["192.0.2.1"],
  });
  const tag = "0123456789abcdef".repeat(2);
  assertEquals(parseSender({ ...GOOD, txt: { tag } })?.sign, { tag });
  const rows: [string, object][] = [
    ["a tag that is too short", { txt: { tag: tag.slice(1) } }],
    ["a tag in capitals", { txt: { tag: tag.toUpperCase() } }],
    ["no nameplate", { txt: {} }],
    ["nameplate of letters", { txt: { nameplate: "x" } }],
    ["port 0", { port: 0 }],
    ["no addresses", { addresses: [] }],
    ["only a link-local address", { addresses: ["fe80::1"] }],
    ["an address that is a URL", { addresses: ["evil.example/"] }],
  ];
  for (const [description, change] of rows) {
    assertEquals(parseSender({ ...GOOD, ...change }), undefined, description);
  }
});

Deno.test("parseSender() survives anything", () => {
  fc.assert(fc.property(fc.anything(), (value) => void parseSender(value)));
});
