/** What makes text from a peer, a file name or an error fit for a terminal. */
import { printable } from "../tree/path.ts";

/**
 * Gives `text` on one line with everything that could move the cursor, change colours, reorder or hide text
 * written as a visible escape.
 */
export function safe(text: string): string {
  return printable(text);
}

/** As {@linkcode safe}, but keeps line breaks and tabs: for text that a person sent on purpose. */
export function safeText(text: string): string {
  return text.replaceAll("\r\n", "\n").split(/([\n\t])/)
    .map((part) => part === "\n" || part === "\t" ? part : printable(part)).join("");
}
