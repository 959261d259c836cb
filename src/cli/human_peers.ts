/** Sentences for the events about known machines. */
import type { KnownPeer } from "./events.ts";
import { safe } from "./safe.ts";
import type { Styles } from "./terminal.ts";

/** Hex digits of a key that people see: enough to compare two by eye. */
const KEY_DIGITS = 16;

/** One known machine. */
export function knownPeerText(peer: KnownPeer, styles: Styles): string {
  const { name, key, hosts, inbox, receive, sync, sync_read_only, sync_write_only, seen_at } = peer;
  const rights = [
    ...inbox === null ? [] : [`send into ${safe(inbox)}`],
    ...receive ? ["receive from scripts"] : [],
    ...sync.map((folder) => `synchronize ${safe(folder)}`),
    ...sync_read_only.map((folder) => `synchronize ${safe(folder)}, reading only`),
    ...sync_write_only.map((folder) => `synchronize ${safe(folder)}, writing only`),
  ];
  const where = hosts.length === 0 ? "" : ` at ${safe(hosts[0]!)}`;
  return [
    styles.bold(safe(name)),
    `  May, without asking: ${rights.length === 0 ? "nothing" : rights.join("; ")}`,
    styles.dim(`  Last seen ${day(seen_at)}${where}; key ${safe(key.slice(0, KEY_DIGITS))}…`),
  ].join("\n");
}

/** A machine that is known from now on. */
export function pairedText({ name }: KnownPeer, styles: Styles): string {
  const shown = safe(name);
  return `Paired with ${
    styles.bold(shown)
  }. From now on: wormhole send --to ${shown} PATH, wormhole recv --from ${shown}`;
}

function day(time: string): string {
  return `${safe(time.slice(0, 16).replace("T", " "))} UTC`;
}
