/** Text in XML 1.0. */
import { WormholeError } from "../base/errors.ts";

const ESCAPES: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };

/** Escapes text of the job `name`. @throws {WormholeError} UNSUPPORTED for characters that XML has no way to write. */
export function xmlText(text: string, name: string): string {
  // deno-lint-ignore no-control-regex -- these have no place in XML, escaped or not
  if (/[\u0000-\u001f\u007f\ufffe\uffff]|[\ud800-\udfff]/u.test(text)) {
    throw new WormholeError(
      "UNSUPPORTED",
      `Cannot write the job "${name}" as XML: ${JSON.stringify(text)} has what is no text`,
    );
  }
  return text.replace(/[&<>"]/g, (character) => ESCAPES[character]!);
}
