import { WormholeError } from "../../base/errors.ts";
import type { Context } from "../context.ts";
import type { PeersRightsArgs } from "../table.ts";
import { peerBook, shownPeer } from "./peers.ts";

/** Runs `wormhole peers rights`. @throws {WormholeError} NOT_FOUND for the machine or the folder; NOT_DIRECTORY. */
export async function run(context: Context<PeersRightsArgs>): Promise<void> {
  const { args, output } = context;
  const book = peerBook(context);
  let peer = await book.find(args.name);
  if (args.inbox !== undefined || args.receive || args.none) {
    const before = args.none ? { receive: false } : peer.rights;
    peer = await book.allow(peer.name, {
      ...before,
      ...args.inbox !== undefined && { inbox: await folder(args.inbox) },
      ...args.receive && { receive: true },
    });
  }
  output.emit({ event: "known_peer", ...shownPeer(peer) });
}

/** A right names one folder for good, wherever commands are started. */
async function folder(path: string): Promise<string> {
  try {
    const real = await Deno.realPath(path);
    if ((await Deno.stat(real)).isDirectory) return real;
  } catch (cause) {
    throw new WormholeError("NOT_FOUND", `Cannot use "${path}" as inbox: there is no such folder`, { cause });
  }
  throw new WormholeError("NOT_DIRECTORY", `Cannot use "${path}" as inbox: it is not a folder`);
}
