/** Transfers into this machine that ended early: where their journal is, which there are, and how they are dropped. */
import { join } from "../base/paths.ts";
import type { Folders } from "../config/paths.ts";
import { cleanLeftover } from "../native/leftover.ts";
import { NativeQueue } from "../native/queue.ts";

import type { Journal, UnfinishedTransfer } from "../store/mod.ts";

/** Opens the journal of this person's transfers, made at first use. @throws {WormholeError} what the disk says. */
export async function openJournal(
  { stateDir }: Pick<Folders, "stateDir">,
  { onReplaced }: { onReplaced?: (message: string) => void } = {},
): Promise<Journal> {
  // SQLite is loaded here and not before.
  const { Journal } = await import("../store/mod.ts");
  await Deno.mkdir(stateDir, { recursive: true, mode: 0o700 });
  return Journal.open(join(stateDir, "transfers.db"), {
    bootId: await bootId(),
    ...onReplaced && { onReplaced },
  });
}

/** Opens the journal; undefined where that fails: a transfer that cannot have one is worth having too. */
export async function openJournalIfPossible(
  folders: Pick<Folders, "stateDir">,
  onWarning?: (sentence: string) => void,
): Promise<Journal | undefined> {
  try {
    return await openJournal(folders, { ...onWarning && { onReplaced: onWarning } });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    onWarning?.(`What arrives is not kept for another try: ${reason}`);
    return undefined;
  }
}

/** Gives the transfers that can be gone on with, the newest first; one that has nothing to show for is left out. */
export async function unfinishedTransfers(folders: Pick<Folders, "stateDir">): Promise<UnfinishedTransfer[]> {
  using journal = await openJournal(folders);
  return journal.list().filter(({ bytesDone }) => bytesDone > 0);
}

/**
 * Drops unfinished transfers with everything that they hold on the disk; gives those dropped. One that is under way
 * stays.
 *
 * @throws {WormholeError} what the disk says.
 */
export async function dropUnfinished(
  folders: Pick<Folders, "stateDir">,
  { signal }: { signal?: AbortSignal } = {},
): Promise<UnfinishedTransfer[]> {
  using journal = await openJournal(folders);
  await using queue = NativeQueue.open();
  const dropped: UnfinishedTransfer[] = [];
  journal.forgetFinished();
  for (const left of journal.list()) {
    const { destination, staging } = left;
    if (!await cleanLeftover(queue, { destination, staging }, { ...signal && { signal } })) continue;
    journal.end(left.id);
    if (left.bytesDone > 0) dropped.push(left);
  }
  return dropped;
}

/**
 * Names this run of the system: what was written but not synced is still there only within it. Where the system has no
 * such name it is a new one each time, so that only what was synced counts.
 */
async function bootId(): Promise<string> {
  try {
    return (await Deno.readTextFile("/proc/sys/kernel/random/boot_id")).trim();
  } catch {
    return crypto.randomUUID();
  }
}
