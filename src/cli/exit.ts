import { type ErrorCode, WormholeError } from "../base/errors.ts";

/** Exit codes with their meaning; docs/exit_codes.md is made from this table. */
export const EXIT_CODES = {
  0: "Everything worked.",
  1: "The program itself failed: a bug, a missing library, something this system cannot do.",
  2: "The command line or the settings are wrong.",
  3: "The code is wrong, expired, used or not known.",
  4: "The other machine or the hub cannot be reached, was lost or does not answer.",
  5: "The other side refused or cancelled.",
  6: "A file or disk of this machine: not found, no permission, no space, read-only, changed while read.",
  7: "Some entries failed, or differ from their checksums, or some receivers did not get everything, and were " +
    "named; the rest is done.",
  8: "The other side broke the protocol or sent damaged or dangerous data; nothing of that was kept.",
  9: "The folders are the same, but there were conflicts; both versions are kept (sync).",
  10:
    "Stopped, so that nothing is lost: too much would be deleted, a folder is not the one that it was or its disk went away, or another " +
    "run is at work on it (sync; before anything was changed, unless a disk went away in the middle); somebody is in the way (lock); " +
    "or too much would be deleted, and was not, the rest being done (copy --delete).",
  130: "Interrupted with Ctrl-C (128 + signal number; 143 for a termination, 141 for a closed pipe).",
} as const;

/** One of {@linkcode EXIT_CODES}. */
export type ExitCode = keyof typeof EXIT_CODES;

interface Outcome {
  readonly exit: ExitCode;
  /** One sentence: what to do next. */
  readonly advice: string;
}

