/** The file below a `Database`: opening it, bringing it up to date, and replacing it when it is damaged. */
import { DatabaseSync } from "node:sqlite";
import { isWormholeError, WormholeError } from "../base/errors.ts";
import { FileLock } from "../native/file_lock.ts";

/** How a database is made and what becomes of a damaged one. */
export interface DatabaseOptions {
  /** What it is called in messages, such as "the index of known content". */
  readonly what: string;
  /** SQL of each step; the first makes the tables, each later one changes them. Append only. */
  readonly migrations: readonly string[];
  /**
   * Whether its content can be found out again: a damaged one is then set aside as `<path>.damaged` and made anew, also
   * when that shows only while it is in use; otherwise it is refused.
   */
  readonly expendable: boolean;
  /** Rows go with those that they refer to. */
  readonly foreignKeys?: boolean;
  /** Memory for pages of the file, in KiB; SQLite's 2000 by default. */
  readonly cacheKib?: number;
  /** Told, in one sentence, when a damaged database was set aside. */
  onReplaced?(message: string): void;
}

/** Another process's write is waited for this long, in ms: batches take less. */
export const BUSY_MS = 5000;

/** An open SQLite file, and which file that is. */
export interface OpenedFile {
  readonly database: DatabaseSync;
  /** undefined: it lies in memory. */
  readonly inode: number | null | undefined;
}

/** Opens or makes the file at `path`. @throws {WormholeError} as `Database.open`, CORRUPT for a damaged one. */
export function openFile(path: string, options: DatabaseOptions): OpenedFile {
  const end = performance.now() + BUSY_MS;
  for (;;) {
    let database: DatabaseSync | undefined;
    try {
      // Nobody replaces the file while it is opened: two processes with one log and different files would harm both.
      using _lock = lockBeside(path, { exclusive: false });
      database = new DatabaseSync(path);
      migrate(database, path, options);
      return { database, inode: inodeOf(path) };
    } catch (error) {
      database?.close();
      // Of two that begin the log of a new file at once SQLite turns one away without waiting for the other.
      if (!isBusy(error) || performance.now() >= end) {
        throw databaseError(error, `Cannot open ${options.what} "${path}"`);
      }
      Atomics.wait(PAUSE, 0, 0, LOCK_STEP_MS);
    }
  }
}

/** Sets the damaged file `inode` aside, unless another process has, and opens what is there then. */
export function replaceFile(path: string, options: DatabaseOptions, inode: OpenedFile["inode"]): OpenedFile {
  let isOurs: boolean;
  {
    using _lock = lockBeside(path, { exclusive: true });
    isOurs = inodeOf(path) === inode;
    // A newer program that has changed the tables meanwhile looks like damage from here.
    if (isOurs && versionOf(path) <= options.migrations.length) setAside(path, "damaged");
    else isOurs = false;
  }
  const { what, onReplaced } = options;
  if (isOurs) {
    onReplaced?.call(
      options,
      `${capital(what)} "${path}" was damaged; it is set aside as "${path}.damaged" and made anew`,
    );
  }
  return openFile(path, options);
}

/** Gives the version of the tables at `path`; 0 when nobody can tell. */
function versionOf(path: string): number {
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(path, { readOnly: true });
    return (database.prepare("PRAGMA user_version").get() as { user_version: number }).user_version;
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    return 0;
  } finally {
    database?.close();
  }
}

/** Tells whether `error` says that a file is damaged which can be made anew. */
export function isReplaceable(
  error: unknown,
  { path, expendable }: { path: string; expendable: boolean },
): boolean {
  return expendable && path !== ":memory:" && error instanceof WormholeError && error.code === "CORRUPT";
}

/** Gives which file is at `path`: undefined when there is none. */
export function inodeOf(path: string): number | null | undefined {
  try {
    return path === ":memory:" ? undefined : Deno.statSync(path).ino;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    return null;
  }
}

