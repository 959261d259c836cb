/** Sentences for the events of `wormhole lock`. */
import type { LockEvent } from "./events_lock.ts";
import { safe } from "./safe.ts";
import type { Styles } from "./terminal.ts";

/** One lock. */
export function lockText(
  { path, owner, shared, token, expires_at, released }: LockEvent,
  styles: Styles,
): string {
  const what = `${styles.bold(safe(path))}${shared ? " (shared)" : ""}`;
  if (released) return `Released ${what}.`;
  const until = `until ${safe(expires_at.replace(/\.\d+Z$/, "Z"))}`;
  return token === null
    ? `${what}  ${safe(owner)}, ${until}`
    : `Locked ${what} ${until}; token ${safe(token)}`;
}
