import { hkdf, open, seal, SpakeExchange } from "../native/pairing.ts";
import type { PairingCrypto } from "./crypto.ts";

/** Gives the primitives of the native library, which is loaded at their first use. */
export function nativeCrypto(): PairingCrypto {
  return { spake2Start: (password, id) => new SpakeExchange(password, id), hkdf, seal, open };
}
