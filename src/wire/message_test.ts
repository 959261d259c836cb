import fc from "fast-check";
import { isWormholeError } from "../base/errors.ts";
import { assertEquals, assertThrows, assertTrue } from "../base/testing.ts";
import { encodeCbor } from "./cbor.ts";
import { MAX_FRAME_BYTES, MAX_PAGE_ENTRIES, MAX_TEXT_BYTES } from "./limits.ts";
import { decodeMessage, encodeMessage, type Message, MESSAGE_NUMBERS } from "./message.ts";

const VECTORS = read("messages.json") as { name: string; message: Message; cbor: string }[];
const HOSTILE = read("hostile_messages.json") as { description: string; cbor: string; code: "PROTOCOL" }[];

Deno.test("encodeMessage() gives each vector's bytes", () => {
  for (const { name, message, cbor } of VECTORS) assertEquals(encodeMessage(message).toHex(), cbor, name);
});

Deno.test("decodeMessage() gives each vector's message", () => {
  for (const { name, message, cbor } of VECTORS) {
    assertEquals(plain(decodeMessage(hex(cbor))), plain(message), name);
  }
});

Deno.test("messages.json has every message", () => {
  const covered = new Set(VECTORS.map(({ message }) => message.type));
  assertEquals(Object.keys(MESSAGE_NUMBERS).filter((type) => !covered.has(type as Message["type"])), []);
});

Deno.test("decodeMessage() refuses each hostile vector with its code", () => {
  assertTrue(HOSTILE.length > 60);
  for (const { description, cbor, code } of HOSTILE) {
    try {
      decodeMessage(hex(cbor));
    } catch (error) {
      assertTrue(isWormholeError(error, code), `${description}: ${error}`);
      continue;
    }
    throw new Error(`${description}: accepted`);
  }
});

Deno.test("decodeMessage() names the field that is wrong", () => {
  const totals = { files: 0, directories: 0, symlinks: 0, bytes: 0 };
  const root = { name: new Uint8Array(1), kind: "file", size: -1, files: 1 };
  const offer = { t: 1, kind: "files", transfer: new Uint8Array(16), roots: [root], totals, counting: false };
  assertThrows(() => decodeMessage(encodeCbor(offer)), "PROTOCOL", '"offer.roots[0].size"');
});

Deno.test("decodeMessage() refuses what is too large for a test file", () => {
  assertThrows(() => decodeMessage(new Uint8Array(MAX_FRAME_BYTES + 1)), "LIMIT_EXCEEDED");
  const text = "é".repeat(MAX_TEXT_BYTES / 2 + 1);
  const offer = VECTORS.find(({ name }) => name === "offer_text")!.message;
  const spoilt = encodeMessage({ ...offer, text } as Message);
  assertThrows(() => decodeMessage(spoilt), "LIMIT_EXCEEDED", '"offer.text"');
});

Deno.test("decodeMessage() ignores unknown fields, and unknown messages from 128 on", () => {
  assertEquals(decodeMessage(encodeCbor({ t: 11, later: { a: [1, null, "x"] } })), { type: "done_ack" });
  assertEquals(decodeMessage(encodeCbor({ t: 200, x: 1 })), { type: "unknown", number: 200 });
});

Deno.test("decodeMessage() drops abilities of kinds it does not know", () => {
  const hello = {
    t: 0,
    version: [1, 9, 1],
    agent: "x",
    abilities: { a: [1], b: null, zstd: true },
    nonce: new Uint8Array(16),
  };
  const message = decodeMessage(encodeCbor(hello)) as { abilities: object };
  assertEquals({ ...message.abilities }, { zstd: true });
});

Deno.test("decodeMessage() keeps __proto__ an ordinary ability", () => {
  const abilities = Object.defineProperty({}, "__proto__", { value: true, enumerable: true });
  const message = decodeMessage(
    encodeCbor({ t: 0, version: [1, 0], agent: "x", abilities, nonce: new Uint8Array(16) }),
  ) as { abilities: Record<string, unknown> };
  assertEquals(Object.keys(message.abilities), ["__proto__"]);
});

Deno.test("decodeMessage() gives back what encodeMessage() took, for any message", () => {
  fc.assert(
    fc.property(anyMessage(), (message) => {
      assertEquals(plain(decodeMessage(encodeMessage(message))), plain(message));
    }),
    { numRuns: 500 },
  );
});

Deno.test("decodeMessage() throws nothing but WormholeError for random bytes", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), survives), { numRuns: 5000 });
});

Deno.test("decodeMessage() throws nothing but WormholeError for mutated messages", () => {
  const edit = fc.record({ at: fc.nat(), value: fc.nat(255), how: fc.constantFrom("set", "insert", "cut") });
  const vector = fc.constantFrom(...VECTORS);
  fc.assert(
    fc.property(vector, fc.array(edit, { minLength: 1, maxLength: 4 }), ({ cbor }, edits) => {
      const bytes = [...hex(cbor)];
      for (const { at, value, how } of edits) {
        const place = at % (bytes.length + 1);
        if (how === "set") bytes[place] = value;
        else if (how === "insert") bytes.splice(place, 0, value);
        else bytes.splice(place, 1 + value % 8);
      }
      survives(Uint8Array.from(bytes));
    }),
    { numRuns: 10_000 },
  );
});

