/** A line of input being typed: keys in, text and what to do out; pure. */

/** Gives the ways in which the text could go on, each as the whole text. */
export type Complete = (text: string) => readonly string[];

/** What a key led to. */
export type EditResult =
  | { readonly kind: "edited" }
  /** Several ways to go on; shown under the line. */
  | { readonly kind: "choices"; readonly choices: readonly string[] }
  /** Nothing to complete, nothing to delete. */
  | { readonly kind: "bell" }
  | { readonly kind: "done" }
  /** Ctrl-D on an empty line, or the input ended. */
  | { readonly kind: "end" }
  /** Ctrl-C where the terminal does not make it a signal. */
  | { readonly kind: "interrupt" };

/** Longest line; more keys are ignored, so that pasting a file does no harm. */
const MAX_LINE = 1000;

/** Holds the line and applies keys to it. */
export class LineEditor {
  readonly #complete: Complete;
  #text = "";
  #escape = "";

  constructor(complete: Complete = () => []) {
    this.#complete = complete;
  }

  /** The line as it is. */
  get text(): string {
    return this.#text;
  }

  /** Applies one character as the terminal sends it; escape sequences (arrow keys) are swallowed. */
  key(character: string): EditResult {
    if (this.#escape !== "") return this.#inEscape(character);
    switch (character) {
      case "\x1b":
        this.#escape = character;
        return EDITED;
      case "\r":
      case "\n":
        return { kind: "done" };
      case "\x03":
        return { kind: "interrupt" };
      case "\x04":
        return this.#text === "" ? { kind: "end" } : { kind: "bell" };
      case "\x7f":
      case "\b":
        return this.#shortenTo([...this.#text].slice(0, -1).join(""));
      case "\x15": // Ctrl-U
        return this.#shortenTo("");
      case "\x17": // Ctrl-W
        return this.#shortenTo(this.#text.replace(/[^\s-]*[\s-]*$/, ""));
      case "\t":
        return this.#tab();
    }
    if (character < " " || this.#text.length >= MAX_LINE) return { kind: "bell" };
    this.#text += character;
    return EDITED;
  }

  /** CSI sequences end with a letter or ~, SS3 ones after one more character. */
  #inEscape(character: string): EditResult {
    this.#escape += character;
    const begins = this.#escape.length === 2 && (character === "[" || character === "O");
    if (!begins && /[@-~]/.test(character)) this.#escape = "";
    return EDITED;
  }

  #shortenTo(text: string): EditResult {
    if (this.#text === "") return { kind: "bell" };
    this.#text = text;
    return EDITED;
  }

  #tab(): EditResult {
    const choices = this.#complete(this.#text);
    const common = commonStart(choices);
    if (choices.length === 0) return { kind: "bell" };
    if (common.length > this.#text.length) {
      this.#text = common;
      return EDITED;
    }
    return choices.length === 1 ? { kind: "bell" } : { kind: "choices", choices };
  }
}

const EDITED: EditResult = { kind: "edited" };

/**
 * Makes a completion for codes out of one for single words.
 *
 * `completeWord` gives the words that begin with `prefix` and may stand at `position` (0: after the number).
 */
export function completeCode(
  completeWord: (prefix: string, position: number) => readonly string[],
): Complete {
  return (text) => {
    const parts = text.trimStart().split(/[-\s]+/);
    if (parts.length < 2 || !/^\d+$/.test(parts[0]!)) return [];
    const position = parts.length - 2;
    const start = parts.slice(0, -1).join("-");
    const words = completeWord(parts.at(-1)!.toLowerCase(), position);
    // Two words are the rule, so the first one is followed by another.
    const end = words.length === 1 && position === 0 ? "-" : "";
    return words.map((word) => `${start}-${word}${end}`);
  };
}

function commonStart(choices: readonly string[]): string {
  let common = choices[0] ?? "";
  for (const choice of choices) {
    while (!choice.startsWith(common)) common = common.slice(0, -1);
  }
  return common;
}
