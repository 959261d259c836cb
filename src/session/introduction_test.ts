import fc from "fast-check";
import { isWormholeError } from "../base/errors.ts";
import { fromFileUrl } from "../base/paths.ts";
import { assertEquals, assertThrows, assertTrue } from "../base/testing.ts";
import { encodeCbor } from "../wire/cbor.ts";
import {
  decodeIntroduction,
  encodeIntroduction,
  type Introduction,
  MAX_INTRODUCTION_BYTES,
} from "./introduction.ts";

interface Vectors {
  valid: {
    description: string;
    hex: string;
    canonical: boolean;
    introduction: Introduction & { key: string };
  }[];
  invalid: { description: string; hex: string; code: string }[];
}

const VECTORS: Vectors = JSON.parse(
  Deno.readTextFileSync(fromFileUrl(new URL("../../tests/vectors/introductions.json", import.meta.url))),
);

for (const { description, hex, canonical, introduction } of VECTORS.valid) {
  Deno.test(`decodeIntroduction() reads the vector: ${description}`, () => {
    const decoded = decodeIntroduction(Uint8Array.fromHex(hex));
    assertEquals(plain(decoded), introduction as unknown);
    if (canonical) assertEquals(encodeIntroduction(decoded).toHex(), hex);
  });
}

for (const { description, hex, code } of VECTORS.invalid) {
  Deno.test(`decodeIntroduction() refuses the vector: ${description}`, () => {
    const error = assertThrows(() => decodeIntroduction(Uint8Array.fromHex(hex)));
    assertTrue(isWormholeError(error), error.stack);
    assertEquals(error.code as string, code);
  });
}

Deno.test("decodeIntroduction() gives what encodeIntroduction() took", () => {
  fc.assert(fc.property(anyIntroduction(), (introduction) => {
    const encoded = encodeIntroduction(introduction);
    assertTrue(encoded.length <= MAX_INTRODUCTION_BYTES);
    assertEquals(plain(decodeIntroduction(encoded)), plain(introduction));
  }));
});

Deno.test("decodeIntroduction() gives a WormholeError or an introduction for any bytes", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), survives), { numRuns: 500 });
});

Deno.test("decodeIntroduction() survives mutations of a valid introduction", () => {
  const mutation = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 4 });
  fc.assert(
    fc.property(anyIntroduction(), mutation, (introduction, mutations) => {
      const encoded = encodeIntroduction(introduction).slice();
      for (const [at, byte] of mutations) encoded[at % encoded.length] = byte;
      survives(encoded);
    }),
    { numRuns: 500 },
  );
});

Deno.test("decodeIntroduction() survives any CBOR value", () => {
  const values = fc.letrec((tie) => ({
    value: fc.oneof(
      { depthSize: "small" },
      fc.string(),
      fc.integer(),
      fc.boolean(),
      fc.uint8Array({ maxLength: 40 }),
      fc.array(tie("value")),
      fc.dictionary(
        fc.constantFrom("v", "key", "twin", "nonce", "hints", "abilities", "agent", "__proto__", "x"),
        tie("value"),
      ),
    ),
  }));
  fc.assert(fc.property(values.value, (value) => survives(encodeCbor(value))), { numRuns: 500 });
});

Deno.test("decodeIntroduction() refuses too many bytes before it decodes them", () => {
  assertThrows(() => decodeIntroduction(new Uint8Array(MAX_INTRODUCTION_BYTES + 1)), "LIMIT_EXCEEDED");
});

function survives(encoded: Uint8Array): void {
  try {
    decodeIntroduction(encoded);
  } catch (error) {
    assertTrue(isWormholeError(error), `${error}`);
    assertTrue(["PROTOCOL", "LIMIT_EXCEEDED", "VERSION_UNSUPPORTED"].includes(error.code), error.code);
  }
}

function anyIntroduction(): fc.Arbitrary<Introduction> {
  const hint = fc.record({
    transport: fc.constantFrom("tcp" as const, "quic" as const),
    host: fc.constantFrom("192.0.2.1", "10.1.2.3", "2001:db8::1", "127.0.0.1"),
    port: fc.integer({ min: 1, max: 65535 }),
  });
  const word = fc.stringMatching(/^[a-z_]{1,20}$/);
  return fc.record({
    version: fc.record({ major: fc.constant(1), minor: fc.nat(9) }),
    key: fc.uint8Array({ minLength: 32, maxLength: 32 }),
    twin: fc.uint8Array({ minLength: 32, maxLength: 32 }),
    nonce: fc.uint8Array({ minLength: 16, maxLength: 16 }),
    hints: fc.uniqueArray(hint, { maxLength: 31, selector: (hint) => JSON.stringify(hint) }),
    relay: fc.record({
      transport: fc.constant("relay" as const),
      relay: fc.uint8Array({ minLength: 16, maxLength: 16 }),
      key: fc.uint8Array({ minLength: 32, maxLength: 32 }),
      proof: fc.uint8Array({ minLength: 64, maxLength: 64 }),
    }),
    abilities: fc.dictionary(word, fc.oneof(fc.boolean(), fc.nat(), word)),
    agent: fc.stringMatching(/^[ -~]{0,64}$/),
  }, { requiredKeys: ["version", "key", "hints", "abilities", "agent"] });
}

/** An introduction as JSON has it, so that prototypes and typed arrays do not matter. */
function plain(introduction: Introduction): unknown {
  return JSON.parse(
    JSON.stringify(introduction, (_, value) => value instanceof Uint8Array ? value.toHex() : value),
  );
}
