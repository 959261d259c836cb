import fc from "fast-check";
import { isWormholeError } from "../base/errors.ts";
import { assertEquals, assertThrows, assertTrue } from "../base/testing.ts";
import { readEntries } from "../wire/mod.ts";
import { ManifestReader } from "./manifest_reader.ts";
import { columnsOf, offerOf, type Sketch } from "./testing.ts";

const TREE: Sketch[] = [
  { name: "d", kind: "directory" },
  { name: "keep.txt", parent: 0 },
  { name: "sub", parent: 0, kind: "directory" },
  { name: "deep.jpg", parent: 2 },
  { name: "aux", kind: "directory" },
  { name: "below.txt", parent: 4 },
  { name: "up", parent: 2, kind: "symlink", target: "../keep.txt" },
  { name: "out", parent: 2, kind: "symlink", target: "../../x" },
];

function read(options: Partial<ConstructorParameters<typeof ManifestReader>[0]> = {}) {
  const reader = new ManifestReader({ offer: offerOf(), platform: "posix", ...options });
  const page = reader.read(columnsOf(TREE));
  const ids = TREE.map((_, i) => i).filter((i) => (page.wanted[i >> 3]! >> (i & 7)) & 1);
  return { ids, roots: page.roots.map(({ entry }) => entry), refused: page.refused, reader };
}

Deno.test("ManifestReader wants everything but links that lead out", () => {
  const { ids, roots, refused, reader } = read();
  assertEquals(ids, [0, 1, 2, 3, 4, 5, 6]);
  assertEquals(roots, [0, 4]);
  assertEquals(refused.map(({ path, code }) => [path, code]), [["d/sub/out", "PATH_ESCAPES"]]);
  assertEquals(reader.wanted, { files: 3, bytes: 15 });
  assertEquals(read({ unsafeLinks: true }).ids.length, 8);
});

Deno.test("ManifestReader takes a part, and directories that match with all that is in them", () => {
  assertEquals(read({ only: ["*.jpg"] }).ids, [3]);
  assertEquals(read({ only: ["*.jpg"] }).refused, []);
  assertEquals(read({ only: ["sub"] }).ids, [2, 3, 6]);
  assertEquals(read({ only: ["d/*.txt"] }).ids, [1]);
  assertEquals(read({ only: ["nothing"] }).ids, []);
});

Deno.test("ManifestReader leaves out what Windows cannot hold, with all that is in it", () => {
  const { ids, roots, refused } = read({ platform: "windows" });
  assertEquals(ids, [0, 1, 2, 3, 6]);
  assertEquals(roots, [0]);
  assertEquals(refused.map(({ path, code }) => [path, code]), [["aux", "UNSUPPORTED"], [
    "d/sub/out",
    "PATH_ESCAPES",
  ]]);
});

Deno.test("ManifestReader wants no entry that is unsafe, whatever the manifest", () => {
  const name = fc.constantFrom("a", "b", "..", ".", "", "a/b", "/x", "a\0", "aux", "a\\b", "x.jpg");
  const target = fc.constantFrom("a", "../a", "../../a", "/etc", "a/..", "");
  const sketch = fc.record({
    name,
    target,
    kind: fc.constantFrom("file" as const, "directory" as const, "symlink" as const),
    parent: fc.oneof(fc.constant(undefined), fc.nat(12)),
    size: fc.constantFrom(0, 5, 2 ** 40),
  }).map(({ target, size, ...rest }) => ({
    ...rest,
    target: rest.kind === "symlink" ? target : "",
    size: rest.kind === "file" ? size : 0,
  }));
  let accepted = 0;
  fc.assert(
    fc.property(fc.array(sketch, { minLength: 1, maxLength: 5 }), (sketches) => {
      // The first is often a directory, else hardly any manifest has depth.
      const columns = columnsOf([{ name: "top", kind: "directory" }, ...sketches]);
      let page;
      try {
        page = new ManifestReader({ offer: offerOf(), platform: "posix" }).read(columns);
      } catch (error) {
        assertTrue(isWormholeError(error, "PROTOCOL", "LIMIT_EXCEEDED", "HOSTILE_NAME"), String(error));
        return;
      }
      accepted++;
      for (const entry of readEntries(columns)) {
        if (((page.wanted[entry.id >> 3]! >> (entry.id & 7)) & 1) === 0) continue;
        const text = new TextDecoder().decode(entry.name);
        assertTrue(!/[/\0]/.test(text) && !["", ".", ".."].includes(text), text);
        assertTrue(!new TextDecoder().decode(entry.target).startsWith("/"));
      }
    }),
    { numRuns: 20_000 },
  );
  assertTrue(accepted > 500, `${accepted}`);
});

Deno.test("ManifestReader refuses more roots than any command names", () => {
  const reader = new ManifestReader({ offer: offerOf({ counting: true }) });
  const sketches = Array.from({ length: 4096 }, () => ({}));
  for (let page = 0; page < 64; page++) reader.read(columnsOf(sketches, { first: page * 4096, last: false }));
  assertThrows(() => reader.read(columnsOf([{}], { first: 64 * 4096 })), "LIMIT_EXCEEDED");
});
