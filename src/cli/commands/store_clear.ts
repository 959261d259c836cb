import { WormholeError } from "../../base/errors.ts";
import type { Context } from "../context.ts";
import { counted, formatSize } from "../format.ts";
import { askYesNo } from "../prompt.ts";
import type { StoreClearArgs } from "../table.ts";
import { cleanedEvent, openStore } from "./store.ts";

/**
 * Runs `wormhole store clear`.
 *
 * @throws {WormholeError} USAGE when there is neither --yes nor a terminal to ask; what the disk says.
 */
export async function run(context: Context<StoreClearArgs>): Promise<void> {
  const { args, output, terminal, signal } = context;
  if (!args.yes && !terminal.interactive) {
    throw new WormholeError(
      "USAGE",
      "Cannot ask whether to drop the store: there is no terminal; give --yes",
    );
  }
  await using store = await openStore(context);
  if (!args.yes) {
    const { files, packs, packBytes } = await store.stats();
    const what = `what is known of ${counted(files, "file")}, and ${counted(packs, "pack")} of ${
      formatSize(packBytes)
    }`;
    output.pause();
    const sure = await askYesNo(`Drop ${what}?`, { terminal, signal, fallback: false });
    output.resume();
    if (!sure) return;
  }
  output.emit(cleanedEvent(await store.clear()));
}
