import type { Context } from "../context.ts";
import type { StoreStatsArgs } from "../table.ts";
import { openStore } from "./store.ts";

/** Runs `wormhole store stats`. @throws {WormholeError} what the disk says. */
export async function run(context: Context<StoreStatsArgs>): Promise<void> {
  await using store = await openStore(context);
  const stats = await store.stats();
  context.output.emit({
    event: "store",
    files: stats.files,
    file_bytes: stats.fileBytes,
    chunks: stats.chunks,
    index: stats.indexPath,
    index_bytes: stats.bytes,
    packs: stats.packs,
    pack_bytes: stats.packBytes,
    directory: stats.directory,
    quota: stats.quota,
    saved_bytes: stats.savedBytes,
  });
}
