import fc from "fast-check";
import { isWormholeError } from "../base/errors.ts";
import { assertEquals, assertThrows } from "../base/testing.ts";
import {
  type Entry,
  packRanges,
  readEntries,
  readRequest,
  versionsOf,
  writeColumns,
  writeRequest,
} from "./columns.ts";
import type { Columns } from "./message.ts";

const name = new TextEncoder().encode("name");
const none = new Uint8Array();
const file: Omit<Entry, "id"> = {
  kind: "file",
  parent: undefined,
  name,
  mode: 0o644,
  size: 5,
  mtime: 1n,
  target: none,
};
const entries: Omit<Entry, "id">[] = [
  { ...file, kind: "directory", size: 0 },
  { ...file, parent: 7, size: Number.MAX_SAFE_INTEGER },
  { ...file, parent: 7, kind: "symlink", size: 0, target: name },
  { ...file, kind: "stream", size: 0, mtime: -(2n ** 63n) },
];

Deno.test("readEntries() gives back what writeColumns() took", () => {
  const columns = writeColumns(entries, { first: 7, last: true });
  assertEquals([...readEntries(columns)], entries.map((entry, i) => ({ id: 7 + i, ...entry })));
});

Deno.test("versionsOf() gives one version per entry, or none", () => {
  const page = {
    type: "manifest_page",
    page: 0,
    ...writeColumns(entries, { first: 7, last: true }),
  } as const;
  assertEquals(versionsOf(page), undefined);
  const versions = new Uint8Array(8 * entries.length).fill(3);
  assertEquals(versionsOf({ ...page, versions }), versions);
  assertThrows(() => versionsOf({ ...page, versions: versions.subarray(1) }), "PROTOCOL", '"versions"');
});

Deno.test("readEntries() refuses pages that contradict themselves", () => {
  const good = writeColumns(entries, { first: 7, last: true });
  const set = (column: keyof Columns, at: number, value: number) => {
    const copy = (good[column] as Uint8Array).slice();
    copy[at] = value;
    return { ...good, [column]: copy };
  };
  const cases: [string, Columns, "PROTOCOL" | "LIMIT_EXCEEDED", string][] = [
    ["a column short", { ...good, modes: good.modes.subarray(4) }, "PROTOCOL", "modes"],
    ["count too high", { ...good, count: 5 }, "PROTOCOL", "kinds"],
    ["unknown kind", set("kinds", 0, 9), "PROTOCOL", "unknown kind 9"],
    ["own parent", set("parents", 4, 8), "PROTOCOL", "precedes its parent"],
    ["later parent", set("parents", 4, 9), "PROTOCOL", "precedes its parent"],
    ["name of 260 bytes", set("name_lengths", 1, 1), "LIMIT_EXCEEDED", "name of 260 bytes"],
    ["names short", set("name_lengths", 6, 9), "PROTOCOL", "beyond the page's names"],
    ["names long", { ...good, names: new Uint8Array(17) }, "PROTOCOL", "names are longer"],
    ["targets long", { ...good, targets: new Uint8Array(5) }, "PROTOCOL", "targets are longer"],
    ["targets short", { ...good, targets: none }, "PROTOCOL", "beyond the page's targets"],
    ["mode with a type", set("modes", 1, 0x10), "PROTOCOL", "mode"],
    ["size of 2^53", set("sizes", 8 + 6, 0x20), "LIMIT_EXCEEDED", "size"],
    ["size of 2^63", set("sizes", 8 + 7, 0x80), "LIMIT_EXCEEDED", "size"],
    ["directory with a size", set("sizes", 0, 1), "PROTOCOL", "directory with a size"],
    ["stream with a size", set("sizes", 24, 0), "PROTOCOL", "stream with a size"],
    ["symlink without a target", set("sizes", 16, 0), "PROTOCOL", "without a target"],
    ["symlink of 64 KiB", set("sizes", 18, 1), "LIMIT_EXCEEDED", "size"],
  ];
  for (const [, columns, code, words] of cases) assertThrows(() => [...readEntries(columns)], code, words);
});

Deno.test("readEntries() throws nothing but WormholeError for random columns", () => {
  const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
  const page = fc.nat(6).chain((count) =>
    fc.record({
      first: fc.nat(2 ** 30 - 1),
      count: fc.constant(count),
      kinds: fc.array(fc.integer({ min: 0, max: 5 }), { minLength: count, maxLength: count }).map((kinds) =>
        Uint8Array.from(kinds)
      ),
      parents: bytes(count * 4),
      name_lengths: bytes(count * 2),
      names: fc.uint8Array({ maxLength: 50 }),
      modes: bytes(count * 4),
      sizes: bytes(count * 8),
      mtimes: bytes(count * 8),
      targets: fc.uint8Array({ maxLength: 50 }),
      last: fc.boolean(),
    })
  );
  fc.assert(
    fc.property(page, (columns) => {
      try {
        for (const _ of readEntries(columns));
      } catch (error) {
        if (!isWormholeError(error, "PROTOCOL", "LIMIT_EXCEEDED")) throw error;
      }
    }),
    { numRuns: 3000 },
  );
});

Deno.test("readRequest() gives back what writeRequest() took", () => {
  const request = {
    runs: [[0, 4], [9, 9]] as [number, number][],
    ranges: [{ entry: 5, offset: 2 ** 40, length: 4 }],
  };
  assertEquals(readRequest({ type: "request_chunks", ...writeRequest(request) }, 10), request);
});

Deno.test("readRequest() refuses unknown entries, backward runs and uneven columns", () => {
  const read = (request: Parameters<typeof writeRequest>[0]) =>
    readRequest({ type: "request_chunks", ...writeRequest(request) }, 10);
  assertThrows(() => read({ runs: [[0, 10]], ranges: [] }), "PROTOCOL", "entry 10");
  assertThrows(() => read({ runs: [[5, 4]], ranges: [] }), "PROTOCOL", "backwards");
  assertThrows(
    () => read({ runs: [], ranges: [{ entry: 10, offset: 0, length: 1 }] }),
    "PROTOCOL",
    "entry 10",
  );
  const top = { entry: 1, offset: Number.MAX_SAFE_INTEGER, length: 1 };
  assertThrows(() => read({ runs: [], ranges: [top] }), "LIMIT_EXCEEDED");
  const uneven = { ...writeRequest({ runs: [], ranges: [] }), range_entries: new Uint8Array(4) };
  assertThrows(() => readRequest({ type: "request_chunks", ...uneven }, 10), "PROTOCOL", "differ");
  const half = { ...writeRequest({ runs: [], ranges: [] }), runs: new Uint8Array(4) };
  assertThrows(() => readRequest({ type: "request_chunks", ...half }, 10), "PROTOCOL", "no end");
});

Deno.test("packRanges() writes 24 bytes each", () => {
  const packed = packRanges([{ entry: 1, offset: 2, length: 3 }]);
  assertEquals(packed.toHex(), "010000000000000002000000000000000300000000000000");
});
