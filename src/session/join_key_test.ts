import { fromFileUrl } from "../base/paths.ts";
import { assertEquals } from "../base/testing.ts";
import { nativeCrypto } from "../pairing/native_crypto.ts";
import { joinKey } from "./join_key.ts";

const VECTORS: { secret: string; key: string }[] = JSON.parse(
  Deno.readTextFileSync(fromFileUrl(new URL("../../tests/vectors/join_keys.json", import.meta.url))),
);

Deno.test("joinKey() gives the vectors' keys", () => {
  const crypto = nativeCrypto();
  for (const { secret, key } of VECTORS) {
    assertEquals(joinKey(crypto, Uint8Array.fromHex(secret)).toHex(), key);
  }
});
