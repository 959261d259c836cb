/** Two folders are made the same, at least one of them of this machine: one run with everything that it needs. */
import type { Clock } from "../base/clock.ts";
import { WormholeError } from "../base/errors.ts";
import { join } from "../base/paths.ts";
import { hashBuffer } from "../native/hash.ts";
import { NativeQueue } from "../native/queue.ts";
import { isIn, type Way } from "../peers/mod.ts";
import { openIndex } from "../store/mod.ts";
import type { MaxDelete } from "./brakes.ts";
import { LockBook } from "../locks/mod.ts";
import { LocalEnd } from "./local_end.ts";
import { Bases } from "./bases.ts";
import { MergeFolder, mergeWords } from "./merge_folder.ts";
import { emptyTrash, openOwnFolder, type OwnFolder, probe } from "./own_folder.ts";
import type { Look, LookAhead } from "./look_ahead.ts";
import type { SummedWalk } from "./open_walk.ts";
import { LocksBelow } from "./locks_below.ts";
import { EmptyFolder, makeFolder, placeFor, realFolder } from "./missing_folder.ts";
import { conflictName, OWN_FOLDER } from "./places.ts";
import { Quiet } from "./quiet.ts";
import { type Abilities, ALL_ABILITIES, type Mode, type Permissions, type Preference } from "./policy.ts";
import { ALPHA, BETA, type Side } from "./plan.ts";
import { PageCache } from "./remote/page_cache.ts";
import type { RemoteEnd } from "./remote/remote_end.ts";
import type { SyncSession } from "./remote/session.ts";
import { Snapshot } from "./snapshot.ts";
import { SyncState } from "./state.ts";
import { type Outcome, type SyncEvent, synchronize } from "./synchronize.ts";

/** A day, in ms. */
const DAY_MS = 24 * 60 * 60 * 1000;

/** A folder of another machine. */
export interface FolderThere {
  /** What that machine is called here. */
  readonly name: string;
  /** The side that it is. */
  readonly side: Side;
  readonly session: SyncSession;
  /** What that machine calls it. */
  readonly path: string;
  /** Changes there are to be told from the beginning of this run on. */
  readonly isWatched: boolean;
}

/** What {@linkcode syncFolders} needs. */
export interface FoldersOptions {
  readonly alpha: string;
  readonly beta: string;
  /** The one that is not of this machine; none when left out. */
  readonly there?: FolderThere;
  readonly mode: Mode;
  readonly prefer: Preference;
  readonly permissions: Permissions;
  /** Symlinks are left alone. */
  readonly skipSymlinks: boolean;
  readonly exclude: readonly string[];
  readonly oneFileSystem: boolean;
  /** Looks at folders of this machine that have begun already. */
  readonly looks?: readonly LookAhead[];
  readonly maxDelete: MaxDelete;
  /** Days for which displaced files stay in the trash. */
  readonly trashDays: number;
  readonly dryRun: boolean;
  /** Command that merges text which both have edited (`merge_folder.ts`); for two ways. */
  readonly merge?: string;
  /** Begin as if these folders had never been synchronized; nothing is deleted then. */
  readonly forget: boolean;
  /** Where what is known of pairs is kept. */
  readonly stateDir: string;
  /** Where the index of known content is. */
  readonly cacheDir: string;
  /** Most chunks that the index remembers. */
  readonly maxChunks: number;
  /** What this machine is called in names of conflict copies. */
  readonly machine: string;
  /** Asks whether to go on although a brake says this. */
  confirm?(reason: string): Promise<boolean>;
  onEvent?(event: SyncEvent): void;
  /** Told at the end, however it came, the keys of the locks of this machine that made this run leave something. */
  onLeft?(keys: ReadonlySet<string>): void;
  onWarning?(sentence: string): void;
  readonly clock: Clock;
  /** ms since 1970. */
  readonly now: () => number;
  readonly signal?: AbortSignal;
}

/** How it ended. */
export interface FoldersOutcome extends Outcome {
  /** Paths that were left since somebody has locked them; each had an event. */
  readonly locked: number;
}

