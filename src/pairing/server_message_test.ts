import fc from "fast-check";
import { WormholeError } from "../base/errors.ts";
import { assertEquals, assertThrows, assertTrue } from "../base/testing.ts";
import { parseServerFrame } from "./server_message.ts";

const WELCOME = { type: "welcome", motd: undefined, refusal: undefined, ours: false, transit: undefined };

Deno.test("parseServerFrame() reads what servers send", () => {
  const rows: [string, object, object][] = [
    ["plain welcome", { welcome: {} }, WELCOME],
    ["welcome of ours", { welcome: { wormhole: 1, transit: { port: 4001 } } }, {
      ...WELCOME,
      ours: true,
      transit: { host: undefined, port: 4001 },
    }],
    ["welcome with a relay elsewhere", { welcome: { transit: { hostname: "relay.example", port: 1 } } }, {
      ...WELCOME,
      transit: { host: "relay.example", port: 1 },
    }],
    ["welcome with a relay that is none", { welcome: { transit: { hostname: "a b", port: 1 } } }, WELCOME],
    ["welcome with a port that is none", { welcome: { transit: { port: 65536 } } }, WELCOME],
    [
      "welcome with text",
      { welcome: { motd: "hi\u001b[2J", current_cli_version: "1" } },
      { ...WELCOME, motd: "hi?[2J" },
    ],
    ["refusal", { welcome: { error: "go away" } }, { ...WELCOME, refusal: "go away" }],
    ["free permission", { welcome: { "permission-required": { none: {}, hashcash: {} } } }, WELCOME],
    ["claimed", { mailbox: "abc", server_tx: 1.5 }, { type: "claimed", mailbox: "abc" }],
    ["nameplates", { nameplates: [{ id: "7", more: 1 }] }, { type: "nameplates", names: ["7"] }],
    ["crowded of magic-wormhole", { error: "crowded", orig: {} }, {
      type: "error",
      code: "CODE_CROWDED",
      text: "crowded",
    }],
    ["a code of ours", { error: "x", code: "CODE_USED" }, { type: "error", code: "CODE_USED", text: "x" }],
    ["a code that is not the server's", { error: "x", code: "NO_SPACE" }, {
      type: "error",
      code: undefined,
      text: "x",
    }],
    ["error without text", { error: 7 }, { type: "error", code: undefined, text: "no reason given" }],
    ["future type", { x: 1 }, { type: "other" }],
  ];
  const types = [
    ...Array(4).fill("welcome"),
    "welcome",
    "welcome",
    "welcome",
    "welcome",
    "claimed",
    "nameplates",
    "error",
    "error",
    "error",
  ];
  for (const [index, [description, fields, message]] of rows.entries()) {
    const type = types[index] ?? ["error", "party"][index - types.length];
    assertEquals<object>(parseServerFrame(JSON.stringify({ type, ...fields })), message, description);
  }
  const locked = parseServerFrame('{"type":"welcome","welcome":{"permission-required":{"hashcash":{}}}}');
  assertTrue(locked.type === "welcome" && locked.refusal?.includes("permission"));
});

Deno.test("parseServerFrame() refuses malformed frames", () => {
  const rows: [string, unknown][] = [
    ["binary", new ArrayBuffer(2)],
    ["not JSON", "{"],
    ["no object", "[]"],
    ["no type", "{}"],
    ["type not text", '{"type":1}'],
    ["empty welcome", '{"type":"welcome"}'],
    ["nameplate with blanks", '{"type":"allocated","nameplate":"7 7"}'],
    ["mailbox with a control character", '{"type":"claimed","mailbox":"a\\u001b"}'],
    ["list of no objects", '{"type":"nameplates","nameplates":[7]}'],
    ["body not hex", '{"type":"message","side":"a","phase":"p","body":"xy"}'],
    ["body odd", '{"type":"message","side":"a","phase":"p","body":"abc"}'],
    ["no side", '{"type":"message","phase":"p","body":""}'],
  ];
  for (const [description, frame] of rows) {
    const error = assertThrows(() => parseServerFrame(frame), "PROTOCOL");
    assertTrue(error.message.startsWith("Cannot understand the mailbox server: "), description);
  }
  assertThrows(() => parseServerFrame(`"${"x".repeat(300_000)}"`), "LIMIT_EXCEEDED");
});

Deno.test("parseServerFrame() gives a message or a WormholeError for any frame", () => {
  const type = fc.constantFrom(
    "welcome",
    "nameplates",
    "allocated",
    "claimed",
    "message",
    "error",
    "closed",
    "?",
  );
  const frame = fc.oneof(
    fc.string({ unit: "binary" }),
    fc.json(),
    fc.tuple(
      type,
      fc.dictionary(fc.constantFrom("welcome", "nameplate", "mailbox", "body", "error"), fc.jsonValue()),
    )
      .map(([type, fields]) => JSON.stringify({ type, ...fields })),
  );
  fc.assert(
    fc.property(frame, (text) => {
      try {
        parseServerFrame(text);
      } catch (error) {
        assertTrue(error instanceof WormholeError, `${error}`);
      }
    }),
    { numRuns: 1_000 },
  );
});
