import fc from "fast-check";
import { isWormholeError } from "../base/errors.ts";
import { assertEquals, assertThrows, assertTrue } from "../base/testing.ts";
import { encodeCbor } from "./cbor.ts";
import { MAX_PAGE_IDS, MAX_PATHS_BYTES, MAX_SNAPSHOT_PAGE_BYTES } from "./limits.ts";
import {
  decodeSyncMessage,
  encodeSyncMessage,
  SYNC_MESSAGE_NUMBERS,
  type SyncMessage,
} from "./sync_message.ts";

const VECTORS = read("sync_messages.json") as { name: string; message: SyncMessage; cbor: string }[];
const HOSTILE = read("hostile_sync_messages.json") as {
  description: string;
  cbor: string;
  code: "PROTOCOL";
}[];

Deno.test("encodeSyncMessage() gives each vector's bytes, decodeSyncMessage() its message", () => {
  for (const { name, message, cbor } of VECTORS) {
    assertEquals(encodeSyncMessage(message).toHex(), cbor, name);
    assertEquals(plain(decodeSyncMessage(Uint8Array.fromHex(cbor))), plain(message), name);
  }
});

Deno.test("sync_messages.json has every message, and no number of a transfer's", () => {
  const covered = new Set(VECTORS.map(({ message }) => message.type));
  assertEquals(
    Object.keys(SYNC_MESSAGE_NUMBERS).filter((type) => !covered.has(type as SyncMessage["type"])),
    [],
  );
  const numbers = Object.values(SYNC_MESSAGE_NUMBERS);
  assertEquals(new Set(numbers).size, numbers.length);
  assertTrue(numbers.every((number) => number >= 32 && number < 80));
});

Deno.test("decodeSyncMessage() refuses each hostile vector with its code", () => {
  assertTrue(HOSTILE.length > 35);
  for (const { description, cbor, code } of HOSTILE) {
    try {
      decodeSyncMessage(Uint8Array.fromHex(cbor));
    } catch (error) {
      assertTrue(isWormholeError(error, code), `${description}: ${error}`);
      continue;
    }
    throw new Error(`${description}: accepted`);
  }
});

Deno.test("decodeSyncMessage() refuses what is too large for a test file", () => {
  const filled = (length: number) => new Uint8Array(length);
  for (
    const message of [
      { t: 42, ids: filled(MAX_PAGE_IDS * 32 + 1), last: true },
      { t: 44, bytes: filled(MAX_SNAPSHOT_PAGE_BYTES + 1), size: 0, form: "plain" },
      { t: 33, path: filled(MAX_PATHS_BYTES) },
    ]
  ) assertThrows(() => decodeSyncMessage(encodeCbor(message)), "LIMIT_EXCEEDED");
});

Deno.test("decodeSyncMessage() throws nothing but WormholeError for random and mutated bytes", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), survives), { numRuns: 3000 });
  const edit = fc.record({ at: fc.nat(), value: fc.nat(255), how: fc.constantFrom("set", "insert", "cut") });
  const vector = fc.constantFrom(...VECTORS);
  fc.assert(
    fc.property(vector, fc.array(edit, { minLength: 1, maxLength: 4 }), ({ cbor }, edits) => {
      const bytes = [...Uint8Array.fromHex(cbor)];
      for (const { at, value, how } of edits) {
        const place = at % (bytes.length + 1);
        if (how === "set") bytes[place] = value;
        else if (how === "insert") bytes.splice(place, 0, value);
        else bytes.splice(place, 1 + value % 8);
      }
      survives(Uint8Array.from(bytes));
    }),
    { numRuns: 5000 },
  );
});

/** What is taken is written as it came. */
function survives(bytes: Uint8Array): void {
  try {
    const message = decodeSyncMessage(bytes);
    if (message.type !== "unknown") encodeSyncMessage(message);
  } catch (error) {
    assertTrue(isWormholeError(error), String(error));
  }
}

/** Without prototypes and typed-array kinds, for comparing. */
function plain(value: unknown): unknown {
  return JSON.parse(
    JSON.stringify(value, (_, each) => each instanceof Uint8Array ? { hex: each.toHex() } : each),
  );
}

function read(name: string): unknown {
  const text = Deno.readTextFileSync(new URL(`../../tests/vectors/${name}`, import.meta.url));
  return JSON.parse(
    text,
    (_, value) => typeof value?.hex === "string" ? Uint8Array.fromHex(value.hex) : value,
  );
}
