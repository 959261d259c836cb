import { WormholeError } from "../../base/errors.ts";
import { conflictCopies, type ConflictCopy, settleConflicts } from "../../sync/mod.ts";
import type { Context } from "../context.ts";
import type { ConflictCopyEvent } from "../events_sync.ts";
import { counted } from "../format.ts";
import type { SyncConflictsArgs } from "../table.ts";

/**
 * Runs `wormhole sync conflicts`.
 *
 * @throws {WormholeError} NOT_FOUND for a path that is none; PARTIAL when some could not be settled; what the folder throws.
 */
export async function run({ args, output, clock, signal }: Context<SyncConflictsArgs>): Promise<void> {
  const root = args.folder.replace(/(.)\/+$/, "$1");
  const all = await conflictCopies(root, { signal });
  const copies = args.path.length === 0
    ? all
    : args.path.flatMap((path) => wanted(all, path.replace(/^\.\//, ""), root));
  const { keep } = args;
  if (keep === undefined) {
    for (const copy of copies) output.emit(event(copy, null));
    return;
  }
  const failed = await settleConflicts(root, { copies, keep, now: clock.now(), signal });
  for (const copy of copies) {
    const failure = failed.find((one) => one.copy === copy);
    if (failure === undefined) output.emit(event(copy, keep));
    else output.emit({ event: "file_failed", name: copy.copy, code: "PARTIAL", message: failure.message });
  }
  if (failed.length > 0) {
    throw new WormholeError(
      "PARTIAL",
      `Cannot settle everything: ${counted(failed.length, "conflict")} left`,
    );
  }
}

function wanted(all: readonly ConflictCopy[], path: string, root: string): ConflictCopy[] {
  const found = all.filter((one) => one.path === path || one.copy === path);
  if (found.length === 0) {
    throw new WormholeError("NOT_FOUND", `Cannot find a conflict of "${path}" in "${root}"`);
  }
  return found;
}

function event(
  { path, copy, machine, time }: ConflictCopy,
  kept: ConflictCopyEvent["kept"],
): ConflictCopyEvent {
  const iso = time.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, "$1-$2-$3T$4:$5:$6Z");
  return { event: "conflict_copy", name: path, copy, machine, time: iso, kept };
}
