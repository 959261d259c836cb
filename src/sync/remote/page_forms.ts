/** How pages of a snapshot cross the wire: whole, or as their difference from an older one; wire/spec/sync.md §4. */
import { compress, decompress } from "../../native/codec.ts";
import type { NativeQueue } from "../../native/queue.ts";
import type { SyncMessageOf } from "../../wire/mod.ts";
import { PAGE_ID_BYTES } from "../pages.ts";
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

/**
 * Gives for each of `ids` that is not among `old` the id of the page of `old` that has its place, none where there is no such.
 * Both are lists of ids in order; pages that are in both tell which places correspond.
 */
export function basesFor(ids: Uint8Array, old: Uint8Array): (Uint8Array<ArrayBuffer> | undefined)[] {
  const count = ids.length / PAGE_ID_BYTES, oldCount = old.length / PAGE_ID_BYTES;
  const at = (list: Uint8Array, page: number) =>
    list.slice(PAGE_ID_BYTES * page, PAGE_ID_BYTES * (page + 1)) as Uint8Array<ArrayBuffer>;
  const places = new Map<string, number>();
  for (let page = 0; page < oldCount; page++) places.set(at(old, page).toHex(), page);
  const kept = new Set<number>();
  const matches = Array.from({ length: count }, (_, page) => {
    const place = places.get(at(ids, page).toHex());
    if (place !== undefined) kept.add(place);
    return place;
  });
  let next = 0;
  return matches.map((place) => {
    if (place !== undefined) {
      next = place + 1;
      return undefined;
    }
    return next < oldCount && !kept.has(next) ? at(old, next++) : undefined;
  });
}

function difference(one: Uint8Array, other: Uint8Array): Uint8Array {
  const result = new Uint8Array(one.length);
  for (let at = 0; at < one.length; at++) result[at] = one[at]! ^ other[at]!;
  return result;
}
