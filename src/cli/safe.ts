/** What makes text from a peer, a file name or an error fit for a terminal. */

const UNSAFE =
  // Controls (C0, DEL, C1), line and paragraph separators, what reorders or hides text, and lone surrogates.
  // deno-lint-ignore no-control-regex
  /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff\u{e0000}-\u{e007f}]/gu;

/**
 * Gives `text` on one line with everything that could move the cursor, change colours, reorder or hide text
 * written as an escape: `\n`, `\x1b`, `\u202e`; a byte that is not UTF-8 as `\xff`.
 */
export function safe(text: string): string {
  return text.replace(UNSAFE, escaped);
}

/** As {@linkcode safe}, but keeps line breaks and tabs: for text that a person sent on purpose. */
export function safeText(text: string): string {
  return text.replaceAll("\r\n", "\n").replace(
    UNSAFE,
    (character) => character === "\n" || character === "\t" ? character : escaped(character),
  );
}

const NAMED: Record<string, string> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

function escaped(character: string): string {
  const code = character.codePointAt(0)!;
  if (NAMED[character]) return NAMED[character];
  if (code >= 0xdc80 && code <= 0xdcff) return hex("x", code - 0xdc00, 2);
  if (code < 0x100) return hex("x", code, 2);
  return code > 0xffff ? `\\u{${code.toString(16)}}` : hex("u", code, 4);
}

function hex(letter: string, code: number, digits: number): string {
  return `\\${letter}${code.toString(16).padStart(digits, "0")}`;
}
