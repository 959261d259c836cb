/** Sentences for the events of `wormhole lock`. */
import type { LockEvent } from "./events_lock.ts";
import { safe } from "./safe.ts";
import type { Styles } from "./terminal.ts";

/** One lock. */
export function lockText(event: LockEvent, styles: Styles): string {
  const { path, shared, token, expires_at, released } = event;
  const what = `${styles.bold(safe(path))}${shared ? " (shared)" : ""}`;
  if (released) return `Released ${what}.`;
  const until = `until ${safe(expires_at.replace(/\.\d+Z$/, "Z"))}`;
  return token === null
    ? `${what}  ${lockHolder(event)}, ${until}`
    : `Locked ${what} ${until}; token ${safe(token)}`;
}

/** Who has a lock: in their own words, and from where, which nobody can pretend. */
export function lockHolder(
  { owner, machine }: { readonly owner: string; readonly machine: string | null },
): string {
  if (machine !== null && owner.endsWith(`@${machine}`)) return safe(owner);
  return `${safe(owner)} (${machine === null ? "a machine that is not known here" : safe(machine)})`;
}
