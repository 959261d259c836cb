import { assertEquals } from "../src/base/testing.ts";
import { matches } from "./bench.ts";

Deno.test("matches() takes a job's name, or a part of it with stars", () => {
  for (
    const [pattern, name, wanted] of [
      ["ext4-small", "ext4-small", true],
      ["ext4-small", "ext4-small-again", false],
      ["ext4-*", "ext4-small-again", true],
      ["*-small", "ext4-small", true],
      ["*-small", "ext4-small-again", false],
      ["*", "anything", true],
      ["a.c", "abc", false],
    ] as const
  ) assertEquals(matches(pattern, name), wanted, `${pattern}: ${name}`);
});
