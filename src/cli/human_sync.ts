/** Sentences for the events of `wormhole sync`. */
import type {
  ConflictCopyEvent,
  SyncChangeEvent,
  SyncConflictEvent,
  SyncedEvent,
  SyncLockedEvent,
  SyncServingEvent,
  SyncSessionEvent,
  SyncStatusEvent,
  VersionEvent,
} from "./events_sync.ts";
import { counted, formatDuration, formatSize } from "./format.ts";
import { safe } from "./safe.ts";
import { lockHolder } from "./human_lock.ts";
import type { Styles } from "./terminal.ts";

/** One change: an arrow towards the end that is changed, and what is done there. */
export function syncChangeText({ side, action, name, from }: SyncChangeEvent): string {
  const arrow = side === "alpha" ? "<-" : "->";
  return `${arrow} ${action.padEnd(11)} ${safe(name)}${from === null ? "" : ` (was ${safe(from)})`}`;
}

/** Who is waited for, and what for. */
export function syncServingText({ name, folders, read_only, write_only }: SyncServingEvent): string {
  const shown = folders.map((folder) => {
    const way = read_only.includes(folder)
      ? " (read only)"
      : write_only.includes(folder)
      ? " (write only)"
      : "";
    return `${safe(folder)}${way}`;
  });
  return `Waiting for ${safe(name)}, which may synchronize ${shown.join(", ")}.`;
}

/** Who has come, or is gone. */
export function syncSessionText({ name, state, remote, message }: SyncSessionEvent): string {
  if (state === "connected") return `${safe(name)} has come from ${safe(remote ?? "")}.`;
  return message === null ? `${safe(name)} has gone.` : `${safe(name)} has gone: ${safe(message)}`;
}

/** What became of a conflict. */
export function syncConflictText({ name, kind, winner, copy }: SyncConflictEvent, styles: Styles): string {
  const path = safe(name);
  if (kind === "delete") {
    const who = winner === "alpha" ? "beta" : "alpha";
    return `${path}: ${who} deleted what ${winner} has changed; ${winner}'s wins.`;
  }
  const state = kind === "name"
    ? "its name is the same as another one's where case or Unicode forms do not count; it is left alone"
    : kind === "blocked"
    ? "it cannot be replaced, since something that is ignored is in it; both are left alone"
    : copy === null
    ? `both have changed it; ${winner}'s wins, the other one is in the trash`
    : `both have changed it; the other version is ${safe(copy)}`;
  return `${styles.yellow("conflict:")} ${path}: ${state}.`;
}

/** What is left, and why. */
export function syncLockedText(event: SyncLockedEvent, styles: Styles): string {
  const { name, until } = event;
  return `${styles.yellow("locked:")} ${safe(name)}: left alone, ${lockHolder(event)} has locked it until ${
    safe(until)
  }.`;
}

/** Where a sync that goes on stands. */
export function syncStatusText(event: SyncStatusEvent, styles: Styles): string {
  const { alpha, beta, state, pid, runs, last, started_at, socket } = event;
  const time = (iso: string) => `${safe(iso.slice(0, 19).replace("T", " "))} UTC`;
  const ended = last === null
    ? "no run has ended yet"
    : `${counted(runs, "run")}, the last one at ${time(last.ended_at)}: ` +
      (last.error === null
        ? `${counted(last.changes, "change")}, ${counted(last.entries, "entry", "entries")}`
        : styles.red(safe(last.error)));
  return [
    `${styles.bold(`${safe(alpha)} <-> ${safe(beta)}`)}  ${state}, since ${
      time(started_at)
    } (process ${pid})`,
    `  ${ended}`,
    ...socket === null ? [] : [styles.dim(`  events: ${safe(socket)}`)],
  ].join("\n");
}

/** How it went; nothing where nothing happened. */
export function syncedText(event: SyncedEvent): string {
  const { alpha, beta, conflicts, failed, postponed, locked, entries, dry_run: dry, duration_ms: ms } = event;
  const took = ms < 1000 ? `${Math.round(ms)}ms` : formatDuration(ms);
  if (alpha.changes + beta.changes + conflicts + failed + postponed + locked === 0) {
    return dry ? "Nothing to do." : `In sync: ${counted(entries, "entry", "entries")} (${took}).`;
  }
  const sides = [["alpha", alpha], ["beta", beta]] as const;
  const parts = sides.filter(([, { changes }]) => changes > 0).map(([name, { changes, bytes, trashed }]) => {
    const trash = trashed > 0 ? `, ${trashed} to the trash` : "";
    return `${counted(changes, "change")} at ${name} (${formatSize(bytes)}${trash})`;
  });
  const verb = dry ? "Would make" : "Made";
  const lines = [
    parts.length > 0 ? `${verb} ${parts.join(" and ")} in ${took}.` : `Nothing was changed (${took}).`,
  ];
  if (conflicts > 0) lines.push(`Conflicts: ${conflicts}.`);
  if (postponed > 0) lines.push(`Changed meanwhile, left for the next run: ${postponed}.`);
  if (failed > 0) lines.push(`Failed: ${failed}.`);
  return lines.join(" ");
}

/** A conflict that waits for somebody, or was settled. */
export function conflictCopyText({ name, copy, machine, time, kept }: ConflictCopyEvent): string {
  const when = `${time.slice(0, 16).replace("T", " ")} UTC`;
  const state = kept === null ? `from ${safe(machine)}, ${safe(when)}` : `settled, kept: ${kept}`;
  return `${safe(name)}\n  ${safe(copy)} (${state})`;
}

/** A version in the trash. */
export function versionText({ name, displaced_at, kind, bytes, restored }: VersionEvent): string {
  const what = kind === "file" ? formatSize(bytes) : kind === "directory" ? "a folder" : "a symlink";
  return `${restored ? "Restored: " : ""}${safe(name)}@${displaced_at} (${what})`;
}
