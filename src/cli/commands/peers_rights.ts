import { WormholeError } from "../../base/errors.ts";
import { NO_RIGHTS, type Way, withFolders } from "../../peers/mod.ts";
import type { Context } from "../context.ts";
import type { PeersRightsArgs } from "../table.ts";
import { peerBook, shownPeer } from "./peers.ts";

/**
 * Runs `wormhole peers rights`.
 *
 * @throws {WormholeError} NOT_FOUND for the machine or the folder; NOT_DIRECTORY; INVALID_ARGUMENT for rights that contradict each other.
 */
export async function run(context: Context<PeersRightsArgs>): Promise<void> {
  const { args, output } = context;
  const book = peerBook(context);
  let peer = await book.find(args.name);
  const asked: [Way, readonly string[]][] = [
    ["both", args.sync],
    ["pull", args.readOnly],
    ["push", args.writeOnly],
  ];
  const given = asked.flatMap(([way, paths]) => paths.map((path) => ({ path, way })));
  if (args.inbox !== undefined || args.receive || given.length > 0 || args.none) {
    const added = await Promise.all(given.map(async ({ path, way }) => (
      { path: await folder(path, "to synchronize"), way }
    )));
    const inbox = args.inbox === undefined ? undefined : await folder(args.inbox, "as inbox");
    peer = await book.allow(peer.name, (before) =>
      withFolders({
        ...args.none ? NO_RIGHTS : before,
        ...inbox !== undefined && { inbox },
        ...args.receive && { receive: true },
      }, added));
  }
  output.emit({ event: "known_peer", ...shownPeer(peer) });
}

/** A right names one folder for good, wherever commands are started. */
async function folder(path: string, use: string): Promise<string> {
  try {
    const real = await Deno.realPath(path);
    if ((await Deno.stat(real)).isDirectory) return real;
  } catch (cause) {
    throw new WormholeError("NOT_FOUND", `Cannot use "${path}" ${use}: there is no such folder`, { cause });
  }
  throw new WormholeError("NOT_DIRECTORY", `Cannot use "${path}" ${use}: it is not a folder`);
}
