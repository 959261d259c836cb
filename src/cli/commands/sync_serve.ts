import { WormholeError } from "../../base/errors.ts";
import { sharedFolders, type Way } from "../../peers/mod.ts";
import { serveSync } from "../../sync/remote/mod.ts";
import type { Context } from "../context.ts";
import { sessionSettings } from "../far_link.ts";
import type { SyncServeArgs } from "../table.ts";
import { peerBook } from "./peers.ts";

/** A day, in ms. */
const DAY_MS = 24 * 60 * 60 * 1000;

/**
 * Runs `wormhole sync serve` until it is interrupted.
 *
 * @throws {WormholeError} USAGE when no machine has a right; what the list of known machines throws.
 */
export async function run(context: Context<SyncServeArgs>): Promise<void> {
  const { args, config, output, env } = context;
  const peers = await peerBook(context).list();
  if (!peers.some(({ rights }) => sharedFolders(rights).length > 0)) {
    throw new WormholeError(
      "USAGE",
      "Cannot serve: no machine has the right to synchronize a folder here (wormhole peers rights NAME --sync DIR)",
    );
  }
  await serveSync({
    ...sessionSettings(context),
    home: env("HOME") || "/",
    port: config.port,
    trashMs: args.trashDays * DAY_MS,
    onEvent(event) {
      const { name } = event;
      if (event.type === "waiting") {
        const of = (...ways: Way[]) =>
          event.folders.filter(({ way }) => ways.includes(way)).map(({ path }) => path);
        output.emit({
          event: "sync_serving",
          name,
          folders: of("both", "pull", "push"),
          read_only: of("pull"),
          write_only: of("push"),
        });
      } else {
        output.emit({
          event: "sync_session",
          name,
          state: event.type,
          remote: event.type === "connected" ? event.remote : null,
          message: event.type === "left" ? event.error?.message ?? null : null,
        });
      }
    },
  });
}
