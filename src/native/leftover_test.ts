import { encode } from "cborg";
import { assertEquals, assertThrows } from "../base/testing.ts";
import { decodeVersionedPage, encodeVersionedPage } from "./leftover.ts";

Deno.test("decodeVersionedPage() gives back what encodeVersionedPage() took, and refuses what is no page", () => {
  const none = new Uint8Array(0);
  const columns = {
    first: 0,
    count: 0,
    kinds: none,
    parents: none,
    name_lengths: none,
    names: none,
    modes: none,
    sizes: none,
    mtimes: none,
    targets: none,
    last: true,
  };
  const page = { columns, versions: new Uint8Array([1, 2]) };
  assertEquals(decodeVersionedPage(encodeVersionedPage(page)), page);
  for (
    const bad of [
      none,
      new Uint8Array([0xff]),
      encode(1),
      encode({ columns }),
      encode({ columns: null, versions: none }),
    ]
  ) {
    assertThrows(() => decodeVersionedPage(bad), "CORRUPT");
  }
});