Deno.test("decodeMessage() needs bounded time for the worst frames", () => {
  const worst = [
    new Uint8Array(MAX_FRAME_BYTES).fill(0x81), // nested lists
    new Uint8Array(MAX_FRAME_BYTES).fill(0x80), // many items
    new Uint8Array(MAX_FRAME_BYTES).fill(0xa1), // nested maps
    encodeCbor({ t: 11, x: new Array(16_000).fill("") }),
  ];
  const start = performance.now();
  for (const frame of worst) survives(frame);
  // What is not bounded takes hours.
  assertTrue(performance.now() - start < 20_000);
});

function survives(bytes: Uint8Array): void {
  try {
    decodeMessage(bytes);
  } catch (error) {
    if (!isWormholeError(error, "PROTOCOL", "LIMIT_EXCEEDED")) throw error;
  }
}

function anyMessage(): fc.Arbitrary<Message> {
  const id = fc.nat(2 ** 30 - 1);
  const size = fc.maxSafeNat();
  const u32 = fc.nat(0xffffffff);
  const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
  const columns = (width: number) => fc.nat(20).chain((count) => bytes(count * width));
  const text = fc.string({ unit: "grapheme", maxLength: 20 });
  const abilities = fc.dictionary(
    fc.string({ unit: "grapheme-ascii", minLength: 1, maxLength: 20 }),
    fc.oneof(fc.boolean(), size, text, fc.uint8Array({ maxLength: 20 })),
    { maxKeys: 10, noNullPrototype: true },
  );
  const code = fc.constantFrom("NO_SPACE" as const, "IO" as const, "INTERNAL" as const);
  const totals = fc.record({ files: id, directories: id, symlinks: id, bytes: size });
  const typed = <T extends Message["type"]>(type: T, fields: object, requiredKeys?: string[]) =>
    // deno-lint-ignore no-explicit-any
    fc.record({ type: fc.constant(type), ...fields } as any, {
      requiredKeys: ["type", ...(requiredKeys ?? Object.keys(fields))],
      noNullPrototype: true,
    } as object) as unknown as fc.Arbitrary<Message>;
  return fc.oneof(
    typed("hello", {
      version: fc.record({ major: fc.nat(65535), minor: fc.nat(65535) }),
      agent: text,
      abilities,
      nonce: bytes(16),
    }),
    typed("offer", {
      kind: fc.constantFrom("files", "text", "stream"),
      transfer: bytes(16),
      roots: fc.array(fc.record({
        name: fc.uint8Array({ minLength: 1, maxLength: 255 }),
        kind: fc.constantFrom("file", "directory"),
        size,
        files: id,
      })),
      more: id,
      totals,
      counting: fc.boolean(),
      text,
    }, ["kind", "transfer", "roots", "totals", "counting"]),
    typed("answer", { accept: fc.boolean(), abilities, streams: fc.integer({ min: 1, max: 256 }) }),
    typed("manifest_page", {
      page: u32,
      first: id,
      count: fc.nat(MAX_PAGE_ENTRIES),
      kinds: columns(1),
      parents: columns(4),
      name_lengths: columns(2),
      names: columns(1),
      modes: columns(4),
      sizes: columns(8),
      mtimes: columns(8),
      targets: columns(1),
      last: fc.boolean(),
      versions: columns(8),
    }, [
      "page",
      "first",
      "count",
      "kinds",
      "parents",
      "name_lengths",
      "names",
      "modes",
      "sizes",
      "mtimes",
      "targets",
      "last",
    ]),
    typed("request_chunks", {
      runs: columns(8),
      range_entries: columns(4),
      range_offsets: columns(8),
      range_lengths: columns(8),
    }),
    typed("done", {
      files: id,
      directories: id,
      symlinks: id,
      bytes: size,
      failed: fc.array(fc.record({ entry: id, code })),
      failed_count: id,
      manifest_hash: bytes(32),
    }, ["files", "directories", "symlinks", "bytes", "failed", "failed_count"]),
    typed("bulk_streams", {
      link: fc.nat(7),
      count: fc.integer({ min: 1, max: 256 }),
    }, ["count"]),
    typed("bulk_received", { time: size, streams: columns(4), frames: columns(4), links: bytes(16) }),
    typed("bulk_lost", { stream: fc.nat(65535), frames: u32 }),
    typed("bulk_refused", { link: fc.nat(7), count: fc.integer({ min: 1, max: 256 }) }),
    typed("bulk_gone", { stream: fc.nat(65535) }),
    typed("link_lost", { link: fc.integer({ min: 1, max: 7 }) }),
    typed("ping", { nonce: u32, busy: fc.boolean() }, ["nonce"]),
    typed("error", { code, entry: id }, ["code"]),
  );
}

/** Without prototypes and typed-array kinds, for comparing. */
function plain(value: unknown): unknown {
  return JSON.parse(
    JSON.stringify(value, (_, each) => each instanceof Uint8Array ? { hex: each.toHex() } : each),
  );
}

function hex(text: string): Uint8Array {
  return Uint8Array.fromHex(text);
}

function read(name: string): unknown {
  const text = Deno.readTextFileSync(new URL(`../../tests/vectors/${name}`, import.meta.url));
  return JSON.parse(text, (_, value) => typeof value?.hex === "string" ? hex(value.hex) : value);
}
