/** What the `wormhole store` commands have in common. */
import { Store } from "../../store/mod.ts";
import type { Cleaned } from "../../store/mod.ts";
import type { Context } from "../context.ts";
import type { StoreCleanedEvent } from "../events.ts";

/** Opens this person's store. @throws {WormholeError} what the disk says. */
export function openStore({ config, settings, output, signal }: Context<unknown>): Promise<Store> {
  return Store.open({
    cacheDir: config.cacheDir,
    dataDir: settings.folders.dataDir,
    maxChunks: config.dedupIndexSize,
    quota: config.storeQuota,
    onWarning: (message) => output.emit({ event: "warning", message }),
    signal,
  });
}

/** Gives what was dropped as an event. */
export function cleanedEvent({ files, packs, packBytes, leftovers }: Cleaned): StoreCleanedEvent {
  return { event: "store_cleaned", files, packs, bytes: packBytes, leftovers };
}
