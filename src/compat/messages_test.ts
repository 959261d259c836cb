import { assertEquals, assertThrows } from "../base/testing.ts";
import type { ErrorCode } from "../base/errors.ts";
import {
  assertAcknowledged,
  assertNoError,
  decodeMessage,
  type Message,
  parseAnswer,
  parseOffer,
  parseTransit,
} from "./messages.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

Deno.test("decodeMessage() takes an object of JSON, and nothing that is none or too long", () => {
  assertEquals(decodeMessage(bytes('{"offer":{"message":"x"},"new":1}')), {
    offer: { message: "x" },
    new: 1,
  });
  const rows: [string, Uint8Array, ErrorCode][] = [
    ["no JSON", bytes("{"), "PROTOCOL"],
    ["nothing", bytes(""), "PROTOCOL"],
    ["a list", bytes("[]"), "PROTOCOL"],
    ["null", bytes("null"), "PROTOCOL"],
    ["a text", bytes('"x"'), "PROTOCOL"],
    ["no UTF-8", Uint8Array.of(0x22, 0xff, 0x22), "PROTOCOL"],
    ["a byte too much", bytes(`{"a":"${"x".repeat(1024 * 1024 - 7)}"}`), "LIMIT_EXCEEDED"],
  ];
  for (const [what, message, code] of rows) {
    const error = assertThrows(() => decodeMessage(message), code);
    assertEquals(/^Cannot (?:go on|read a message): /.test(error.message), true, what);
  }
});

Deno.test("parseOffer() knows a text, a file and a folder", () => {
  const rows: [Message, unknown][] = [
    [{}, undefined],
    [{ offer: { message: "hi" } }, { kind: "text", text: "hi" }],
    [{ offer: { file: { filename: "a", filesize: 0 } } }, { kind: "file", name: "a", size: 0 }],
    [
      {
        offer: {
          directory: { mode: "zipfile/deflated", dirname: "d", zipsize: 3, numbytes: 9, numfiles: 2 },
        },
      },
      { kind: "directory", name: "d", size: 3, bytes: 9, files: 2 },
    ],
  ];
  for (const [message, offer] of rows) assertEquals<unknown>(parseOffer(message), offer);
});

Deno.test("parseOffer() refuses what is malformed, dangerous or unknown", () => {
  const folder = { mode: "zipfile/deflated", dirname: "d", zipsize: 3, numbytes: 9, numfiles: 2 };
  const rows: [string, unknown, ErrorCode][] = [
    ["an offer that is a text", "x", "PROTOCOL"],
    ["a text that is a number", { message: 1 }, "PROTOCOL"],
    ["a file that is a list", { file: [] }, "PROTOCOL"],
    ["a name that is a number", { file: { filename: 1, filesize: 1 } }, "PROTOCOL"],
    ["a name that climbs", { file: { filename: "../a", filesize: 1 } }, "HOSTILE_NAME"],
    ["a negative size", { file: { filename: "a", filesize: -1 } }, "PROTOCOL"],
    ["half a byte", { file: { filename: "a", filesize: 0.5 } }, "PROTOCOL"],
    ["a size that no number holds", { file: { filename: "a", filesize: 2 ** 53 } }, "PROTOCOL"],
    ["a folder that is a text", { directory: "d" }, "PROTOCOL"],
    ["a folder packed in another way", { directory: { ...folder, mode: "tar" } }, "UNSUPPORTED"],
    ["a folder of too many entries", { directory: { ...folder, numfiles: 500_001 } }, "LIMIT_EXCEEDED"],
    ["a folder of no size", { directory: { ...folder, numbytes: "9" } }, "PROTOCOL"],
    ["something else", { portal: {} }, "UNSUPPORTED"],
  ];
  for (const [what, offer, code] of rows) {
    const error = assertThrows(() => parseOffer({ offer }), code);
    assertEquals(/^Cannot /.test(error.message), true, `${what}: ${error.message}`);
  }
});

Deno.test("parseTransit() keeps the places that can be dialled, up to its limits", () => {
  const direct = (hostname: unknown, port: unknown) => ({ type: "direct-tcp-v1", hostname, port });
  const places = (hints: unknown) => parseTransit({ transit: { "hints-v1": hints } })!;
  assertEquals(parseTransit({}), undefined);
  assertEquals(parseTransit({ transit: {} }), { direct: [], relays: [] });
  assertEquals(
    places([
      direct("10.0.0.1", 7),
      direct("::1", 65535),
      direct("a.name", 7),
      direct("10.0.0.1\r\n", 7),
      direct(10, 7),
      direct("10.0.0.2", 0),
      direct("10.0.0.2", 65536),
      direct("10.0.0.2", "7"),
      { type: "tor-tcp-v1", hostname: "x.onion", port: 7 },
      { type: "relay-v1", hints: [direct("relay.example", 4001), direct("-", 0), { type: "x" }, null] },
      { type: "relay-v1", hints: "none" },
    ]),
    {
      direct: [{ host: "10.0.0.1", port: 7 }, { host: "::1", port: 65535 }],
      relays: [{ host: "relay.example", port: 4001 }],
    },
  );
  const many = Array.from({ length: 100 }, (_, i) => direct(`10.0.0.${i}`, 7));
  const { direct: kept, relays } = places([...many, { type: "relay-v1", hints: many }]);
  assertEquals([kept.length, relays.length], [32, 8]);
  for (const transit of ["x", { "hints-v1": {} }, { "hints-v1": ["x"] }]) {
    assertThrows(() => parseTransit({ transit }), "PROTOCOL");
  }
});

Deno.test("what the peer answers counts only as it should be", () => {
  assertEquals(parseAnswer({}, "text"), undefined);
  assertEquals(parseAnswer({ answer: { message_ack: "ok" } }, "text"), true);
  assertEquals(parseAnswer({ answer: { file_ack: "ok" } }, "directory"), true);
  for (const answer of ["ok", null, {}, { message_ack: "ok" }, { file_ack: "no" }]) {
    assertThrows(() => parseAnswer({ answer }, "file"), "PROTOCOL");
  }
  const sum = new Uint8Array(32).fill(0xab);
  assertAcknowledged({ ack: "ok", sha256: "AB".repeat(32) }, sum);
  assertThrows(() => assertAcknowledged({ ack: "ok", sha256: "ac".repeat(32) }, sum), "CORRUPT");
  assertThrows(() => assertAcknowledged({ ack: "ok", sha256: "ab" }, sum), "PROTOCOL");
  assertThrows(() => assertAcknowledged({ ack: "ok" }, sum), "PROTOCOL");
  assertThrows(() => assertAcknowledged({ sha256: "ab".repeat(32) }, sum), "REFUSED");
});

Deno.test("assertNoError() shows a peer's words so that they do no harm", () => {
  assertNoError({ offer: {} });
  const said = assertThrows(() => assertNoError({ error: `no\x1b[2J${"x".repeat(300)}` }), "REFUSED");
  assertEquals(said.message, `Cannot go on: the other side stopped: "no\\x1b[2J${"x".repeat(194)}"`);
  assertThrows(() => assertNoError({ error: { why: "x" } }), "REFUSED", "it does not say why");
});
