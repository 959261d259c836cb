import { WormholeError } from "../../base/errors.ts";
import type { Context } from "../context.ts";
import { counted } from "../format.ts";
import type { StoreVerifyArgs } from "../table.ts";
import { openStore } from "./store.ts";

/**
 * Runs `wormhole store verify`.
 *
 * @throws {WormholeError} PARTIAL when something is damaged; what the disk says.
 */
export async function run(context: Context<StoreVerifyArgs>): Promise<void> {
  const { args, clock, output } = context;
  const started = clock.now();
  const good = { pack: 0, file: 0, index: 0 };
  let [bytes, failed] = [0, 0];
  await using store = await openStore(context);
  for await (const finding of store.verify({ files: args.files })) {
    if ("code" in finding) {
      failed++;
      output.emit({ event: "file_failed", name: finding.path, code: finding.code, message: finding.message });
    } else {
      good[finding.kind]++;
      bytes += finding.bytes;
    }
  }
  const duration_ms = Math.round(clock.now() - started);
  output.emit({ event: "store_verified", packs: good.pack, files: good.file, bytes, failed, duration_ms });
  if (failed > 0) {
    throw new WormholeError(
      "PARTIAL",
      `Cannot rely on everything in the store: ${counted(failed, "thing")} failed`,
    );
  }
}
