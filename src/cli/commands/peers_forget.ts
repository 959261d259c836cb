import type { Context } from "../context.ts";
import type { PeersForgetArgs } from "../table.ts";
import { peerBook } from "./peers.ts";

/** Runs `wormhole peers forget`. @throws {WormholeError} NOT_FOUND. */
export async function run(context: Context<PeersForgetArgs>): Promise<void> {
  const { name, key } = await peerBook(context).forget(context.args.name);
  context.output.emit({ event: "peer_forgotten", name, key: key.toHex() });
}