/**
 * Makes two folders the same.
 *
 * @throws {WormholeError} BRAKED, BUSY, NO_SPACE before anything is changed; INVALID_ARGUMENT when one folder is in the
 * other; NOT_FOUND and its kin; what the disk says.
 */
export async function syncFolders(options: FoldersOptions): Promise<FoldersOutcome> {
  const { dryRun, onWarning, now, signal } = options;
  if (options.merge !== undefined) {
    if (options.mode.startsWith("one-way")) {
      throw new WormholeError("USAGE", `Cannot merge with --mode ${options.mode}: alpha is never changed`);
    }
    mergeWords(options.merge); // before anything is done
  }
  const looked = await options.there?.session.look(options.there.path);
  if (options.there?.isWatched) await options.there.session.watch();
  if (looked !== undefined) mustBeAllowed(options, looked.way);
  const { roots, isBetaMissing } = await rootsOf(options, looked?.place);
  const folder = join(options.stateDir, "sync");
  await Deno.mkdir(folder, { recursive: true, mode: 0o700 });
  const isFlipped = roots[0] > roots[1];
  const path = join(folder, `${pairName(isFlipped ? [roots[1], roots[0]] : roots)}.db`);
  using state = SyncState.open(path, {
    flipped: isFlipped,
    onWarning: (sentence) => onWarning?.call(options, sentence),
  });
  const here = roots.filter((_, side) => side !== options.there?.side);
  if (!options.forget) {
    mustBeTheOnes(here, state);
    if (looked !== undefined && looked.identity === undefined && state.isKnown) {
      throw notTheOne(options.there!.side === ALPHA ? options.alpha : options.beta);
    }
  }
  if (isBetaMissing && !dryRun) await makeFolder(roots[BETA], options.beta);
  using stack = new DisposableStack();
  const own: (Pick<OwnFolder, "identity"> & Partial<OwnFolder> | undefined)[] = [];
  let far: { identity: string; end: RemoteEnd } | undefined;
  for (const [side, root] of roots.entries()) {
    if (side === options.there?.side) {
      // Its pages are remembered beside what is known of the pair.
      const cache = stack.use(PageCache.open(path.replace(/\.db$/, ".pages.db")));
      own.push(far = await options.there.session.begin({ ...options, cache, way: wayOf(options) }));
      continue;
    }
    // A dry run leaves nothing behind, not even a folder of its own.
    const mayOpen = !dryRun || await isFolder(join(root, OWN_FOLDER));
    own.push(mayOpen ? stack.use(await openOwnFolder(root)) : undefined);
  }
  if (options.forget && !dryRun) state.forget();
  const identities: [string, string] = [own[0]?.identity ?? "", own[1]?.identity ?? ""];
  // A dry run looks at an empty folder in the place of one that would be made.
  await using empty = isBetaMissing && dryRun ? await EmptyFolder.make() : undefined;
  await using queue = NativeQueue.open();
  using index = await openIndex(options.cacheDir, options);
  using book = new LockBook(options.stateDir, { clock: options.clock });
  // Those of a folder of the other machine are its own to heed, and to tell.
  const locks = roots.map((root, side) =>
    side === options.there?.side ? undefined : new LocksBelow(root, book)
  );
  using _left = {
    [Symbol.dispose]: () => options.onLeft?.(new Set(locks.flatMap((below) => [...below?.keys ?? []]))),
  };
  const ends = await Promise.all(
    roots.map(async (root, side) =>
      side === options.there?.side ? far!.end : new LocalEnd(side === BETA && empty ? empty.path : root, {
        ...locks[side] && { locks: locks[side] },
        ...own[side]?.assertThere && { assertThere: own[side].assertThere },
        queue,
        exclude: options.exclude,
        oneFileSystem: options.oneFileSystem,
        ahead: (rules) => lookedAt({ root, rules }, own[side]?.found, options),
        abilities: await abilitiesOf(root, own[side] && { identity: identities[side]!, state }, options),
        index,
        now,
        ...signal && { signal },
      })
    ),
  );
  await using _looked = {
    async [Symbol.asyncDispose]() {
      for (const end of ends) if (end instanceof LocalEnd) await end.leave();
    },
  };
  const bases = `${path.replace(/\.db$/, "")}.merge`;
  using kept = options.merge === undefined || dryRun
    ? undefined
    : Bases.open(`${bases}.db`, { onWarning: (sentence) => onWarning?.call(options, sentence) });
  await using merger = kept && await MergeFolder.open({
    folder: bases,
    command: options.merge!,
    bases: kept,
    queue,
    clock: options.clock,
    onWarning: (sentence) => onWarning?.call(options, sentence),
    ...signal && { signal },
  });
  const { mode, prefer, permissions } = options;
  // Somebody who wants to merge also wants what is needed for that kept.
  const quiet = options.merge === undefined && !options.forget
    ? new Quiet({ state, identities, ends: [ends[0]!, ends[1]!], policy: { mode, prefer, permissions } })
    : undefined;
  const entries = await quiet?.entries();
  let latest = entries !== undefined || options.forget
    ? Snapshot.empty(2)
    : state.ancestor(identities) ?? Snapshot.empty(2);
  const done = entries !== undefined ? nothingDone(entries) : await synchronize({
    ends: [ends[0]!, ends[1]!],
    names: [options.alpha, options.beta],
    policy: {
      mode,
      prefer,
      permissions,
      conflictName: (path) => conflictName(path, { machine: options.machine, ms: now() }),
    },
    maxDelete: options.maxDelete,
    ancestor: latest,
    dryRun,
    ...merger && { merger },
    save(agreed) {
      state.save(agreed, identities);
      latest = agreed;
    },
    confirm: (reason) => options.confirm?.(reason) ?? Promise.resolve(false),
    onEvent: (event) => options.onEvent?.(event),
    now,
    ...signal && { signal },
  });
  if (entries === undefined && done.isQuiet && !dryRun) await quiet?.remember(done.entries);
  const tell = (event: SyncEvent) => options.onEvent?.(event);
  const locked = tellLocked(locks, tell) +
    (far === undefined ? 0 : tellLockedThere(far.end, options.there!.side, tell));
  const outcome = { ...done, locked };
  // What is here need not come from another machine.
  await merger?.remember(latest, options.there?.side === ALPHA ? [ends[1]!, ends[0]!] : [ends[0]!, ends[1]!]);
  if (!dryRun) {
    const keepMs = options.trashDays * DAY_MS;
    for (const root of here) {
      await emptyTrash(root, { keepMs, now: now() }).catch((error) => {
        // All is done; what is too old in the trash stays a little longer.
        const state = error instanceof Error ? error.message : String(error);
        onWarning?.call(options, `Cannot empty the trash of "${root}": ${state}`);
      });
    }
  }
  await far?.end.end();
  return outcome;
}

