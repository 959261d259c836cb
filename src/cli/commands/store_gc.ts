import type { Context } from "../context.ts";
import type { StoreGcArgs } from "../table.ts";
import { cleanedEvent, openStore } from "./store.ts";

/** Runs `wormhole store gc`. @throws {WormholeError} what the disk says. */
export async function run(context: Context<StoreGcArgs>): Promise<void> {
  await using store = await openStore(context);
  context.output.emit(cleanedEvent(await store.clean()));
}
