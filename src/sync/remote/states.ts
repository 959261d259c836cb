/** What the other machine's error numbers mean to the person here; numbers are all that crosses the wire. */
import type { ErrorCode } from "../../base/errors.ts";

const STATES: Partial<Record<ErrorCode, string>> = {
  NOT_FOUND: "it is not there",
  NOT_DIRECTORY: "it is no folder",
  PERMISSION_DENIED: "permission denied at the other side",
  NO_SPACE: "the other side's disk is full",
  READ_ONLY: "the other side's disk is read-only",
  IO: "the other side's disk failed",
  SOURCE_CHANGED: "it changed meanwhile; the next run sees to it",
  ALREADY_EXISTS: "something is there meanwhile",
  NAME_TOO_LONG: "its name is too long for the other side's disk",
  UNSUPPORTED: "the other side's system or file system cannot do that",
  HOSTILE_NAME: "the other side must not accept a name",
  LIMIT_EXCEEDED: "it is more than the other side accepts",
  PROTOCOL: "the other side could not understand this one",
  VERSION_UNSUPPORTED: "the other side speaks another version of the protocol",
  REFUSED: "it gives this machine no right to that folder (there: wormhole peers rights NAME --sync DIR)",
  CONFIG_INVALID: "its list of known machines cannot be read now (wormhole peers there says why)",
  BUSY: "another run is at work on that folder",
  BRAKED: "that is not the folder that was synchronized before; is its disk mounted?",
  CORRUPT: "the other side received damaged data",
  INTERNAL: "the other side failed by a fault of its own",
};

/** Gives what the peer's `code` means, as words that follow a colon. */
export function stateOf(code: ErrorCode): string {
  return STATES[code] ?? `the other side reports ${code}`;
}
