import { concat } from "../base/bytes.ts";
import { hashBuffer } from "../native/hash.ts";

/**
 * Gives a machine's secret for the versions of files (spec/manifest.md §4) from its 32 byte seed: nobody can tell the machine
 * key from it.
 */
export function versionKey(seed: Uint8Array): Uint8Array<ArrayBuffer> {
  return hashBuffer(concat(new TextEncoder().encode("wormhole version key 1\0"), seed));
}
