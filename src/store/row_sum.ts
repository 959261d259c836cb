import { hashBuffer } from "../native/hash.ts";

/**
 * Gives a checksum (the first 48 bits of a BLAKE3) of the columns of a row, kept in the row itself.
 *
 * SQLite notices damage to its own structure, not to what rows say; a row that says something wrong could pass wrong
 * bytes off as proven ones. Order and types of the columns count.
 */
export function rowSum(...columns: readonly unknown[]): number {
  const parts: Uint8Array[] = columns.map(encoded);
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, HEAD_BYTES * parts.length));
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const [i, part] of parts.entries()) {
    view.setUint8(at, TYPES.indexOf(typeOf(columns[i])));
    view.setUint32(at + 1, part.length, true);
    bytes.set(part, at += HEAD_BYTES);
    at += part.length;
  }
  const hash = new DataView(hashBuffer(bytes).buffer);
  return hash.getUint32(0) * 0x10000 + hash.getUint16(4);
}

/** Type and length. */
const HEAD_BYTES = 5;

const TYPES = ["null", "number", "string", "blob", "other"] as const;

function typeOf(value: unknown): typeof TYPES[number] {
  if (value === null || value === undefined) return "null";
  if (value instanceof Uint8Array) return "blob";
  return typeof value === "number" || typeof value === "string" ? typeof value as "number" : "other";
}

function encoded(value: unknown): Uint8Array {
  if (value instanceof Uint8Array) return value;
  return value === null || value === undefined ? new Uint8Array(0) : new TextEncoder().encode(String(value));
}
