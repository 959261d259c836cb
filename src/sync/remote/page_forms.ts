/** How pages of a snapshot cross the wire: whole, or as their difference from an older one; wire/spec/sync.md §4. */
import { compress, decompress } from "../../native/codec.ts";
import type { NativeQueue } from "../../native/queue.ts";
import type { SyncMessageOf } from "../../wire/mod.ts";
import { unexpected } from "./channel.ts";

/** Gives the message of a page; `base`: an older one that the other side has. */
export async function pageMessage(
  queue: NativeQueue,
  page: Uint8Array,
  base: Uint8Array | undefined,
): Promise<SyncMessageOf<"page">> {
  const size = page.length;
  // Rows that changed in place leave everything else where it was.
  const isSimilar = base !== undefined && base.length === size;
  const bytes = await compress(queue, "zstd", isSimilar ? difference(page, base) : page);
  if (bytes === undefined) return { type: "page", bytes: page, size, form: "plain" };
  return { type: "page", bytes, size, form: isSimilar ? "difference" : "zstd" };
}

/** Gives the page of a message. @throws {WormholeError} PROTOCOL, CORRUPT when it is none. */
export async function pageOf(
  queue: NativeQueue,
  { bytes, size, form }: SyncMessageOf<"page">,
  base: Uint8Array | undefined,
): Promise<Uint8Array> {
  if (form === "plain") return bytes;
  const whole = await decompress(queue, "zstd", bytes, { size });
  if (form === "zstd") return whole;
  if (base === undefined || base.length !== size) throw unexpected("page");
  return difference(whole, base);
}

function difference(one: Uint8Array, other: Uint8Array): Uint8Array {
  const result = new Uint8Array(one.length);
  for (let at = 0; at < one.length; at++) result[at] = one[at]! ^ other[at]!;
  return result;
}