const OUTCOMES: Readonly<Record<ErrorCode, Outcome>> = {
  INTERNAL: { exit: 1, advice: "This is a fault in Wormhole; please report it with the output of -vvv." },
  INVALID_ARGUMENT: { exit: 2, advice: "Correct it and start the command again." },
  UNSUPPORTED: { exit: 1, advice: "Run wormhole doctor to see what this machine can do." },
  CANCELLED: { exit: 5, advice: "Ask the other person why, and start again with a new code." },
  CLOSED: { exit: 1, advice: "Start the command again." },
  TIMEOUT: {
    exit: 4,
    advice: "Check that the other side is still running and try again, with a longer --timeout.",
  },
  NATIVE_LIBRARY: {
    exit: 1,
    advice: "Build the library again with scripts/bootstrap, or install Wormhole again.",
  },
  CONFIG_INVALID: { exit: 2, advice: "Correct the value; wormhole config path says where the file is." },
  USAGE: { exit: 2, advice: "Run wormhole help to see what there is." },
  INTERRUPTED: { exit: 130, advice: "Start the command again when you like." },
  NOT_FOUND: { exit: 6, advice: "Check the spelling." },
  ALREADY_EXISTS: { exit: 6, advice: "Choose another name, or remove what is there." },
  PERMISSION_DENIED: { exit: 6, advice: "Change the permissions, or choose a folder that is yours." },
  NO_SPACE: { exit: 6, advice: "Free some space, or receive into another disk with --output." },
  READ_ONLY: { exit: 6, advice: "Choose a folder on a disk that can be written, with --output." },
  IS_DIRECTORY: { exit: 6, advice: "Give the path of a file, not of a folder." },
  NOT_DIRECTORY: { exit: 6, advice: "Give the path of a folder, not of a file." },
  IO: { exit: 6, advice: "Check the disk; the system's log may say more." },
  NAME_TOO_LONG: { exit: 6, advice: "Use a shorter name, or receive into a folder that is less deep." },
  PATH_ESCAPES: { exit: 8, advice: "Do not trust what was sent; nothing outside the folder was touched." },
  SOURCE_CHANGED: { exit: 6, advice: "Send it again when nothing writes to it any more." },
  TOO_MANY_OPEN_FILES: { exit: 6, advice: "Raise the limit with ulimit -n, or close other programs." },
  CONNECT_FAILED: {
    exit: 4,
    advice:
      "Check that both machines are on the same network or use the same --hub, and that no firewall is between.",
  },
  CONNECTION_LOST: {
    exit: 4,
    advice: "Check the network and send again with a new code; of files, what has arrived is kept.",
  },
  PEER_UNAUTHENTICATED: {
    exit: 8,
    advice: "Somebody else may have answered: make a new code and compare the verifier with --verify.",
  },
  ADDRESS_IN_USE: { exit: 4, advice: "Choose another port, or end the program that uses this one." },
  PEER_FROZEN: {
    exit: 4,
    advice: "Look at the other machine: it may be asleep or overloaded; then send again.",
  },
  PROTOCOL: {
    exit: 8,
    advice: "Install the same version on both machines; if they are the same, report it.",
  },
  LIMIT_EXCEEDED: {
    exit: 8,
    advice: "The other side asked for more than is allowed; do not trust it blindly.",
  },
  CORRUPT: { exit: 8, advice: "Send again; if it comes back, check the memory and disk of both machines." },
  VERSION_UNSUPPORTED: { exit: 8, advice: "Update Wormhole on the machine with the older version." },
  HOSTILE_NAME: { exit: 8, advice: "Do not trust what was sent; such names are made to do harm." },
  REFUSED: { exit: 5, advice: "Ask the other person, and send again with a new code." },
  PARTIAL: {
    exit: 7,
    advice: "Correct what was named above and do that again; the rest is in place.",
  },
  DESTINATION_EXISTS: {
    exit: 6,
    advice: "Say what to do with existing files: --overwrite, --rename or --skip.",
  },
  CODE_INVALID: {
    exit: 3,
    advice: "Check the code: a number and words with dashes, such as 7-guitarist-zulu.",
  },
  CODE_WRONG: {
    exit: 3,
    advice: "A code for one receiver ends after one wrong guess: let the sender make a new one.",
  },
  CODE_EXPIRED: { exit: 3, advice: "Let the sender make a new code." },
  CODE_USED: { exit: 3, advice: "A code works once: let the sender make a new one." },
  CODE_NOT_FOUND: {
    exit: 3,
    advice:
      "Check the number, that the sender still waits, and that both use the same network or --hub; a code of a " +
      "magic-wormhole client needs --compat.",
  },
  CODE_CROWDED: { exit: 3, advice: "Somebody else tried this code: let the sender make a new one." },
  HUB_UNREACHABLE: {
    exit: 4,
    advice: "Check the hub's address and the network, or leave out --hub on a local network.",
  },
  HUB_REFUSED: { exit: 4, advice: "Wait a minute and try again, or use another hub." },
  CONFLICTS: { exit: 9, advice: "Look at both versions; wormhole sync conflicts lists and settles them." },
  BRAKED: {
    exit: 10,
    advice:
      "If that is what you want, say so with --yes; where it is another folder now, --forget begins anew and deletes nothing.",
  },
  BUSY: { exit: 10, advice: "Wait for it to end; a later run sees to everything." },
};

const RIGHTS_ADVICE =
  "At the other machine, wormhole peers rights NAME shows what this one may do there, and changes it.";

const SERVE_ADVICE =
  "Check the network, and that wormhole sync serve runs at the other machine, with the same --hub if there is one.";

/** Where a run that failed is made up for by another one, there is no code and nothing to send. */
const SYNC_ADVICE: Partial<Record<ErrorCode, string>> = {
  PARTIAL:
    "Correct what was named above, or wait until its lock has ended, and run it again; the rest is the same.",
  PEER_UNAUTHENTICATED:
    "Somebody else may have answered. If the other machine was set up anew, let both know each other again with wormhole pair.",
  REFUSED: RIGHTS_ADVICE,
  CANCELLED: "The other machine stopped; run it again when it is back.",
  TIMEOUT: SERVE_ADVICE,
  CONNECT_FAILED: SERVE_ADVICE,
  PEER_FROZEN: "Run it again when the other machine is back; what has arrived does not come again.",
  CONNECTION_LOST:
    "Run it again; both folders are whole, and what has arrived does not come again. With --watch it goes on by itself.",
  NO_SPACE:
    "Free some space there, old versions in .wormhole-sync/trash too (--trash-days), and run it again.",
  READ_ONLY: "A folder that is synchronized must be on a disk that can be written.",
  NAME_TOO_LONG: "Use a shorter name, or leave it out with --exclude.",
  SOURCE_CHANGED: "Run it again when nothing writes to it any more.",
  CORRUPT: "Run it again; if it comes back, check the memory and disk of both machines.",
};

