/** Names that a person gives to machines. */
import { WormholeError } from "../base/errors.ts";

/** Most characters of a name: it stands in sentences and on command lines. */
const MAX_NAME_LENGTH = 40;

/** Begins with a letter or digit, so that it is no flag, and has nothing that a shell or a path cares about. */
const NAME = /^[\p{L}\p{N}][\p{L}\p{N}\p{M}._-]*$/u;

/** Looks like a code, which `wormhole pair` also takes in its place. */
const LIKE_A_CODE = /^\d+-/;

/**
 * Reads a name as the person typed it.
 *
 * @throws {WormholeError} INVALID_ARGUMENT when it cannot be one.
 */
export function parsePeerName(text: string): string {
  const name = text.trim().normalize("NFC");
  const state = fault(name);
  if (state === undefined) return name;
  const shown = name.slice(0, MAX_NAME_LENGTH).replace(/[\p{Cc}\p{Cf}\p{Cs}]/gu, "?");
  throw new WormholeError("INVALID_ARGUMENT", `Cannot call a machine "${shown}": ${state}`);
}

/** Makes a name of what another machine calls itself, or a machine's host name; "peer" when nothing of it will do. */
export function peerNameFrom(text: string): string {
  const name = text.normalize("NFC").replace(/\..*$/, "").replace(/[^\p{L}\p{N}\p{M}_-]+/gu, "-")
    .replace(/^[^\p{L}\p{N}]+|-+$/gu, "").slice(0, MAX_NAME_LENGTH);
  return fault(name) === undefined ? name : "peer";
}

/** Tells whether two names are the same to a person: capitals do not make a difference. */
export function sameName(a: string, b: string): boolean {
  return a.toLowerCase() === b.toLowerCase();
}

/** Gives `wanted`, or that with the first number from 2 on that makes it another name than all of `taken`. */
export function freeName(wanted: string, taken: readonly string[]): string {
  for (let number = 1;; number++) {
    const end = number === 1 ? "" : `-${number}`;
    const name = wanted.slice(0, MAX_NAME_LENGTH - end.length) + end;
    if (!taken.some((each) => sameName(each, name))) return name;
  }
}

function fault(name: string): string | undefined {
  if (name === "") return "it is empty";
  if (name.length > MAX_NAME_LENGTH) return `it is longer than ${MAX_NAME_LENGTH} characters`;
  if (LIKE_A_CODE.test(name)) return "it looks like a code";
  if (!NAME.test(name)) return "a name has letters, digits, dots, dashes and underscores only";
  return undefined;
}
