import { type ErrorCode, isWormholeError, WormholeError } from "../base/errors.ts";
import { type FoldersOptions, type FolderThere, syncFolders } from "../sync/folders.ts";
import type { LookAhead } from "../sync/look_ahead.ts";
import { ALPHA, type Change } from "../sync/plan.ts";
import type { SyncEvent } from "../sync/synchronize.ts";
import { FolderWatch } from "../sync/watch.ts";
import type { Context } from "./context.ts";
import type { OutputEvent } from "./events.ts";
import { wakeWhenFree } from "./lock_wake.ts";
import type { SyncChangeEvent, SyncedEvent, SyncedSide } from "./events_sync.ts";
import type { FarLink } from "./far_link.ts";
import type { FarFolder } from "./far_path.ts";
import { counted } from "./format.ts";
import { askYesNo } from "./prompt.ts";
import { holderName } from "./commands/locks.ts";
import { peerNames } from "./commands/peers.ts";
import { SyncLive } from "./sync_live.ts";
import type { SyncArgs } from "./table.ts";

/** What `wormhole sync` has begun before this was loaded. */
export interface Begun {
  readonly far: FarFolder | undefined;
  readonly link: FarLink | undefined;
  readonly looks: readonly LookAhead[];
  /** `arrived` is called when something has changed at the other machine. */
  readonly news: { arrived(): void };
}

/**
 * Runs `wormhole sync` from there on.
 *
 * @throws {WormholeError} BRAKED or BUSY before anything is changed; PARTIAL when something could not be done; CONFLICTS
 * when both versions of something had to be kept; what the folders throw. With --watch only what ends it, and what keeps
 * the first run from beginning.
 */
export async function runSync(context: Context<SyncArgs>, { far, link, looks, news }: Begun): Promise<void> {
  const { args } = context;
  await using live = await SyncLive.open(context);
  if (!args.watch) return void await runOnce(context, link, live, { looks });
  const roots = [args.alpha, args.beta].filter((_, side) => side !== far?.side);
  await keepSame(context, { roots, link, live, looks, news });
}

async function keepSame(
  context: Context<SyncArgs>,
  { roots, link, live, looks, news }: Omit<Begun, "far"> & { roots: readonly string[]; live: SyncLive },
): Promise<never> {
  const { args, output, clock, signal } = context;
  const onWarning = (message: string) => {
    live.take({ event: "warning", message });
    output.emit({ event: "warning", message });
  };
  // Before the first look, so that no change falls between it and the watch.
  using watch = FolderWatch.open({ roots, intervalMs: args.interval, clock, onWarning });
  news.arrived = () => watch.touch();
  for (let run = 0;; run++) {
    let left: ReadonlySet<string> = new Set();
    let isBusy = false;
    try {
      if (await runOnce(context, link, live, { looks, onLeft: (keys) => void (left = keys) }) > 0) {
        watch.touch();
      }
    } catch (error) {
      if (signal.aborted || !isWormholeError(error) || (run === 0 && !LATER.includes(error.code))) {
        throw error;
      }
      // What is settled or repaired meanwhile is seen by a later look.
      if (!LATER.includes(error.code)) onWarning(error.message);
      isBusy = error.code === "BUSY";
      if (error.code === "PARTIAL" || error.code === "BUSY") await clock.sleep(RETRY_MS, { signal });
    }
    await link?.watch();
    // A session that is gone is made anew at once.
    using _lost = link?.onLost(() => watch.touch());
    // Nor is the end of a lock, or of somebody else's run, a change that a watch sees; what is locked there, the other machine tells.
    using _free = wakeWhenFree(left, context, () => watch.touch());
    using _retry = isBusy ? clock.timer(BUSY_MS, () => watch.touch()) : undefined;
    await watch.next(signal);
  }
}

/** Failures of a run after which the next one may do better. */
const LATER: readonly ErrorCode[] = ["PARTIAL", "CONFLICTS", "BUSY"];

/** Rest after a run that left something, in ms: a file that cannot be read is not tried all the time. */
const RETRY_MS = 1000;

/** Longest time until another look after a run that found a folder locked, in ms. */
const BUSY_MS = 10_000;

type About = Pick<FoldersOptions, "looks" | "onLeft">;

/** Gives how many entries were left because somebody changed them meanwhile. */
async function runOnce(
  context: Context<SyncArgs>,
  link: FarLink | undefined,
  live: SyncLive,
  about: About,
): Promise<number> {
  const runIt = async (there: FolderThere | undefined) => {
    live.begin();
    try {
      return await runWith(context, there, live, about);
    } catch (error) {
      live.fail(error);
      throw error;
    }
  };
  return link === undefined ? await runIt(undefined) : await link.run(runIt, { forEver: context.args.watch });
}

