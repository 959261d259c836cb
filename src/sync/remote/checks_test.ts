import fc from "fast-check";
import { type ErrorCode, isWormholeError } from "../../base/errors.ts";
import { assertEquals, assertThrows, assertTrue } from "../../base/testing.ts";
import { encodePage, pagesOf, snapshotOf, WIRE_CUT } from "../pages.ts";
import { type NewEntry, type Snapshot, SnapshotBuilder } from "../snapshot.ts";
import { checkSnapshot, parsePath } from "./checks.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

Deno.test("parsePath() takes what is below a root and nothing else", () => {
  for (const good of ["a", "a/b/c", "...", ".wormhole", "a/.wormhole-sync2", "ü/\u{1f600}"]) {
    assertEquals(parsePath(bytes(good)) as string, good);
  }
  assertEquals(parsePath(Uint8Array.of(0xff, 0x2f, 0x61)) as string, "\udcff/a");
  const bad: [string, ErrorCode][] = [
    ["", "HOSTILE_NAME"],
    ["/", "HOSTILE_NAME"],
    ["/etc/passwd", "HOSTILE_NAME"],
    ["..", "HOSTILE_NAME"],
    ["../x", "HOSTILE_NAME"],
    ["a/../../x", "HOSTILE_NAME"],
    ["a/./b", "HOSTILE_NAME"],
    ["a//b", "HOSTILE_NAME"],
    ["a/", "HOSTILE_NAME"],
    ["a\0b", "HOSTILE_NAME"],
    [".wormhole-sync", "HOSTILE_NAME"],
    [".wormhole-sync/root", "HOSTILE_NAME"],
    [".Wormhole-SYNC/trash/x", "HOSTILE_NAME"],
    [".wormhole-\uff53ync/x", "HOSTILE_NAME"],
    ["a/.wormhole-sync", "HOSTILE_NAME"],
    ["a/\u2024WORMHOLE-SYNC/arrived", "HOSTILE_NAME"],
    ["x".repeat(256), "NAME_TOO_LONG"],
    ["a/".repeat(512) + "a", "LIMIT_EXCEEDED"],
    ["x".repeat(70_000), "LIMIT_EXCEEDED"],
  ];
  for (const [path, code] of bad) assertThrows(() => parsePath(bytes(path)), code);
});

Deno.test("checkSnapshot() takes a real one and refuses what no scan gives", () => {
  checkSnapshot(
    made([
      { name: "a" },
      { name: "b", kind: 2 },
      { name: ".wormhole-sync", depth: 1, kind: 5 },
      { name: "c", depth: 1 },
      { name: "d", kind: 5 },
    ]),
  );
  const bad: [string, Partial<Row>[], ErrorCode][] = [
    ["a kind", [{ kind: 4 }], "PROTOCOL"],
    ["a negative size", [{ size: -1 }], "PROTOCOL"],
    ["half a byte", [{ size: 0.5 }], "PROTOCOL"],
    ["no number", [{ size: NaN }], "PROTOCOL"],
    ["a size beyond 2^53", [{ size: 2 ** 60 }], "PROTOCOL"],
    ["a folder with a size", [{ kind: 2, size: 1 }], "PROTOCOL"],
    ["a set-uid bit", [{ mode: 0o4755 }], "PROTOCOL"],
    ["settled at an end that there is not", [{ settled: 2 }], "PROTOCOL"],
    ["a slash", [{ name: "a/b" }], "HOSTILE_NAME"],
    ["a zero byte", [{ name: "a\0" }], "HOSTILE_NAME"],
    ["the folder itself", [{ name: "." }], "HOSTILE_NAME"],
    ["the folder above", [{ name: ".." }], "HOSTILE_NAME"],
    ["no name", [{ name: "" }], "HOSTILE_NAME"],
    ["a long name", [{ name: "x".repeat(256) }], "NAME_TOO_LONG"],
    ["sync's own folder", [{ name: ".wormhole-sync", kind: 2 }], "PROTOCOL"],
    [
      "sync's own folder of a root within, as a folder",
      [{ name: "a", kind: 2 }, { name: ".wormhole-sync", kind: 2, depth: 1 }],
      "PROTOCOL",
    ],
    [
      "the same in other characters",
      [{ name: "a", kind: 2 }, { name: "\u2024wormhole-Sync", kind: 3, depth: 1 }],
      "PROTOCOL",
    ],
    ["the same twice", [{ name: "a" }, { name: "a" }], "PROTOCOL"],
    ["names that descend", [{ name: "b" }, { name: "a" }], "PROTOCOL"],
    ["something below a file", [{ name: "a" }, { name: "b", depth: 1 }], "PROTOCOL"],
    ["something below what is opaque", [{ name: "a", kind: 5 }, { name: "b", depth: 1 }], "PROTOCOL"],
    ["something below nothing", [{ name: "a", kind: 2 }, { name: "b", depth: 2 }], "PROTOCOL"],
    [
      "the same twice in a folder",
      [{ name: "a", kind: 2 }, { name: "b", depth: 1 }, { name: "b", depth: 1 }],
      "PROTOCOL",
    ],
    [
      "too deep",
      Array.from({ length: 513 }, (_, depth) => ({ name: "a", kind: 2, depth })),
      "LIMIT_EXCEEDED",
    ],
  ];
  for (const [description, rows, code] of bad) {
    assertThrows(() => checkSnapshot(made(rows)), code);
    assertTrue(description);
  }
});

Deno.test("pages with any bytes changed give a snapshot that is refused, or one without a hostile name", () => {
  const rows = Array.from({ length: 200 }, (_, i) => ({ name: `n${1000 + i}`, kind: i % 50 === 0 ? 2 : 1 }));
  const [page] = [...pagesOf(made(rows), WIRE_CUT)];
  const edit = fc.record({ at: fc.nat(page!.bytes.length - 1), value: fc.nat(255) });
  fc.assert(
    fc.property(fc.array(edit, { minLength: 1, maxLength: 6 }), (edits) => {
      const spoilt = page!.bytes.slice();
      for (const { at, value } of edits) spoilt[at] = value;
      try {
        const snapshot = snapshotOf([spoilt], 1);
        if (snapshot === undefined) return;
        checkSnapshot(snapshot);
        for (const { path } of snapshot.paths()) parsePath(bytes(path));
      } catch (error) {
        assertTrue(isWormholeError(error), String(error));
      }
    }),
    { numRuns: 500 },
  );
});

Deno.test("pages for the wire fit a frame however long names are, and come back as they were", () => {
  const snapshot = made(
    Array.from({ length: 6000 }, (_, i) => ({ name: `${10_000 + i}${"x".repeat(250)}` })),
  );
  const pages = [...pagesOf(snapshot, { ...WIRE_CUT, mask: ~0 })];
  assertTrue(pages.length > 1 && pages.every(({ bytes }) => bytes.length <= 896 * 1024));
  const back = snapshotOf(pages.map(({ bytes }) => bytes), 1)!;
  assertEquals(back.count, 6000);
  assertEquals(encodePage(back, 0, 100).toHex(), encodePage(snapshot, 0, 100).toHex());
});

interface Row extends Omit<NewEntry, "name"> {
  readonly name: string;
}

function made(rows: readonly Partial<Row>[]): Snapshot {
  const builder = new SnapshotBuilder({ ends: 1 });
  for (const { name = "a", ...row } of rows) {
    builder.add({
      kind: 1,
      depth: 0,
      mode: 0o644,
      size: row.kind === 2 ? 0 : 1,
      mtime: 1n,
      ...row,
      name: bytes(name),
    });
  }
  return builder.finish();
}
