import { isWormholeError, WormholeError } from "../../base/errors.ts";
import {
  brake,
  copy,
  type CopyOptions,
  type CopyOutcome,
  type Deletions,
  type Existing,
  forgetStopped,
  type Places,
  placesOf,
  preserveOf,
  systemDisk,
  type Wanted,
  wasStopped,
} from "../../copy/mod.ts";
import type { Attribute } from "../../copy/policy.ts";
import type { Context } from "../context.ts";
import { CopyShow } from "../copy_show.ts";
import { counted } from "../format.ts";
import { askYesNo } from "../prompt.ts";
import type { CopyArgs } from "../table.ts";

/**
 * Runs `wormhole copy`.
 *
 * @throws {WormholeError} USAGE; what `placesOf` and `copy` throw; BRAKED when the brake holds; PARTIAL when some
 * entries failed; the signal's reason.
 */
export async function run(context: Context<CopyArgs>): Promise<void> {
  const { args, clock, signal } = context;
  refuseAlone(args);
  const { roots, refused } = await placesFor(context);
  const started = clock.monotonic();
  const show = new CopyShow(context, args);
  for (const refusal of refused) show.problem(refusal);
  const braked: { reason?: string } = {};
  const outcome = await copy({
    ...optionsOf(context),
    countAhead: show.showsProgress,
    roots,
    // A file alone has nothing to note.
    ...(args.resume || roots.some(({ folder }) => folder)) && {
      journalIn: { stateDir: context.settings.folders.stateDir, nowMs: clock.now() },
    },
    onProgress: (progress) => show.progress(progress),
    onChange: (change) => show.change(change),
    onProblem: (problem) => show.problem(problem),
    mayDelete: async (deletions) => {
      // A source that was refused is a failure as well, of which the native side knows nothing.
      const all = { ...deletions, failed: deletions.failed + refused.length };
      braked.reason = await unlessDeleting(all, context);
      return braked.reason === undefined;
    },
    signal,
  });
  show.end(outcome.progress);
  const failed = outcome.progress.failed + refused.length;
  emitEnd(outcome, { failed, durationMs: clock.monotonic() - started, context });
  signal.throwIfAborted();
  if (braked.reason !== undefined) {
    throw new WormholeError("BRAKED", `Cannot delete what the source does not have: ${braked.reason}`);
  }
  if (failed > 0) {
    throw new WormholeError(
      "PARTIAL",
      `Cannot copy everything: ${counted(failed, "entry", "entries")} failed`,
    );
  }
}

/**
 * Gives each source its target. A destination that an earlier run of the same command made is that, and not a folder to put things into,
 * for the run that goes on with it.
 */
async function placesFor({ args, settings }: Context<CopyArgs>): Promise<Places> {
  const wanted = {
    paths: args.path,
    into: args.targetDirectory,
    exactly: args.noTargetDirectory,
    sync: args.sync,
    deletes: args.delete,
  };
  const exact = args.path.length === 2 && wanted.into === undefined ? exactly(wanted) : undefined;
  if (exact !== undefined) {
    const { stateDir } = settings.folders;
    if (args.resume && await wasStopped(stateDir, exact.roots)) return exact;
    // What is begun now is begun anew.
    if (!args.resume && !args.dryRun) await forgetStopped(stateDir, exact.roots);
  }
  return placesOf(wanted, systemDisk);
}

/** Gives the only source the destination's own name; undefined where it cannot have it. */
function exactly(wanted: Wanted): Places | undefined {
  try {
    return placesOf({ ...wanted, exactly: true }, systemDisk);
  } catch (error) {
    if (isWormholeError(error)) return undefined;
    throw error;
  }
}