/** Gives the walk of a look that began before this run could. */
function lookedAt(
  look: Pick<Look, "root" | "rules">,
  state: string | undefined,
  { looks, exclude, oneFileSystem, signal }: FoldersOptions,
): SummedWalk | undefined {
  for (const each of looks ?? []) {
    const walk = each.take({ ...look, exclude, oneFileSystem }, state, signal);
    if (walk !== undefined) return walk;
  }
  return undefined;
}

function nothingDone(entries: number): Outcome {
  const none = [0, 0] as const;
  const counts = { conflicts: 0, merged: 0, problems: 0, skipped: 0, postponed: 0, rounds: 1 };
  return { changes: none, removed: none, bytes: none, ...counts, entries, isQuiet: true };
}

/** Tells what was left because somebody has locked it; gives how much. */
function tellLocked(locks: readonly (LocksBelow | undefined)[], onEvent: (event: SyncEvent) => void): number {
  let count = 0;
  for (const [side, below] of locks.entries()) {
    for (const [path, { owner, machine, expiresMs }] of below?.seen ?? []) {
      const holder = machine === undefined ? "here" : { key: machine };
      onEvent({ kind: "locked", side: side as Side, path, owner, holder, expiresMs });
      count++;
    }
  }
  return count;
}

/** Tells what the other machine says of its folder; gives how much is left for that. */
function tellLockedThere({ locked }: RemoteEnd, side: Side, onEvent: (event: SyncEvent) => void): number {
  for (const [path, { owner, holder, expiresMs }] of locked.locks) {
    onEvent({ kind: "locked", side, path, owner, holder, expiresMs });
  }
  return locked.locks.size + locked.more;
}

