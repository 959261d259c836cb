/**
 * A page as what it has other than another one of the same length, so that a few rows that changed in place cost what they take and
 * not the page. A patch is parts one after the other: offset u32, length u32, that many bytes; little endian.
 */

/** Bytes before those of a part. */
const HEAD_BYTES = 8;

/** Parts this close to each other are one: less than another head and some. */
const GAP_BYTES = 16;

/** Places in a page, as pairs of from and to in ascending order. */
export type Places = readonly number[];

/** Gives where a page differs from another one; undefined where they have not the same length. */
export function differences(page: Uint8Array, other: Uint8Array): Places | undefined {
  if (page.length !== other.length) return undefined;
  const places: number[] = [];
  const words = page.length >> 2;
  const a = wordsOf(page, words), b = wordsOf(other, words);
  for (let word = 0; word < words; word++) if (a[word] !== b[word]) join(places, word << 2, (word << 2) + 4);
  for (let at = words << 2; at < page.length; at++) if (page[at] !== other[at]) join(places, at, at + 1);
  return places;
}

/** Gives the patch that has the bytes of `page` in all of these places. */
export function patchOf(page: Uint8Array, ...given: readonly Places[]): Uint8Array<ArrayBuffer> {
  const places = given.length === 1 ? given[0]! : joined(given);
  let bytes = 0;
  for (let i = 0; i < places.length; i += 2) bytes += HEAD_BYTES + places[i + 1]! - places[i]!;
  const patch = new Uint8Array(bytes);
  const view = new DataView(patch.buffer);
  for (let i = 0, at = 0; i < places.length; i += 2) {
    const from = places[i]!, to = places[i + 1]!;
    view.setUint32(at, from, true);
    view.setUint32(at + 4, to - from, true);
    patch.set(page.subarray(from, to), at += HEAD_BYTES);
    at += to - from;
  }
  return patch;
}

/** Gives the page that a patch makes of `base`; undefined when it is not one for it. */
export function patched(base: Uint8Array, patch: Uint8Array): Uint8Array<ArrayBuffer> | undefined {
  const places = placesOf(patch, base.length);
  if (places === undefined) return undefined;
  const page = new Uint8Array(base);
  for (let i = 0, at = 0; i < places.length; i += 2) {
    const length = places[i + 1]! - places[i]!;
    page.set(patch.subarray(at += HEAD_BYTES, at + length), places[i]!);
    at += length;
  }
  return page;
}

/** Gives the places of a patch for a page of `length` bytes; undefined when it is none. */
export function placesOf(patch: Uint8Array, length: number): Places | undefined {
  const view = new DataView(patch.buffer, patch.byteOffset, patch.length);
  const places: number[] = [];
  for (let at = 0; at < patch.length;) {
    if (patch.length - at < HEAD_BYTES) return undefined;
    const from = view.getUint32(at, true), bytes = view.getUint32(at + 4, true);
    if (from + bytes > length || bytes > patch.length - at - HEAD_BYTES) return undefined;
    places.push(from, from + bytes);
    at += HEAD_BYTES + bytes;
  }
  return places;
}

function joined(given: readonly Places[]): Places {
  const pairs = given.flatMap((places) =>
    Array.from({ length: places.length / 2 }, (_, i) => [places[2 * i]!, places[2 * i + 1]!] as const)
  );
  const places: number[] = [];
  for (const [from, to] of pairs.sort(([a], [b]) => a - b)) join(places, from, to);
  return places;
}

/** Adds a place that begins not before the last one. */
function join(places: number[], from: number, to: number): void {
  const last = places.length - 1;
  if (last > 0 && from - places[last]! < GAP_BYTES) places[last] = Math.max(places[last]!, to);
  else places.push(from, to);
}

function wordsOf(page: Uint8Array, words: number): Uint32Array {
  const bytes = page.byteOffset % 4 === 0 ? page : page.slice();
  return new Uint32Array(bytes.buffer, bytes.byteOffset, words);
}
