/**
 * Every failure that a caller is expected to handle, as one closed union of codes.
 *
 * The numbers are the wire's and the native library's `kind` (u16). They are append-only:
 * `tests/vectors/errors.json` lists them and both languages are tested against that file.
 */
export const ERROR_NUMBERS = {
  // the program itself
  INTERNAL: 1,
  INVALID_ARGUMENT: 2,
  UNSUPPORTED: 3,
  CANCELLED: 4,
  CLOSED: 5,
  TIMEOUT: 6,
  NATIVE_LIBRARY: 7,
  CONFIG_INVALID: 8,
  USAGE: 9,
  INTERRUPTED: 10,
  // this machine's disk
  NOT_FOUND: 20,
  ALREADY_EXISTS: 21,
  PERMISSION_DENIED: 22,
  NO_SPACE: 23,
  READ_ONLY: 24,
  IS_DIRECTORY: 25,
  NOT_DIRECTORY: 26,
  IO: 27,
  NAME_TOO_LONG: 28,
  PATH_ESCAPES: 29,
  SOURCE_CHANGED: 30,
  TOO_MANY_OPEN_FILES: 31,
  // the link
  CONNECT_FAILED: 40,
  CONNECTION_LOST: 41,
  PEER_UNAUTHENTICATED: 42,
  ADDRESS_IN_USE: 43,
  PEER_FROZEN: 44,
  // what the peer says
  PROTOCOL: 50,
  LIMIT_EXCEEDED: 51,
  CORRUPT: 52,
  VERSION_UNSUPPORTED: 53,
  HOSTILE_NAME: 54,
  REFUSED: 55,
  PARTIAL: 56,
  DESTINATION_EXISTS: 57,
  // codes and hubs
  CODE_INVALID: 60,
  CODE_WRONG: 61,
  CODE_EXPIRED: 62,
  CODE_USED: 63,
  CODE_NOT_FOUND: 64,
  CODE_CROWDED: 65,
  HUB_UNREACHABLE: 66,
  HUB_REFUSED: 67,
  // folders that are kept the same
  CONFLICTS: 70,
  BRAKED: 71,
  BUSY: 72,
} as const;

/** Name of one failure; see {@linkcode ERROR_NUMBERS}. */
export type ErrorCode = keyof typeof ERROR_NUMBERS;

const BY_NUMBER = new Map<number, ErrorCode>(
  Object.entries(ERROR_NUMBERS).map(([code, number]) => [number, code as ErrorCode]),
);

/** Gives the code for a number off the wire or from the native library; unknown numbers are `INTERNAL`. */
export function errorCode(number: number): ErrorCode {
  return BY_NUMBER.get(number) ?? "INTERNAL";
}

/**
 * A failure that callers handle by its `code`.
 *
 * `message` reads `Cannot <verb> "x": <state>` and is safe to show to the person at this
 * machine; it never crosses the wire (only `code` does).
 */
export class WormholeError extends Error {
  override readonly name = "WormholeError";
  readonly code: ErrorCode;
  /** The operating system's error number, 0 when there is none. */
  readonly errno: number;

  constructor(code: ErrorCode, message: string, options: ErrorOptions & { errno?: number } = {}) {
    super(message, options);
    this.code = code;
    this.errno = options.errno ?? 0;
  }
}

/** Tells whether `error` is a {@linkcode WormholeError} with one of `codes` (any code when none is given). */
export function isWormholeError(error: unknown, ...codes: ErrorCode[]): error is WormholeError {
  return error instanceof WormholeError && (codes.length === 0 || codes.includes(error.code));
}