function migrate(
  database: DatabaseSync,
  path: string,
  { what, migrations, foreignKeys = false, cacheKib }: DatabaseOptions,
): void {
  database.exec(`
    PRAGMA busy_timeout = ${BUSY_MS}; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;
    PRAGMA foreign_keys = ${foreignKeys ? "ON" : "OFF"};
    ${cacheKib === undefined ? "" : `PRAGMA cache_size = -${cacheKib};`}
  `);
  const version = () =>
    Number((database.prepare("PRAGMA user_version").get() as { user_version: number }).user_version);
  const refuse = () => {
    throw new WormholeError(
      "VERSION_UNSUPPORTED",
      `Cannot use ${what} "${path}": a newer version of wormhole made it; use that version, or move the file away`,
    );
  };
  if (version() > migrations.length) refuse();
  if (version() === migrations.length) {
    return void database.prepare("SELECT count(*) FROM sqlite_schema").get();
  }
  database.exec("BEGIN IMMEDIATE");
  // Another process may have done it while this one waited.
  for (const step of migrations.slice(version())) database.exec(step);
  database.exec(`PRAGMA user_version = ${migrations.length}; COMMIT;`);
}

/** SQLite's primary result codes (sqlite.org/rescode.html) that mean more than "it failed". */
const FULL = 13,
  CORRUPT = 11,
  NOT_A_DATABASE = 26,
  READ_ONLY = 8,
  BUSY = 5,
  CANNOT_OPEN = 14,
  CONSTRAINT = 19;

// Nothing here ever breaks a constraint of its own tables: where one is broken, table and index disagree. Deno's
// exec() gives no result code, so that the words count as well.
/** What SQLite says when its tables are not those that the version number promises, or a number was never ours. */
const DAMAGE =
  /malformed|not a database|no such (table|column|index)|already exists|has \d+ columns|too large to be represented|constraint failed/;

/** Gives what SQLite threw as a WormholeError; `what` begins its message. */
export function databaseError(cause: unknown, what: string): unknown {
  if (cause instanceof WormholeError || !(cause instanceof Error)) return cause;
  const errcode = Number((cause as { errcode?: number }).errcode ?? 0) & 0xff;
  const state = cause.message;
  if (errcode === CORRUPT || errcode === NOT_A_DATABASE || errcode === CONSTRAINT || DAMAGE.test(state)) {
    return new WormholeError("CORRUPT", `${what}: the file is damaged (${state})`, { cause });
  }
  if (errcode === FULL || /disk is full/.test(state)) {
    return new WormholeError("NO_SPACE", `${what}: the disk is full`, { cause });
  }
  if (errcode === READ_ONLY || /readonly/.test(state)) {
    return new WormholeError("READ_ONLY", `${what}: it is read-only`, { cause });
  }
  if (isBusy(cause)) {
    return new WormholeError("TIMEOUT", `${what}: another process has used it for ${BUSY_MS / 1000} s`, {
      cause,
    });
  }
  if (errcode === CANNOT_OPEN || /unable to open/.test(state)) {
    return new WormholeError("PERMISSION_DENIED", `${what}: it cannot be opened or made there`, { cause });
  }
  return new WormholeError("IO", `${what}: ${state}`, { cause });
}

function isBusy(error: unknown): boolean {
  if (!(error instanceof Error) || error instanceof WormholeError) return false;
  return (Number((error as { errcode?: number }).errcode ?? 0) & 0xff) === BUSY ||
    /locked/.test(error.message);
}

/** Moves a database out of the way, to `<path>.<why>`; an older one of that name goes. Under the exclusive lock. */
export function setAside(path: string, why: "damaged" | "newer"): void {
  // The log first: what is opened as a new database at the name must not find an old one's.
  for (const log of [`${path}-wal`, `${path}-shm`]) {
    try {
      Deno.removeSync(log);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  Deno.renameSync(path, `${path}.${why}`);
}

/** Locks `<path>.lock` against other processes; where that is impossible there is no lock. */
function lockBeside(path: string, { exclusive }: { exclusive: boolean }): Disposable {
  let lock: FileLock | undefined;
  if (path !== ":memory:") {
    try {
      const end = performance.now() + BUSY_MS;
      // Held for the milliseconds of an opening; whoever stops in the middle of one must not stop the others.
      while ((lock = FileLock.try(`${path}.lock`, { exclusive })) === undefined && performance.now() < end) {
        Atomics.wait(PAUSE, 0, 0, LOCK_STEP_MS);
      }
    } catch (error) {
      if (!isWormholeError(error)) throw error;
    }
  }
  return { [Symbol.dispose]: () => lock?.[Symbol.dispose]() };
}

const PAUSE = new Int32Array(new SharedArrayBuffer(4));

/** Between two tries to lock, in ms. */
const LOCK_STEP_MS = 5;

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
