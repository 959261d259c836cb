import fc from "fast-check";
import { assertEquals, assertThrows, assertTrue } from "../base/testing.ts";
import { requestParts } from "./request_parts.ts";

Deno.test("requestParts() keeps each file's ranges together and every part within the limit", () => {
  const files = fc.array(fc.integer({ min: 1, max: 7 }), { maxLength: 30 });
  fc.assert(fc.property(files, (files) => {
    const ranges = files.flatMap((count, entry) => Array.from({ length: count }, () => ({ entry })));
    const parts = requestParts(ranges, { most: 7 });
    let at = 0;
    for (const { start, end } of parts) {
      assertEquals(start, at);
      assertTrue(end - start <= 7);
      assertTrue(end === ranges.length || ranges[end - 1]!.entry !== ranges[end]!.entry);
      at = end;
    }
    assertEquals(at, ranges.length);
  }));
});

Deno.test("requestParts() gives one empty part for nothing, and refuses what cannot be cut", () => {
  assertEquals(requestParts([]), [{ start: 0, end: 0 }]);
  const one = Array.from({ length: 9 }, () => ({ entry: 1 }));
  assertThrows(() => requestParts(one, { most: 8 }), "RangeError" as never);
});
