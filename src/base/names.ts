/**
 * File names as strings: bytes that are not valid UTF-8 become lone surrogates U+DC80..U+DCFF and
 * back (surrogateescape, PEP 383), so that every Linux name survives and ordinary names stay ordinary.
 */

const DECODER = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const ENCODER = new TextEncoder();
const ESCAPED = /[\uDC80-\uDCFF]/;

/** Gives the string for a name's bytes. */
export function decodeName(bytes: Uint8Array): string {
  try {
    return DECODER.decode(bytes);
  } catch {
    return decodeEscaped(bytes);
  }
}

/** Gives the bytes of a name made by {@linkcode decodeName}; the inverse for every byte sequence. */
export function encodeName(name: string): Uint8Array<ArrayBuffer> {
  if (!ESCAPED.test(name)) return ENCODER.encode(name);
  const bytes: number[] = [];
  for (const character of name) {
    const code = character.codePointAt(0)!;
    if (code >= 0xdc80 && code <= 0xdcff) bytes.push(code - 0xdc00);
    else bytes.push(...ENCODER.encode(character));
  }
  return Uint8Array.from(bytes);
}

/** Decodes the longest valid UTF-8 sequence at each position and escapes the bytes between. */
function decodeEscaped(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length;) {
    const length = sequenceLength(bytes, at);
    if (length === 0) text += String.fromCharCode(0xdc00 + bytes[at++]!);
    else {
      text += DECODER.decode(bytes.subarray(at, at + length));
      at += length;
    }
  }
  return text;
}

function sequenceLength(bytes: Uint8Array, at: number): number {
  const lead = bytes[at]!;
  const length = lead < 0x80 ? 1 : lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 0;
  if (length === 0 || at + length > bytes.length) return 0;
  try {
    DECODER.decode(bytes.subarray(at, at + length));
    return length;
  } catch {
    return 0;
  }
}
