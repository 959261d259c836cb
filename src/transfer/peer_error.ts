/** What the other side's error numbers mean to the person here; numbers are all that crosses the wire. */
import { type ErrorCode, WormholeError } from "../base/errors.ts";

const STATES: Partial<Record<ErrorCode, string>> = {
  NO_SPACE: "there is not enough space at the other side",
  READ_ONLY: "the other side's disk cannot be written",
  PERMISSION_DENIED: "the other side may not write there",
  DESTINATION_EXISTS: "something of that name exists at the other side",
  NOT_FOUND: "the folder to receive into does not exist at the other side",
  IO: "the other side's disk failed",
  PROTOCOL: "the other side could not understand this one",
  LIMIT_EXCEEDED: "it is more than the other side accepts",
  CORRUPT: "the other side received damaged data",
  HOSTILE_NAME: "the other side found a name that it must not accept",
  VERSION_UNSUPPORTED: "the other side speaks another version of the protocol",
  PEER_FROZEN: "the other side did not hear from this one any more",
  PATH_ESCAPES: "the other side takes no symbolic link that leads out of what was sent",
  ALREADY_EXISTS: "the other side cannot tell it from something else of the same name",
  NAME_TOO_LONG: "its name is too long for the other side's disk",
  UNSUPPORTED: "the other side's system cannot hold it",
  INTERNAL: "the other side failed by a fault of its own",
};

/** Gives the error for the peer's `error` message. */
export function peerError(code: ErrorCode): WormholeError {
  return new WormholeError(own(code), `Cannot finish the transfer: ${peerState(code)}`);
}

/** Gives the error for the peer's `cancel` message. */
export function peerCancelled(): WormholeError {
  return new WormholeError("CANCELLED", "Cannot finish the transfer: the other side cancelled it");
}

/** Gives the error for a refused offer. */
export function refused(reason: ErrorCode | undefined): WormholeError {
  const state = reason === undefined || reason === "REFUSED"
    ? "the other side refused it"
    : peerState(reason);
  return new WormholeError("REFUSED", `Cannot send: ${state}`);
}

/** What the peer's `code` means, as words. */
export function peerState(code: ErrorCode): string {
  return STATES[code] ?? `the other side reports ${code}`;
}

/** Codes that mean "this person" here keep a meaning of their own when the peer sends them. */
function own(code: ErrorCode): ErrorCode {
  return code === "INTERRUPTED" || code === "CANCELLED" || code === "USAGE" ? "CANCELLED" : code;
}
