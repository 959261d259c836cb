import { decodeName } from "../../base/names.ts";
import { dropUnfinished, unfinishedTransfers } from "../../transfer/mod.ts";
import { rootOfArrived } from "../../sync/places.ts";
import type { Context } from "../context.ts";
import type { TransfersArgs } from "../table.ts";

/** Runs `wormhole transfers`. */
export async function run({ args, output, settings, signal }: Context<TransfersArgs>): Promise<void> {
  const transfers = args.clean
    ? await dropUnfinished(settings.folders, { signal })
    : await unfinishedTransfers(settings.folders);
  for (const { title, label, destination, bytesDone, bytesTotal, updatedMs } of transfers) {
    const folder = decodeName(destination);
    const root = rootOfArrived(folder);
    output.emit({
      event: "unfinished",
      kind: root === undefined ? "transfer" : "sync",
      // In the folder of sync files are named for their content.
      name: label ?? (root === undefined ? title : "files"),
      destination: root ?? folder,
      bytes: bytesDone,
      bytes_total: bytesTotal ?? null,
      updated_at: new Date(updatedMs).toISOString(),
      dropped: args.clean,
    });
  }
}
