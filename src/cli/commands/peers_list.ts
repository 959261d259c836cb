import type { Context } from "../context.ts";
import type { PeersListArgs } from "../table.ts";
import { peerBook, shownPeer } from "./peers.ts";

/** Runs `wormhole peers list`. */
export async function run(context: Context<PeersListArgs>): Promise<void> {
  for (const peer of await peerBook(context).list()) {
    context.output.emit({ event: "known_peer", ...shownPeer(peer) });
  }
}
