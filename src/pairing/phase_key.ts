import type { PairingCrypto } from "./crypto.ts";

/** Size of every derived key, and of the verifier. */
export const KEY_BYTES = 32;

/** Gives the key that one side's message of one phase is sealed with; `src/wire/spec/pairing.md` §4. */
export async function phaseKey(
  crypto: PairingCrypto,
  key: Uint8Array,
  { side, phase }: { side: string; phase: string },
): Promise<Uint8Array> {
  const prefix = utf8("wormhole:phase:");
  const info = new Uint8Array(prefix.length + 64);
  info.set(prefix);
  info.set(await sha256(utf8(side)), prefix.length);
  info.set(await sha256(utf8(phase)), prefix.length + 32);
  return crypto.hkdf(key, info, KEY_BYTES);
}

async function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
}

function utf8(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text);
}
