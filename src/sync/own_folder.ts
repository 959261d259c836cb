/** Sync's own folder below a root: whose root it is, a lock, what the file system can do, old trash. */
import { isWormholeError, WormholeError } from "../base/errors.ts";
import { join } from "../base/paths.ts";
import { FileLock } from "../native/file_lock.ts";
import { OWN_FOLDER, STAGING, TRASH, trashTime } from "./places.ts";
import type { Abilities } from "./policy.ts";

/** Name of the file that says which root this is. */
const IDENTITY = "root";

/** Name of the file that says when there was a look at the trash: two times, ms since 1970, the earlier first. */
const LOOKS = "looks";

/** Between the two, in ms: a clock that is wrong for less does no harm. */
const LOOK_MS = 24 * 60 * 60 * 1000;

const IDENTITY_PATTERN = /^[0-9a-f]{32}$/;

/** A locked own folder; dispose it to let others in. */
export interface OwnFolder extends Disposable {
  /** 32 hex digits, made at random when the folder was first synchronized. */
  readonly identity: string;
  /** It was made just now: this root was never synchronized, or it is not the one that it was. */
  readonly isNew: boolean;
  /** The {@linkcode restingState} in which this run found it; undefined where there was no own folder. */
  readonly found: string | undefined;
  /**
   * Nothing but this own folder is at its path: no other folder took the place of the root, as when its disk goes away.
   *
   * @throws {WormholeError} BRAKED.
   */
  assertThere(): void;
}

/**
 * Opens and locks the own folder of `root`, makes it where there is none, and empties its staging.
 *
 * @throws {WormholeError} BUSY when another run has it; what the disk says.
 */
export async function openOwnFolder(root: string): Promise<OwnFolder> {
  const own = join(root, OWN_FOLDER);
  const verb = `Cannot synchronize "${root}"`;
  try {
    await Deno.mkdir(own, { mode: 0o700 }).catch((error) => {
      if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
    });
    if (!await isOwnFolder(root)) {
      throw new WormholeError("NOT_DIRECTORY", `${verb}: the "${OWN_FOLDER}" in it is no folder`);
    }
    const lock = await lockOf(own);
    if (lock === undefined) throw new WormholeError("BUSY", `${verb}: another run is at work on it`);
    try {
      const { dev, ino } = await Deno.lstat(own);
      const assertThere = () => {
        const now = statIn(root);
        if (now !== undefined && now.dev === dev && now.ino === ino) return;
        throw new WormholeError(
          "BRAKED",
          `${verb}: it is not the folder that it was when the run began; is its disk mounted?`,
        );
      };
      const found = lastOpening(root);
      await Deno.remove(join(root, STAGING), { recursive: true }).catch(ignoreMissing);
      for (const folder of [STAGING, TRASH]) {
        await Deno.mkdir(join(root, folder), { recursive: true, mode: 0o700 });
      }
      const { identity, isNew } = await identityOf(own);
      return { identity, isNew, found, assertThere, [Symbol.dispose]: () => lock[Symbol.dispose]() };
    } catch (error) {
      lock[Symbol.dispose]();
      throw error;
    }
  } catch (error) {
    throw diskFailure(error, verb);
  }
}

/**
 * Tells whether `root` has an own folder. A symlink is none: what is below it would be staged, trashed and removed, and what is there
 * may be somebody else's.
 */
async function isOwnFolder(root: string): Promise<boolean> {
  return (await Deno.lstat(join(root, OWN_FOLDER))).isDirectory;
}

function statIn(root: string): Deno.FileInfo | undefined {
  try {
    return Deno.lstatSync(join(root, OWN_FOLDER));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) return undefined;
    throw error;
  }
}

/** Locks the own folder; undefined when another run has it, and not only somebody who looks whether one has. */
async function lockOf(own: string): Promise<FileLock | undefined> {
  for (let tries = LOCK_TRIES;; tries--) {
    const lock = FileLock.try(join(own, "lock"));
    if (lock !== undefined || tries === 1) return lock;
    await new Promise((resolve) => setTimeout(resolve, LOCK_PAUSE_MS));
  }
}

/** Tries to lock; {@linkcode restingState} has the lock for less than a pause, in ms. */
const LOCK_TRIES = 3, LOCK_PAUSE_MS = 10;

/**
 * Gives what stands for the state of `root` between two runs: it is another one after each. undefined while a run is at work on it,
 * and where there never was one.
 */
export function restingState(root: string): string | undefined {
  const own = join(root, OWN_FOLDER);
  if (!Deno.lstatSync(own).isDirectory) return undefined;
  using lock = FileLock.try(join(own, "lock"), { exclusive: false });
  return lock && lastOpening(root);
}

