import type { PairingCrypto } from "../pairing/crypto.ts";

/** Bytes of {@linkcode joinKey}. */
const JOIN_KEY_BYTES = 32;

/**
 * Gives what both sides of the session with this `secret` (16 bytes) say to a hub that is to join their connections. The hub learns nothing by
 * it but that they belong together. Spec: wire/spec/relay_join.md §2; vectors in tests/vectors/join_keys.json.
 */
export function joinKey(crypto: Pick<PairingCrypto, "hkdf">, secret: Uint8Array): Uint8Array {
  return crypto.hkdf(secret, new TextEncoder().encode("wormhole:join"), JOIN_KEY_BYTES);
}
