import { assertEquals, assertRejects, assertTrue } from "../../base/testing.ts";
import { NativeQueue } from "../../native/queue.ts";
import { noise } from "../../../tests/e2e/trees.ts";
import { basesFor } from "../pages.ts";
import { pageMessage, pageOf } from "./page_forms.ts";

const ids = (...names: number[]) => Uint8Array.from(names.flatMap((name) => Array(32).fill(name)));

Deno.test("basesFor() gives the page that had the place, between pages that are in both", () => {
  const rows: [string, number[], number[], (number | undefined)[]][] = [
    ["nothing before", [1, 2], [], [undefined, undefined]],
    ["the same", [1, 2], [1, 2], [undefined, undefined]],
    ["one changed in the middle", [1, 9, 3], [1, 2, 3], [undefined, 2, undefined]],
    ["all changed", [7, 8, 9], [1, 2, 3], [1, 2, 3]],
    ["one came in between", [1, 9, 2], [1, 2], [undefined, undefined, undefined]],
    ["one went", [1, 3], [1, 2, 3], [undefined, undefined]],
    ["more at the end", [9, 8], [1], [1, undefined]],
  ];
  for (const [description, now, old, wanted] of rows) {
    assertEquals(basesFor(ids(...now), ids(...old)).map((id) => id?.[0]), wanted, description);
  }
});

Deno.test("pageMessage() and pageOf() carry a page, shortest where it is much the same as its base", async () => {
  await using queue = NativeQueue.open();
  const base = noise(30_000, 1);
  const edited = base.slice();
  edited.fill(7, 5000, 5100);
  const difference = await pageMessage(queue, edited, base);
  assertEquals(difference.form, "difference");
  assertTrue(difference.bytes.length < 300, `${difference.bytes.length}`);
  assertEquals(await pageOf(queue, difference, base), edited);

  assertEquals((await pageMessage(queue, edited, undefined)).form, "plain");
  const text = new TextEncoder().encode("the same and the same ".repeat(1000));
  const packed = await pageMessage(queue, text, base);
  assertEquals(packed.form, "zstd");
  assertEquals(await pageOf(queue, packed, undefined), text);

  await assertRejects(() => pageOf(queue, difference, undefined), "PROTOCOL");
  await assertRejects(() => pageOf(queue, difference, base.subarray(1)), "PROTOCOL");
  await assertRejects(() => pageOf(queue, { ...packed, size: 10 }, undefined), "CORRUPT");
  await assertRejects(() => pageOf(queue, { ...packed, bytes: noise(100, 2) }, undefined), "CORRUPT");
});
