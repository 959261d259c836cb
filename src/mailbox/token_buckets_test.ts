import { assertEquals, assertTrue } from "../base/testing.ts";
import { TokenBuckets } from "./token_buckets.ts";

Deno.test("TokenBuckets.take() gives a burst, then the rate", () => {
  const buckets = new TokenBuckets({ burst: 2, perMs: 0.001, keys: 10 });
  assertEquals([0, 0, 0, 999, 1_000, 1_001, 9_000, 9_000, 9_000].map((at) => buckets.take("a", at)), [
    true,
    true,
    false,
    false,
    true,
    false,
    true,
    true,
    false,
  ]);
  assertTrue(buckets.take("b", 0));
});

Deno.test("TokenBuckets remembers a bounded number of keys and lets a flood of them share one", () => {
  const buckets = new TokenBuckets({ burst: 2, perMs: 0.001, keys: 10 });
  let taken = 0;
  for (let key = 0; key < 1_000; key++) if (buckets.take(`k${key}`, 0)) taken++;
  assertEquals([taken, buckets.size], [12, 11]);
  buckets.forgetFull(10_000);
  assertEquals(buckets.size, 0);
});
