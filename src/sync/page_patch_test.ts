import { assertEquals, assertTrue } from "../base/testing.ts";
import { differences, patched, patchOf, placesOf } from "./page_patch.ts";

/** Bytes that look like nothing in particular, the same each time. */
function bytes(length: number, seed = 1): Uint8Array<ArrayBuffer> {
  let state = seed;
  return Uint8Array.from({ length }, () => (state = Math.imul(state, 1664525) + 1013904223 >>> 0) >>> 24);
}

Deno.test("patched() gives the page back that patchOf() saw, from the base and from what lies between", () => {
  for (let round = 1; round < 200; round++) {
    const base = bytes(round % 50 === 0 ? 0 : 37 * round, round);
    const edited = (page: Uint8Array, by: number) => {
      const other = page.slice();
      for (const at of bytes(round % 9, round + by)) {
        if (other.length > 0) other[at * 29 % other.length]! ^= by;
      }
      return other;
    };
    const one = edited(base, 3), two = edited(one, 5);
    const first = patchOf(one, differences(one, base)!);
    assertEquals(patched(base, first), one);
    // As somebody makes it who has not the base at hand.
    const second = patchOf(two, placesOf(first, base.length)!, differences(two, one)!);
    assertEquals(patched(base, second), two);
    // What lies not on a boundary of words is compared all the same.
    const moved = bytes(base.length + 3, 9).subarray(3);
    moved.set(two);
    assertEquals(patched(base, patchOf(moved, differences(moved, base)!)), two);
  }
});

Deno.test("a patch of little is little, and one that is damaged is none", () => {
  const base = bytes(40_000), page = base.slice();
  for (const at of [0, 7, 20_000, 39_999]) page[at]! ^= 1;
  const patch = patchOf(page, differences(page, base)!);
  assertTrue(patch.length < 64, `${patch.length} bytes`);
  assertEquals(differences(page, base.subarray(1)), undefined);
  assertEquals(differences(base, base.slice()), []);
  assertEquals(patched(base, new Uint8Array(0)), base);
  assertEquals(patched(base, patch.subarray(0, patch.length - 1)), undefined);
  assertEquals(patched(base, patch.subarray(0, 5)), undefined);
  assertEquals(patched(base.subarray(0, 39_999), patch), undefined);
  const far = patch.slice();
  new DataView(far.buffer).setUint32(0, 0xffff_fff0, true);
  assertEquals(patched(base, far), undefined);
});