async function runWith(
  context: Context<SyncArgs>,
  there: FolderThere | undefined,
  live: SyncLive,
  about: About,
): Promise<number> {
  const { args, config, settings, output, clock, signal, terminal, log } = context;
  const tell = (event: OutputEvent, { isShown = true } = {}) => {
    live.take(event);
    if (isShown) output.emit(event);
  };
  const started = clock.monotonic();
  // A person wants a summary; the changes of a first run would be thousands of lines.
  const tellsChanges = args.json || args.dryRun || args.verbose > 0;
  const locked: (SyncEvent & { kind: "locked" })[] = [];
  const outcome = await syncFolders({
    ...args,
    ...about,
    ...there && { there },
    mode: args.mode,
    stateDir: settings.folders.stateDir,
    cacheDir: config.cacheDir,
    maxChunks: config.dedupIndexSize,
    machine: Deno.hostname(),
    confirm: (reason) => confirm(reason, context),
    onEvent(event: SyncEvent) {
      const side = "side" in event ? sideName(event.side) : undefined;
      if (event.kind === "problem") {
        tell({ event: "file_failed", name: event.path, code: event.code, message: event.message });
      } else if (event.kind === "skipped") log.info(event.message);
      else if (event.kind === "locked") locked.push(event);
      else if (event.kind === "merged") tell({ event: "sync_merged", name: event.path });
      else if (event.kind === "conflict") {
        const { path: name, kind, winner, copy = null } = event.conflict;
        tell({
          event: "sync_conflict",
          name,
          kind,
          winner: winner === undefined ? null : sideName(winner),
          copy,
        });
      } else tell(changeEvent(side!, event.change), { isShown: tellsChanges });
    },
    onWarning: (message) => tell({ event: "warning", message }),
    clock,
    now: () => clock.now(),
    signal,
  });
  const names = locked.some(({ holder }) => typeof holder === "object")
    ? await peerNames(context)
    : undefined;
  for (const { side, path: name, owner, holder, expiresMs } of locked) {
    const machine = typeof holder === "object"
      ? names?.get(holder.key) ?? null
      : holderName(holder, there?.name ?? null);
    const until = new Date(expiresMs).toISOString();
    tell({ event: "sync_locked", side: sideName(side), name, owner, machine, until });
  }
  const {
    changes,
    removed,
    bytes,
    conflicts,
    merged,
    locked: left,
    problems: failed,
    skipped,
    postponed,
    entries,
  } = outcome;
  const side = (at: 0 | 1): SyncedSide => ({ changes: changes[at], trashed: removed[at], bytes: bytes[at] });
  const isQuiet = changes[0] + changes[1] + conflicts + failed + postponed + left === 0;
  const synced: SyncedEvent = {
    event: "synced",
    alpha: side(0),
    beta: side(1),
    conflicts,
    merged,
    failed,
    skipped,
    postponed,
    locked: left,
    entries,
    dry_run: args.dryRun,
    duration_ms: Math.round(clock.monotonic() - started),
  };
  tell(synced, { isShown: !isQuiet || (!args.watch && (args.json || args.dryRun || terminal.interactive)) });
  await live.end(synced);
  if (args.dryRun || args.watch && failed + conflicts === 0) return postponed;
  if (failed + postponed + left > 0) {
    const what = counted(failed + postponed + left, "entry is", "entries are");
    throw new WormholeError("PARTIAL", `Cannot synchronize everything: ${what} left`);
  }
  if (conflicts > 0) {
    throw new WormholeError(
      "CONFLICTS",
      `Cannot decide ${counted(conflicts, "conflict")}: both versions are kept`,
    );
  }
  return 0;
}

async function confirm(
  reason: string,
  { args, output, terminal, signal }: Context<SyncArgs>,
): Promise<boolean> {
  if (args.yes) return true;
  if (!terminal.interactive || args.json) return false;
  output.pause();
  try {
    return await askYesNo(`${reason}. Go on?`, { terminal, signal, fallback: false });
  } finally {
    output.resume();
  }
}

function sideName(side: 0 | 1): "alpha" | "beta" {
  return side === ALPHA ? "alpha" : "beta";
}

function changeEvent(side: "alpha" | "beta", change: Change): SyncChangeEvent {
  const from = change.do === "move" ? change.from : null;
  return { event: "sync_change", side, action: actionOf(change), name: change.path, from };
}

function actionOf(change: Change): SyncChangeEvent["action"] {
  switch (change.do) {
    case "make":
      return "create";
    case "put":
      return change.was < 0 ? "create" : "replace";
    case "move":
      return "move";
    case "mode":
      return "permissions";
    default:
      return "trash";
  }
}
