/** A job and its name. */
import { WormholeError } from "../base/errors.ts";

/** Something that runs again and again. */
export interface Job {
  readonly name: string;
  /** Words after `wormhole`, such as `sync`, `/a`, `/b`. */
  readonly command: readonly string[];
  /** Absolute path that relative ones in the command mean. */
  readonly folder: string;
  /** As the person wrote it; absent: it runs only when told to. */
  readonly schedule?: string;
  /** What starts it; `none`: nothing that Wormhole has set up. */
  readonly with: string;
  /** ms since 1970. */
  readonly addedMs: number;
}

/** Most characters of a name: it is part of names of files and units. */
const MAX_NAME_LENGTH = 40;

/** Plain enough for every scheduler, file system and shell, so that nothing has to be escaped. */
const NAME = /^[A-Za-z0-9][A-Za-z0-9_-]*$/;

/**
 * Reads a job's name.
 *
 * @throws {WormholeError} INVALID_ARGUMENT for what is none.
 */
export function parseJobName(text: string): string {
  if (NAME.test(text) && text.length <= MAX_NAME_LENGTH) return text;
  throw new WormholeError(
    "INVALID_ARGUMENT",
    `Cannot call a job ${JSON.stringify(text.slice(0, MAX_NAME_LENGTH + 1))}: ` +
      `a name has at most ${MAX_NAME_LENGTH} of a-z, A-Z, 0-9, - and _, and begins with a letter or digit`,
  );
}

/** Tells whether two names are one: some of the places where they become file names know no capitals. */
export function isSameJob(a: string, b: string): boolean {
  return a.toLowerCase() === b.toLowerCase();
}
