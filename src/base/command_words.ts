/** Splits a command as a person writes it into words, without any shell; pure. */
import { WormholeError } from "./errors.ts";

/**
 * Gives the words of `text`: split at white space; in `'…'` everything is as it is, in `"…"` and outside a backslash takes the next
 * character as it is. There are no variables, patterns or operators.
 *
 * @throws {WormholeError} INVALID_ARGUMENT when a quote is open at the end, or there is no word.
 */
export function commandWords(text: string): string[] {
  const words: string[] = [];
  let word: string | undefined;
  let quote = "";
  for (let at = 0; at < text.length; at++) {
    const character = text[at]!;
    if (quote === "'" ? character === "'" : quote === '"' && character === '"') quote = "";
    else if (character === "\\" && quote !== "'" && at + 1 < text.length) word = (word ?? "") + text[++at]!;
    else if (quote !== "") word = (word ?? "") + character;
    else if (character === "'" || character === '"') {
      quote = character;
      word ??= "";
    } else if (/\s/.test(character)) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else word = (word ?? "") + character;
  }
  if (word !== undefined) words.push(word);
  const state = quote !== ""
    ? `a ${quote} is open at its end`
    : words.length === 0
    ? "it is empty"
    : undefined;
  if (state === undefined) return words;
  throw new WormholeError("INVALID_ARGUMENT", `Cannot run ${JSON.stringify(text)}: ${state}`);
}
