import { decodeName } from "../../base/names.ts";
import { dropUnfinished, unfinishedTransfers } from "../../transfer/mod.ts";
import type { Context } from "../context.ts";
import type { TransfersArgs } from "../table.ts";

/** Runs `wormhole transfers`. */
export async function run({ args, output, settings, signal }: Context<TransfersArgs>): Promise<void> {
  const transfers = args.clean
    ? await dropUnfinished(settings.folders, { signal })
    : await unfinishedTransfers(settings.folders);
  for (const { title, destination, bytesDone, bytesTotal, updatedMs } of transfers) {
    output.emit({
      event: "unfinished",
      name: title,
      destination: decodeName(destination),
      bytes: bytesDone,
      bytes_total: bytesTotal ?? null,
      updated_at: new Date(updatedMs).toISOString(),
      dropped: args.clean,
    });
  }
}
