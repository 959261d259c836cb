import { WormholeError } from "../base/errors.ts";
import { EVEN_WORDS, ODD_WORDS, wordsAt, wordsOf } from "./words.ts";

/** Most words that a code may have; eight words are 64 bits, more than anyone reads out. */
export const MAX_CODE_WORDS = 8;

/** Longest code text looked at, in UTF-16 units; caps the work that pasted rubbish can cause. */
const MAX_CODE_LENGTH = 256;

/** Most digits of a nameplate. */
const NAMEPLATE = /^[1-9]\d{0,8}$/;

/** What one person reads out to another. */
export interface Code {
  /** Decimal number that names the mailbox at the rendezvous; not secret. */
  readonly nameplate: string;
  /** The secret words, lower case, joined by dashes. */
  readonly password: string;
}

/** Options of {@linkcode parseCode}. */
export interface ParseCodeOptions {
  /** Takes any password text, as magic-wormhole does, instead of words of the list only. */
  lenient?: boolean;
}

/**
 * Reads a code as a person typed it: blanks, capitals and any kind of dash are forgiven.
 *
 * @throws {WormholeError} CODE_INVALID with a hint about the word that is wrong.
 */
export function parseCode(text: string, { lenient = false }: ParseCodeOptions = {}): Code {
  if (text.length > MAX_CODE_LENGTH) throw invalid(text.slice(0, 24) + "…", "it is too long");
  const tidy = text.normalize("NFC").replace(/[\s\p{Pd}\u2212_]+/gu, "-").replace(/^-|-$/g, "");
  const [nameplate = "", ...words] = tidy.toLowerCase().split("-");
  if (!NAMEPLATE.test(nameplate)) {
    throw invalid(tidy, `a code begins with a number, like ${EXAMPLE}`);
  }
  if (words.length === 0) throw invalid(tidy, `the words after the number are missing, like ${EXAMPLE}`);
  const fault = passwordFault(words);
  if (fault === undefined) return { nameplate, password: words.join("-") };
  if (!lenient) throw invalid(tidy, fault);
  return { nameplate, password: text.normalize("NFC").trim().slice(nameplate.length + 1) };
}

const EXAMPLE = "7-guitarist-zulu";

/** Gives the text of a code: `7-guitarist-zulu`. */
export function formatCode({ nameplate, password }: Code): string {
  return `${nameplate}-${password}`;
}

/** Draws a password of `words` words (8 bits each) from `random`, which gives that many random bytes. */
export function makePassword(words: number, random: (byteLength: number) => Uint8Array): string {
  if (!Number.isInteger(words) || words < 1 || words > MAX_CODE_WORDS) {
    throw new WormholeError(
      "INVALID_ARGUMENT",
      `Cannot make a code of ${words} words: the number must be 1 to ${MAX_CODE_WORDS}`,
    );
  }
  return wordsOf(random(words));
}

/** Lists the words, lower case, that begin with `prefix` and may stand at `position` (0: first after the number). */
export function completeWord(prefix: string, position: number): string[] {
  const start = prefix.toLowerCase();
  return wordsAt(position).map((word) => word.toLowerCase()).filter((word) => word.startsWith(start));
}

/** Says in plain words what is wrong with a password; undefined when nothing is. */
function passwordFault(words: string[]): string | undefined {
  for (const [index, word] of words.entries()) {
    if (listOf(word) !== undefined) continue;
    const guess = nearest(word, index);
    return `"${word}" is not a word of the list${guess ? `; did you mean "${guess}"?` : ""}`;
  }
  if (words.length > MAX_CODE_WORDS) {
    return `it has ${words.length} words; at most ${MAX_CODE_WORDS} are possible`;
  }
  const wrong = words.findIndex((word, index) => listOf(word) !== wordsAt(index));
  if (wrong < 0) return undefined;
  const kinds = words.map((word) => listOf(word));
  const odd = kinds.filter((kind) => kind === ODD_WORDS).length;
  if (odd === Math.ceil(words.length / 2)) return "the words are in the wrong order";
  return `a word is missing, doubled or wrong at "${words[wrong]}"`;
}

function listOf(word: string): readonly string[] | undefined {
  sets ??= new Map([
    ...ODD_WORDS.map((each) => [each.toLowerCase(), ODD_WORDS] as const),
    ...EVEN_WORDS.map((each) => [each.toLowerCase(), EVEN_WORDS] as const),
  ]);
  return sets.get(word);
}

let sets: Map<string, readonly string[]> | undefined;

/** Gives the word most like `word`, from the list expected at `index` when two are as near; undefined when none is. */
function nearest(word: string, index: number): string | undefined {
  if (word.length > 24) return undefined;
  const expected = wordsAt(index);
  const others = expected === ODD_WORDS ? EVEN_WORDS : ODD_WORDS;
  let best: string | undefined;
  let least = Math.min(2, Math.floor(word.length / 2)) + 1;
  for (const candidate of [...expected, ...others]) {
    const distance = editDistance(word, candidate.toLowerCase());
    if (distance < least) [best, least] = [candidate.toLowerCase(), distance];
  }
  return best;
}

/** Counts insertions, deletions, replacements and swaps of neighbours (optimal string alignment). */
function editDistance(a: string, b: string): number {
  let before: number[] = [];
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      row[j] = Math.min(previous[j]! + 1, row[j - 1]! + 1, previous[j - 1]! + (same ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        row[j] = Math.min(row[j]!, before[j - 2]! + 1);
      }
    }
    [before, previous] = [previous, row];
  }
  return previous[b.length]!;
}

/** Builds the error; whatever could steer a terminal is shown as "?". */
function invalid(text: string, state: string): WormholeError {
  const message = `Cannot read the code "${text}": ${state}`;
  return new WormholeError("CODE_INVALID", message.replace(/[\p{Cc}\p{Cf}\p{Cs}]/gu, "?"));
}
