/** Sentences for the events of `wormhole store`. */
import type { StoreCleanedEvent, StoreEvent, StoreVerifiedEvent } from "./events.ts";
import { counted, formatDuration, formatSize } from "./format.ts";
import { safe } from "./safe.ts";

/** What the store holds. */
export function storeText(event: StoreEvent): string {
  const { files, file_bytes, chunks, index, index_bytes, packs, pack_bytes, directory, quota, saved_bytes } =
    event;
  return [
    `Index: ${counted(files, "file")}, ${formatSize(file_bytes)} in ${counted(chunks, "chunk")}; ` +
    `it takes ${formatSize(index_bytes)} at ${safe(index)}`,
    `Packs: ${counted(packs, "pack")}, ${formatSize(pack_bytes)} of at most ${formatSize(quota)} in ${
      safe(directory)
    }`,
    `Saved: ${formatSize(saved_bytes)} did not have to be received`,
  ].join("\n");
}

/** What a check found. */
export function storeVerifiedText(
  { packs, files, bytes, failed, duration_ms: ms }: StoreVerifiedEvent,
): string {
  const took = ms < 1000 ? `${Math.round(ms)}ms` : formatDuration(ms);
  const what = [counted(packs, "pack"), ...files > 0 ? [counted(files, "file")] : []].join(" and ");
  const good = `${what}, ${formatSize(bytes)}: sound`;
  return failed === 0 ? `${good} (${took}).` : `${good}; ${failed} not (${took}).`;
}

/** What was dropped. */
export function storeCleanedText({ files, packs, bytes, leftovers }: StoreCleanedEvent): string {
  const dropped = `dropped ${counted(packs, "pack")} of ${formatSize(bytes)}`;
  const left = leftovers > 0 ? ` and ${counted(leftovers, "leftover")}` : "";
  return `Forgot ${counted(files, "file")}, ${dropped}${left}.`;
}