/** Gives what a run does to the folder of the other machine, as that machine sees it. */
function wayOf({ mode, there }: Pick<FoldersOptions, "mode" | "there">): Way {
  if (!mode.startsWith("one-way")) return "both";
  return there?.side === ALPHA ? "pull" : "push";
}

/** Says what can be done where the other machine gives a right to one way only. */
function mustBeAllowed(options: FoldersOptions, allowed: Way): void {
  if (allowed === "both" || allowed === wayOf(options)) return;
  const { alpha, beta, there } = options;
  const [far, near] = there!.side === ALPHA ? [alpha, beta] : [beta, alpha];
  const [may, folders] = allowed === "pull"
    ? ["read that folder, and not change it", `${far} ${near}`]
    : ["change that folder, and not read it", `${near} ${far}`];
  throw new WormholeError(
    "REFUSED",
    `Cannot synchronize "${far}" that way: ${
      there!.name
    } lets this machine only ${may}; one way is possible: ` +
      `wormhole sync --mode one-way-safe ${folders} (or one-way-replica)`,
  );
}

/**
 * Gives where the folders really are; `place` is that of the other machine, whose key comes before it. Beta may be missing where its
 * parent is there: it will be made.
 */
async function rootsOf(
  { alpha, beta, there }: FoldersOptions,
  place: string | undefined,
): Promise<{ roots: [string, string]; isBetaMissing: boolean }> {
  const far = there && `${there.session.peerKey.toHex()}:${place}`;
  const a = there?.side === ALPHA ? far : await realFolder(alpha);
  if (a === undefined) {
    throw new WormholeError("NOT_FOUND", `Cannot synchronize "${alpha}": there is no such folder`);
  }
  const found = there?.side === BETA ? far : await realFolder(beta);
  const b = found ?? await placeFor(beta);
  if (a === b) throw new WormholeError("INVALID_ARGUMENT", `Cannot synchronize "${alpha}" with itself`);
  if (isIn(a, b) || isIn(b, a)) {
    throw new WormholeError(
      "INVALID_ARGUMENT",
      `Cannot synchronize "${alpha}" and "${beta}": one is in the other`,
    );
  }
  return { roots: [a, b], isBetaMissing: found === undefined };
}

/** A root that was synchronized has sync's own folder; one without it is another one, such as the place of a disk that is not mounted. */
function mustBeTheOnes(roots: readonly string[], state: SyncState): void {
  if (!state.isKnown) return;
  for (const root of roots) {
    try {
      if (Deno.statSync(join(root, OWN_FOLDER, "root")).isFile) continue;
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
    throw notTheOne(root);
  }
}

function notTheOne(root: string): WormholeError {
  const state = "it is not the folder that was synchronized before; is its disk mounted?";
  return new WormholeError("BRAKED", `Cannot synchronize "${root}": ${state}`);
}

function pairName([first, second]: readonly [string, string]): string {
  return hashBuffer(new TextEncoder().encode(`${first}\0${second}`)).toHex().slice(0, 32);
}

async function abilitiesOf(
  root: string,
  known: { identity: string; state: SyncState } | undefined,
  { skipSymlinks }: FoldersOptions,
): Promise<Abilities> {
  let abilities = ALL_ABILITIES;
  if (known !== undefined) {
    const { identity, state } = known;
    abilities = state.abilities(identity) ?? await probe(root);
    if (state.abilities(identity) === undefined) state.keepAbilities(identity, abilities);
  }
  return skipSymlinks ? { ...abilities, symlinks: false } : abilities;
}

async function isFolder(path: string): Promise<boolean> {
  try {
    return (await Deno.stat(path)).isDirectory;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
