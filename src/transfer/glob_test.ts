import { assertEquals, assertTrue } from "../base/testing.ts";
import { compileGlob } from "./glob.ts";

const CASES: [glob: string, path: string, expected: boolean][] = [
  ["*.jpg", "a.jpg", true],
  ["*.jpg", "photos/2024/a.jpg", true],
  ["*.jpg", "a.jpg/b", false],
  ["*.jpg", "a.JPG", false],
  ["photos", "photos", true],
  ["photos/", "x/photos", true],
  ["/photos", "photos", true],
  ["/photos", "x/photos", false],
  ["photos/*.jpg", "photos/a.jpg", true],
  ["photos/*.jpg", "photos/x/a.jpg", false],
  ["photos/**/*.jpg", "photos/a.jpg", true],
  ["photos/**/*.jpg", "photos/x/y/a.jpg", true],
  ["**/a", "a", true],
  ["**/a", "x/y/a", true],
  ["a/**", "a/b/c", true],
  ["?.txt", "\u{1f600}.txt", true],
  ["?.txt", "ab.txt", false],
  ["[a-c]x", "bx", true],
  ["[!a-c]x", "bx", false],
  ["[^a-c]x", "dx", true],
  ["[]]", "]", true],
  ["[", "[", true],
  ["\\*", "*", true],
  ["\\*", "a", false],
  ["*", "anything", true],
  ["a*b*c", "a1b2c", true],
  ["a*b*c", "a1b2d", false],
  ["", "a", false],
  ["\udcff*", "\udcffx", true],
];

Deno.test("compileGlob() decides each path", () => {
  for (const [glob, path, expected] of CASES) {
    assertEquals(compileGlob(glob).matches(path.split("/")), expected, `${glob} ${path}`);
  }
});

Deno.test("compileGlob() needs bounded time for hostile names", () => {
  const start = performance.now();
  assertEquals(compileGlob("*a".repeat(100) + "b").matches(["a".repeat(255)]), false);
  const deep = Array.from({ length: 512 }, () => "a");
  assertEquals(compileGlob("**/a/".repeat(50) + "b").matches(deep), false);
  // What is not bounded takes longer than anybody lives.
  assertTrue(performance.now() - start < 20_000);
});