/** Refuses flags that mean something only together with others. */
function refuseAlone(args: CopyArgs): void {
  const needs = (flag: string, given: boolean, other: string, there: boolean) => {
    if (given && !there) throw new WormholeError("USAGE", `Cannot use --${flag}: it is for --${other}`);
  };
  needs("delete", args.delete, "sync", args.sync);
  needs("checksum", args.checksum, "sync", args.sync);
  needs("max-delete", args.maxDelete !== undefined, "delete", args.delete);
  needs("yes", args.yes, "delete", args.delete);
}

function optionsOf(
  { args }: Context<CopyArgs>,
): Omit<CopyOptions, "roots"> {
  const existing: Existing = args.sync ? "differs" : args.update ? "newer" : args.skip ? "skip" : "replace";
  return {
    existing,
    checksum: args.checksum,
    deletes: args.delete,
    dryRun: args.dryRun,
    itemize: args.dryRun || args.verbose > 0,
    preserve: preserveOf(attributesOf(args), { isRoot: Deno.uid() === 0 }),
    exclude: args.exclude,
    oneFileSystem: args.oneFileSystem,
    method: args.method,
    directIo: args.directIo,
    sparse: args.sparse === undefined ? "keep" : args.sparse ? "make" : "fill",
    preallocate: args.preallocate,
    bufferSize: args.bufferSize ?? 0,
    threads: args.cpuCount ?? 0,
    pin: args.cpuCount !== undefined,
    queueDepth: args.queueDepth ?? 0,
    maxFilesInFlight: args.maxFilesInFlight ?? 0,
    verify: args.verify,
    fsync: args.fsync,
    retries: args.retries,
    resume: args.resume,
  };
}

function attributesOf(args: CopyArgs) {
  const off: readonly (readonly [Attribute, boolean])[] = [
    ["mode", args.noMode],
    ["owner", args.noOwner],
    ["times", args.noTimes],
    ["xattrs", args.noXattrs || args.preserveXattrs === false],
    ["acl", args.noAcl],
    ["hardlinks", args.noHardlinks || args.preserveHardlinks === false],
    ["specials", args.noSpecials],
    ["flags", args.noFlags],
  ];
  const also: Attribute[] = [];
  if (args.preserveHardlinks) also.push("hardlinks");
  if (args.preserveXattrs) also.push("xattrs");
  return { only: args.preserve, also, not: off.filter(([, not]) => not).map(([attribute]) => attribute) };
}

/** Shows what would be deleted, and asks where it is much; gives the reason why nothing is deleted. */
async function unlessDeleting(deletions: Deletions, context: Context<CopyArgs>): Promise<string | undefined> {
  const { args, output, terminal, signal } = context;
  const { entries, directories, of } = deletions;
  if (entries === 0) return undefined;
  const reason = brake(deletions, { limit: args.maxDelete, allowed: args.yes });
  output.emit({ event: "deletions", entries, directories, of, reason: reason ?? null });
  if (reason === undefined || args.dryRun) return undefined;
  const told = `${entries} of ${counted(of, "entry", "entries")}: ${reason}`;
  if (!terminal.interactive || args.json) return told;
  output.pause();
  try {
    const yes = await askYesNo(`Delete ${told}?`, { terminal, signal, fallback: false });
    return yes ? undefined : told;
  } finally {
    output.resume();
  }
}

function emitEnd(
  { progress, methods, interrupted }: CopyOutcome,
  { failed, durationMs, context }: { failed: number; durationMs: number; context: Context<CopyArgs> },
): void {
  const { output, args, log } = context;
  output.emit({
    event: "copied",
    files: progress.files,
    directories: progress.directories,
    symlinks: progress.symlinks,
    specials: progress.specials,
    hardlinks: progress.hardlinks,
    bytes: progress.bytes,
    unchanged: progress.unchanged,
    deleted: progress.deleted,
    failed,
    duration_ms: Math.round(durationMs),
    methods,
    dry_run: args.dryRun,
    interrupted,
  });
  const used = Object.entries(methods).filter(([, files]) => files > 0);
  if (used.length > 0) {
    log.info(used.map(([method, files]) => `${method}: ${counted(files, "file")}`).join(", "));
  }
}