const LOCK_ADVICE: Partial<Record<ErrorCode, string>> = {
  ...SYNC_ADVICE,
  NO_SPACE: "Free some space on the disk with your state folder, where locks are kept.",
  READ_ONLY: "Wormhole keeps locks in its state folder, which must be on a disk that can be written.",
  NAME_TOO_LONG: "Lock the folder that it is in.",
  CONNECTION_LOST: "Run it again; a lock that was taken ends by itself when it is not renewed.",
  PEER_FROZEN: "Run it again; a lock that was taken ends by itself when it is not renewed.",
  LIMIT_EXCEEDED: "Release locks that are not needed any more, or let them end.",
  BUSY: "Wait for your turn with --wait TIME; wormhole lock list shows who is in the way.",
};

/** A copy on this machine; what it can meet with. */
const COPY_ADVICE: Partial<Record<ErrorCode, string>> = {
  BRAKED: "If that is what you want, say so with --max-delete 100% or --yes; --dry-run shows what would go.",
  NO_SPACE: "Free some space there, and copy again with --resume; what is complete is not copied again.",
  READ_ONLY: "Choose a destination on a disk that can be written.",
  NAME_TOO_LONG: "Use a shorter name, or a destination that is less deep.",
  SOURCE_CHANGED: "Copy it again when nothing writes to it any more.",
  CORRUPT: "Copy it again; if it comes back, check the memory and disk of this machine.",
};

const COMMAND_ADVICE: Record<string, Partial<Record<ErrorCode, string>>> = {
  sync: SYNC_ADVICE,
  lock: LOCK_ADVICE,
  copy: COPY_ADVICE,
};

/** Number of each signal that ends the program in an orderly way (POSIX). */
export const SIGNAL_NUMBERS = { SIGHUP: 1, SIGINT: 2, SIGPIPE: 13, SIGTERM: 15 } as const;

/** One of {@linkcode SIGNAL_NUMBERS}. */
export type EndingSignal = keyof typeof SIGNAL_NUMBERS;

/** The reason with which everything stops on a signal. */
export class Interrupted extends WormholeError {
  constructor(readonly signal: EndingSignal) {
    super("INTERRUPTED", signal === "SIGINT" ? "interrupted" : `interrupted by ${signal}`);
  }
}

/** Gives the exit code for whatever a command threw. */
export function exitCode(error: unknown): number {
  const first = firstOf(error);
  if (first instanceof Interrupted) return 128 + SIGNAL_NUMBERS[first.signal];
  return OUTCOMES[asFailure(error).code].exit;
}

/** Gives one plain sentence that says what to do next; `command` ran, such as `sync serve`. */
export function advice(error: unknown, command = ""): string {
  const { code } = asFailure(error);
  const [first = ""] = command.split(" ");
  return COMMAND_ADVICE[first]?.[code] ?? OUTCOMES[code].advice;
}

/** Gives `error` as the failure that is shown: what is no WormholeError is a fault of the program. */
export function asFailure(given: unknown): WormholeError {
  const error = firstOf(given);
  if (error instanceof WormholeError) return error;
  const reason = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  return new WormholeError("INTERNAL", `Cannot go on: ${reason}`, { cause: error });
}

/** Gives what failed first where cleaning up after it (`using`) failed as well: that is what the person has to know. */
function firstOf(error: unknown): unknown {
  return error instanceof SuppressedError ? firstOf(error.suppressed) : error;
}
