import { fromFileUrl } from "../base/paths.ts";
import { assertEquals, assertTrue } from "../base/testing.ts";
import { formatCode } from "./code.ts";
import {
  EPOCH_MS,
  epochsAt,
  knownCode,
  knownEntry,
  knownPlace,
  knownPort,
  syncSecret,
} from "./known_place.ts";
import { nativeCrypto } from "./native_crypto.ts";

const { places, sync } = JSON.parse(
  Deno.readTextFileSync(fromFileUrl(new URL("../../tests/vectors/known_places.json", import.meta.url))),
);

for (const { description, secret, sender, epoch, mailbox, sides, tag, entry, port, code } of places) {
  Deno.test(`knownPlace() gives the vector: ${description}`, () => {
    const direction = { secret: Uint8Array.fromHex(secret), sender: Uint8Array.fromHex(sender) };
    const crypto = nativeCrypto();
    assertEquals(knownPlace(crypto, direction, epoch), { mailbox, sides, tag });
    assertEquals(knownEntry(crypto, direction), entry);
    assertEquals(knownPort(crypto, direction), port);
    assertEquals(formatCode(knownCode(crypto, direction)), code);
  });
}

Deno.test("syncSecret() gives the vector", () => {
  assertEquals(syncSecret(nativeCrypto(), Uint8Array.fromHex(sync.secret)).toHex(), sync.sync);
});

Deno.test("epochsAt() lets two machines meet whose clocks are 20 minutes apart, at any time", () => {
  for (let at = 0; at < 2 * EPOCH_MS; at += 60_000) {
    const now = 1_800_000_000_000 + at;
    const [fast, slow] = [new Set(epochsAt(now + 600_000)), new Set(epochsAt(now - 600_000))];
    assertTrue([...fast].some((epoch) => slow.has(epoch)), String(at));
    assertTrue(fast.size <= 2);
  }
  assertEquals(epochsAt(0), [0]);
});
