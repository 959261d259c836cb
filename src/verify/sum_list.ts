/**
 * Lists of checksums as `b3sum` writes and reads them: `<64 hex digits>  <name>` per line. A name with a backslash, a
 * line feed or a carriage return is escaped (`\\`, `\n`, `\r`) and its line begins with a backslash, as in coreutils.
 */
import { WormholeError } from "../base/errors.ts";

/** One line. */
export interface Sum {
  /** 64 hex digits: BLAKE3-256 of the whole file. */
  readonly hash: string;
  /** Name as in `base/names.ts`. */
  readonly name: string;
}

/** 1 GiB: the longest list that is read, about 10 million lines. */
export const MAX_LIST_BYTES = 1024 ** 3;

const LINE = /^(\\?)([0-9a-fA-F]{64}) [ *](.+)$/s;

/** Gives the line for one file, with its line break. */
export function formatSum({ hash, name }: Sum): string {
  const escaped = name.replaceAll("\\", "\\\\").replaceAll("\n", "\\n").replaceAll("\r", "\\r");
  return `${escaped === name ? "" : "\\"}${hash}  ${escaped}\n`;
}

/**
 * Reads a list; empty lines are passed over.
 *
 * @throws {WormholeError} INVALID_ARGUMENT, naming the line, when one is not a checksum.
 */
export function parseSums(text: string, { source }: { source: string }): Sum[] {
  return text.split("\n").flatMap((line, i) => {
    const rest = line.replace(/\r$/, "");
    if (rest === "") return [];
    const match = LINE.exec(rest);
    if (match === null) {
      throw new WormholeError(
        "INVALID_ARGUMENT",
        `Cannot read "${source}": line ${i + 1} is no checksum as b3sum writes it`,
      );
    }
    const [, escaped, hash, name] = match;
    return [{
      hash: hash!.toLowerCase(),
      name: escaped === "" ? name! : unescape(name!, { source, line: i + 1 }),
    }];
  });
}

function unescape(name: string, { source, line }: { source: string; line: number }): string {
  return name.replace(/\\(.?)/gs, (_, letter: string) => {
    const plain = { "\\": "\\", n: "\n", r: "\r" }[letter];
    if (plain !== undefined) return plain;
    throw new WormholeError(
      "INVALID_ARGUMENT",
      `Cannot read "${source}": line ${line} has the unknown escape "\\${letter}"`,
    );
  });
}