/** Gives when and as what the staging folder was made, as each run does; undefined where it is not there. */
function lastOpening(root: string): string | undefined {
  try {
    return [OWN_FOLDER, STAGING].flatMap((folder) => {
      const { ino, mtime, birthtime } = Deno.lstatSync(join(root, folder));
      return [ino, folder === OWN_FOLDER ? mtime?.getTime() : undefined, birthtime?.getTime()];
    }).join(" ");
  } catch (error) {
    ignoreMissing(error);
    return undefined;
  }
}

/** Gives which root it is; undefined for one that was never synchronized. */
export async function identityIn(root: string): Promise<string | undefined> {
  try {
    if (!await isOwnFolder(root)) return undefined;
    const identity = (await Deno.readTextFile(join(root, OWN_FOLDER, IDENTITY))).trim();
    return IDENTITY_PATTERN.test(identity) ? identity : undefined;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) return undefined;
    throw diskFailure(error, `Cannot synchronize "${root}"`);
  }
}

/** Finds out what the file system of a root can do, in its own folder. */
export async function probe(root: string): Promise<Abilities> {
  const folder = await Deno.makeTempDir({ dir: join(root, STAGING) });
  try {
    const file = join(folder, "probe-\u00e9");
    await Deno.writeFile(file, new Uint8Array(1), { mode: 0o640 });
    const isThere = (name: string) => Deno.lstat(join(folder, name)).then(() => true, () => false);
    await Deno.chmod(file, 0o604).catch(() => {});
    const symlinks = await Deno.symlink("nowhere", join(folder, "link")).then(() => true, () => false);
    return {
      foldsCase: await isThere("PROBE-\u00e9"),
      normalizes: await isThere("probe-e\u0301"),
      permissions: ((await Deno.lstat(file)).mode ?? 0) % 0o1000 === 0o604,
      symlinks,
    };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/**
 * Removes what is in the trash for longer than `keepMs`. A clock that has jumped must not empty it, so what counts is the time of an
 * earlier look, at least a day ago by the clock; only with 0 everything goes at once.
 */
export async function emptyTrash(
  root: string,
  { keepMs, now }: { keepMs: number; now: number },
): Promise<void> {
  const trash = join(root, TRASH);
  const names = await Array.fromAsync(Deno.readDir(trash), ({ name }) => name);
  if (names.length === 0) return;
  const seen = keepMs === 0 ? now : await seenAt(join(root, OWN_FOLDER, LOOKS), now);
  for (const name of names) {
    const time = trashTime(name);
    if (time !== undefined && time < seen - keepMs) await Deno.remove(join(trash, name), { recursive: true });
  }
}

/** Notes a look at `now`, once a day, and gives the time of the one before; that is `now` where there was none. */
async function seenAt(path: string, now: number): Promise<number> {
  const text = await Deno.readTextFile(path).catch(() => "");
  const [before = now, last = before] = /^\d{1,15} \d{1,15}\n$/.test(text) ? text.split(" ").map(Number) : [];
  const looks = now < last
    ? [Math.min(before, now), now] // the clock was set back
    : now - last >= LOOK_MS
    ? [last, now]
    : [before, last];
  const line = `${looks.join(" ")}\n`;
  if (line !== text) await Deno.writeTextFile(path, line);
  return looks[0]!;
}

async function identityOf(own: string): Promise<{ identity: string; isNew: boolean }> {
  const path = join(own, IDENTITY);
  try {
    const identity = (await Deno.readTextFile(path)).trim();
    if (IDENTITY_PATTERN.test(identity)) return { identity, isNew: false };
  } catch (error) {
    ignoreMissing(error);
  }
  const identity = crypto.getRandomValues(new Uint8Array(16)).toHex();
  // Half a file would be another root.
  await Deno.writeTextFile(`${path}.new`, `${identity}\n`);
  await Deno.rename(`${path}.new`, path);
  return { identity, isNew: true };
}

function ignoreMissing(error: unknown): void {
  if (!(error instanceof Deno.errors.NotFound)) throw error;
}

/** Gives what the disk said of a root as a failure that begins with `verb`; whatever else it is stays as it is. */
export function diskFailure(error: unknown, verb: string): unknown {
  if (isWormholeError(error) || !(error instanceof Error)) return error;
  const { code: system } = error as { code?: unknown };
  // Faults of the program have no name of an errno.
  if (typeof system !== "string" || !/^E[A-Z0-9]+$/.test(system)) return error;
  const [code, state] = error instanceof Deno.errors.PermissionDenied
    ? ["PERMISSION_DENIED", "its folder cannot be written"] as const
    : error instanceof Deno.errors.NotFound
    ? ["NOT_FOUND", "it is not there any more"] as const
    : error instanceof Deno.errors.NotADirectory
    ? ["NOT_DIRECTORY", "it is no folder"] as const
    : system === "EROFS"
    ? ["READ_ONLY", "its disk is read-only"] as const
    : system === "ENOSPC"
    ? ["NO_SPACE", "its disk is full"] as const
    : ["IO", error.message] as const;
  return new WormholeError(code, `${verb}: ${state}`, { cause: error });
}
