/** What the commands about known machines have in common. */
import { parsePeerName, type Peer, PeerBook, peerNameFrom } from "../../peers/mod.ts";
import type { Remembering } from "../../session/mod.ts";
import type { Context } from "../context.ts";
import type { KnownPeer } from "../events.ts";

/** Gives this person's list of known machines. */
export function peerBook({ settings, clock }: Context<unknown>): PeerBook {
  return new PeerBook(settings.folders.configDir, { clock });
}

/** Gives by their keys, in hex, what known machines are called; none where the list cannot be read. */
export async function peerNames(context: Context<unknown>): Promise<Map<string, string>> {
  // It is said by commands that are about known machines.
  const peers = await peerBook(context).list().catch(() => []);
  return new Map(peers.map(({ key, name }) => [key.toHex(), name]));
}

/** Gives what a person's `--remember NAME` asks for. */
export function remembering(name: string): Remembering {
  return { name: parsePeerName(name), calledItself: peerNameFrom(Deno.hostname()) };
}

/** Gives what scripts and people see of a machine: never the secret. */
export function shownPeer({ name, key, hosts, rights, pairedMs, seenMs }: Peer): KnownPeer {
  return {
    name,
    key: key.toHex(),
    hosts,
    inbox: rights.inbox ?? null,
    receive: rights.receive,
    sync: rights.sync,
    sync_read_only: rights.syncReadOnly,
    sync_write_only: rights.syncWriteOnly,
    paired_at: new Date(pairedMs).toISOString(),
    seen_at: new Date(seenMs).toISOString(),
  };
}
