/**
 * Deterministic CBOR (RFC 8949 §4.2.1) with limits: what a peer sends is walked once without allocating,
 * and only well-formed, canonical, small enough input is decoded. Spec: spec/framing.md §2.
 */
import { decode, encode, rfc8949EncodeOptions, Tagged } from "cborg";
import { compareBytes } from "../base/bytes.ts";
import { WormholeError } from "../base/errors.ts";
import { MAX_DEPTH, MAX_FRAME_BYTES, MAX_ITEMS } from "./limits.ts";

/** RFC 8746 §2 tags of little-endian typed arrays that messages use. */
export const TYPED_ARRAY_TAGS = { u8: 64, u16: 69, u32: 70, u64: 71, i64: 79 } as const;

const TAGS = Tagged.preserve(...Object.values(TYPED_ARRAY_TAGS));
const KNOWN_TAGS = new Set<number>(Object.values(TYPED_ARRAY_TAGS));
const UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Encodes a value of maps with text keys, arrays, integers, text, byte strings, booleans, null and `Tagged`. */
export function encodeCbor(value: unknown): Uint8Array {
  return encode(value, { ...rfc8949EncodeOptions, ignoreUndefinedProperties: true });
}

/**
 * Decodes one canonical CBOR item; byte strings are copies, typed arrays come as `Tagged`.
 *
 * @throws {WormholeError} LIMIT_EXCEEDED when it is longer than a frame, deeper than {@linkcode MAX_DEPTH} or has
 * more than {@linkcode MAX_ITEMS} items; PROTOCOL when it is not well-formed, not canonical or of a kind that
 * messages do not use.
 */
export function decodeCbor(bytes: Uint8Array): unknown {
  if (bytes.length > MAX_FRAME_BYTES) {
    throw limit(`it has ${bytes.length} bytes, the limit is ${MAX_FRAME_BYTES}`);
  }
  const walk = new Walk(bytes);
  walk.item(1);
  if (walk.at !== bytes.length) throw malformed("bytes follow its end");
  try {
    return decode(bytes, {
      strict: true,
      allowIndefinite: false,
      allowUndefined: false,
      allowInfinity: false,
      allowNaN: false,
      rejectDuplicateMapKeys: true,
      tags: TAGS,
    });
  } catch (cause) {
    throw new WormholeError("PROTOCOL", "Cannot read a message: it is not valid CBOR", { cause });
  }
}

/** Walks CBOR items and refuses what is not canonical or over a limit; allocates nothing but text checks. */
class Walk {
  at = 0;
  #items = 0;
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  item(depth: number): void {
    if (depth > MAX_DEPTH) throw limit(`it is nested deeper than ${MAX_DEPTH} levels`);
    if (++this.#items > MAX_ITEMS) throw limit(`it has more than ${MAX_ITEMS} items`);
    const lead = this.#byte();
    const major = lead >> 5;
    if (major === 7) {
      if (lead < 0xf4 || lead > 0xf6) {
        throw malformed("it holds a number or simple value that messages do not use");
      }
      return;
    }
    const argument = this.#argument(lead & 31);
    if (major === 2) this.#skip(argument);
    else if (major === 3) this.#text(argument);
    else if (major === 4) this.#list(argument, depth);
    else if (major === 5) this.#map(argument, depth);
    else if (major === 6) this.#tagged(argument);
  }

  #list(count: number, depth: number): void {
    this.#countable(count);
    for (let i = 0; i < count; i++) this.item(depth + 1);
  }

  #map(count: number, depth: number): void {
    this.#countable(count);
    let previous: Uint8Array | undefined;
    for (let i = 0; i < count; i++) {
      const start = this.at;
      if (this.#bytes[start]! >> 5 !== 3) throw malformed("a map key is not text");
      this.item(depth + 1);
      const key = this.#bytes.subarray(start, this.at);
      if (previous !== undefined) {
        const order = compareBytes(previous, key);
        if (order === 0) throw malformed(`it has the key ${keyName(key)} twice`);
        if (order > 0) throw malformed(`its key ${keyName(key)} is not in canonical order`);
      }
      previous = key;
      this.item(depth + 1);
    }
  }

  #tagged(tag: number): void {
    if (!KNOWN_TAGS.has(tag)) throw malformed(`it holds tag ${tag}, which messages do not use`);
    const lead = this.#byte();
    if (lead >> 5 !== 2) throw malformed("a typed array is not a byte string");
    this.#skip(this.#argument(lead & 31));
  }

  #text(length: number): void {
    const start = this.at;
    this.#skip(length);
    try {
      UTF8.decode(this.#bytes.subarray(start, this.at));
    } catch {
      throw malformed("a text is not UTF-8");
    }
  }

  /** A count of items that cannot fit what follows is refused before any of them is walked. */
  #countable(count: number): void {
    if (count > MAX_ITEMS) throw limit(`it has more than ${MAX_ITEMS} items`);
    if (count > this.#bytes.length - this.at) throw malformed("it ends early");
  }

  #skip(length: number): void {
    if (length > this.#bytes.length - this.at) throw malformed("it ends early");
    this.at += length;
  }

  #byte(): number {
    if (this.at >= this.#bytes.length) throw malformed("it ends early");
    return this.#bytes[this.at++]!;
  }

  /** Gives the item's argument; above 2^53 it is only near, which is enough to refuse it as a length. */
  #argument(minor: number): number {
    if (minor < 24) return minor;
    if (minor === 31) throw malformed("it has an item of indefinite length");
    if (minor > 27) throw malformed("it is not well-formed");
    const width = 1 << (minor - 24);
    let value = 0;
    for (let i = 0; i < width; i++) value = value * 256 + this.#byte();
    const least = width === 1 ? 24 : 2 ** (width * 4);
    if (value < least) throw malformed("a number is written longer than needed");
    return value;
  }
}

/** Quotes a key for an error text; a peer chose it, so only plain characters are shown. */
function keyName(encoded: Uint8Array): string {
  const text = new TextDecoder().decode(encoded.subarray(encoded[0] === 0x78 ? 2 : 1));
  return /^[\w.-]{1,40}$/.test(text) ? `"${text}"` : "(unprintable)";
}

function malformed(state: string): WormholeError {
  return new WormholeError("PROTOCOL", `Cannot read a message: ${state}`);
}

function limit(state: string): WormholeError {
  return new WormholeError("LIMIT_EXCEEDED", `Cannot read a message: ${state}`);
}
