import { compress, decompress } from "./codec.ts";
import { NativeQueue } from "./queue.ts";
import { assertEquals, assertRejects, assertTrue } from "../base/testing.ts";

Deno.test("decompress() gives back what compress() packed", async () => {
  await using queue = NativeQueue.open();
  const text = new TextEncoder().encode("All work and no play makes Jack a dull boy.\n".repeat(500));
  for (const codec of ["zstd", "lz4"] as const) {
    const packed = await compress(queue, codec, text);
    assertTrue(packed && packed.length < text.length / 5);
    assertEquals(await decompress(queue, codec, packed, { size: text.length }), text);
    await assertRejects(() => decompress(queue, codec, packed, { size: text.length + 1 }), "CORRUPT");
    await assertRejects(() => decompress(queue, codec, packed, { size: 2 ** 40 }), "LIMIT_EXCEEDED");
  }
});

Deno.test("compress() leaves what does not shrink", async () => {
  await using queue = NativeQueue.open();
  const noise = crypto.getRandomValues(new Uint8Array(10_000));
  for (const codec of ["raw", "zstd", "lz4"] as const) {
    assertEquals(await compress(queue, codec, noise), undefined);
  }
});
