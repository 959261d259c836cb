import { isWormholeError } from "../base/errors.ts";
import { fromFileUrl } from "../base/paths.ts";
import { assertEquals, assertThrows, assertTrue } from "../base/testing.ts";
import { decodeReconnect, encodeReconnect } from "./reconnect_frame.ts";

interface Vectors {
  secret: string;
  valid: { description: string; link: number; hex: string; canonical?: boolean }[];
  other: { description: string; hex: string }[];
  invalid: { description: string; code: string; hex: string }[];
}

const VECTORS: Vectors = JSON.parse(
  Deno.readTextFileSync(fromFileUrl(new URL("../../tests/vectors/reconnects.json", import.meta.url))),
);

for (const { description, link, hex, canonical = true } of VECTORS.valid) {
  Deno.test(`decodeReconnect() reads the vector: ${description}`, () => {
    const decoded = decodeReconnect(Uint8Array.fromHex(hex));
    assertEquals([decoded?.secret.toHex(), decoded?.link], [VECTORS.secret, link]);
    if (canonical) assertEquals(encodeReconnect(decoded!).toHex(), hex);
  });
}

for (const { description, hex } of VECTORS.other) {
  Deno.test(`decodeReconnect() leaves to others: ${description}`, () => {
    assertEquals(decodeReconnect(Uint8Array.fromHex(hex)), undefined);
  });
}

for (const { description, code, hex } of VECTORS.invalid) {
  Deno.test(`decodeReconnect() refuses the vector: ${description}`, () => {
    const error = assertThrows(() => decodeReconnect(Uint8Array.fromHex(hex)));
    assertTrue(isWormholeError(error), error.stack);
    assertEquals(error.code as string, code);
  });
}
