import type { Context } from "../context.ts";
import type { PeersRenameArgs } from "../table.ts";
import { peerBook, shownPeer } from "./peers.ts";

/** Runs `wormhole peers rename`. @throws {WormholeError} NOT_FOUND, ALREADY_EXISTS, INVALID_ARGUMENT. */
export async function run(context: Context<PeersRenameArgs>): Promise<void> {
  const { args, output } = context;
  const peer = await peerBook(context).rename(args.name, args.to);
  output.emit({ event: "known_peer", ...shownPeer(peer) });
}
