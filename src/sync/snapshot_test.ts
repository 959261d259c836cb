import { assertEquals, assertTrue } from "../base/testing.ts";
import { flipped, pagesOf, snapshotOf as snapshotOfPages } from "./pages.ts";
import { DIRECTORY, FILE, type Snapshot, SnapshotBuilder } from "./snapshot.ts";
import { snapshotOf } from "./testing.ts";

function many(count: number, { changed = -1 }: { changed?: number } = {}): Snapshot {
  const builder = new SnapshotBuilder({ ends: 2 });
  for (let i = 0; i < count; i++) {
    const stamp = new Uint8Array(40).fill(i === changed ? 99 : i % 7);
    const isFolder = i % 10 === 0;
    builder.add({
      kind: isFolder ? DIRECTORY : FILE,
      depth: isFolder ? 0 : 1,
      name: new TextEncoder().encode(`name-${i}`),
      mode: 0o644,
      size: i,
      mtime: BigInt(i) * 1_000_000_007n,
      content: new Uint8Array(32).fill(i % 251),
      stamps: [stamp, new Uint8Array(40).fill(i % 11)],
      settled: i % 4,
    });
  }
  return builder.finish();
}

Deno.test("Snapshot.find() finds what paths() gives", () => {
  const snapshot = snapshotOf("a=1 d/b=2 d/e/c=3 f->x");
  const paths = [...snapshot.paths()];
  assertEquals(paths.map(({ path }) => path), ["a", "d", "d/b", "d/e", "d/e/c", "f"]);
  for (const { row, path } of paths) assertEquals(snapshot.find(path), row);
  const some = new Set([0, 3, 4].map((at) => paths[at]!.row));
  assertEquals([...snapshot.paths(some)], [0, 3, 4].map((at) => paths[at]!));
  assertEquals([snapshot.find("b"), snapshot.find("d/c"), snapshot.find("a/b")], [-1, -1, -1]);
});

Deno.test("pages of an ancestor give it back, and a change rewrites few of them", () => {
  const one = many(20_000), other = many(20_000, { changed: 10_001 });
  const pages = [...pagesOf(one)];
  const back = snapshotOfPages(pages.map(({ bytes }) => bytes))!;
  assertEquals(back.count, one.count);
  assertEquals(back.columns.names, one.columns.names);
  for (const column of ["kinds", "depths", "modes", "sizes", "mtimes", "contents", "settled"] as const) {
    assertEquals(back.columns[column] as unknown, one.columns[column] as unknown, column);
  }
  assertEquals(back.columns.stamps, one.columns.stamps);
  const ids = new Set(pages.map(({ id }) => id.toHex()));
  const fresh = [...pagesOf(other)].filter(({ id }) => !ids.has(id.toHex()));
  assertTrue(pages.length > 5, `${pages.length} pages`);
  assertEquals(fresh.length, 1);
});

Deno.test("SnapshotBuilder.addRows() adds what add() does row by row", () => {
  const [one, other] = [many(500), flipped(many(500, { changed: 77 }))];
  const [whole, rows] = [new SnapshotBuilder({ ends: 2 }), new SnapshotBuilder({ ends: 2 })];
  // The second end is that of rows further on in another snapshot.
  for (const [from, to] of [[3, 4], [4, 4], [70, 80], [100, 450]] as const) {
    const ends = [{ snapshot: one, end: 1, from }, { snapshot: other, end: 0, from: from + 5 }];
    whole.addRows(one, { from, to, ends });
    for (let row = from; row < to; row++) {
      rows.add({
        kind: one.kind(row),
        depth: one.depth(row),
        name: one.nameBytes(row),
        mode: one.mode(row),
        size: one.size(row),
        mtime: one.mtime(row),
        content: one.content(row),
        stamps: [one.stamp(row, 1), other.stamp(row + 5, 0)],
        settled: (one.isSettled(row, 1) ? 1 : 0) | (other.isSettled(row + 5, 0) ? 2 : 0),
      });
    }
  }
  assertEquals(whole.count, 361);
  assertEquals(whole.finish().columns, rows.finish().columns);
});

Deno.test("flipped() gives the other end's stamps first", () => {
  const one = many(5), other = flipped(one);
  assertEquals(other.stamp(3, 0), one.stamp(3, 1));
  assertEquals([other.isSettled(1, 0), other.isSettled(1, 1)], [one.isSettled(1, 1), one.isSettled(1, 0)]);
  assertEquals(flipped(other).columns.settled, one.columns.settled);
});

Deno.test("snapshotOf() of pages gives nothing for what does not fit together", () => {
  const { bytes } = [...pagesOf(many(10))][0]!;
  assertEquals(snapshotOfPages([bytes.subarray(0, bytes.length - 1)]), undefined);
  assertEquals(snapshotOfPages([bytes.subarray(0, 7)]), undefined);
  const deep = bytes.slice();
  new DataView(deep.buffer).setUint32(0, 0xffffffff, true);
  assertEquals(snapshotOfPages([deep]), undefined);
  // A first row that is below nothing.
  const orphan = new SnapshotBuilder({ ends: 2 });
  orphan.add({ kind: FILE, depth: 1, name: new Uint8Array([97]), mode: 0, size: 0, mtime: 0n });
  assertEquals(snapshotOfPages([...pagesOf(orphan.finish())].map(({ bytes }) => bytes)), undefined);
});

Deno.test("a snapshot of a million entries takes less than 128 MiB", () => {
  const builder = new SnapshotBuilder({ ends: 1, capacity: 1 << 20 });
  const name = new TextEncoder().encode("a-name-of-16-byt");
  for (let i = 0; i < 1_000_000; i++) {
    builder.add({ kind: FILE, depth: 0, name, mode: 0, size: 1, mtime: 1n });
  }
  const { columns, ends } = builder.finish();
  const columnsOf = [...Object.values(columns).flat(), ends] as ArrayBufferView[];
  const bytes = columnsOf.reduce((sum, column) => sum + column.byteLength, 0);
  assertTrue(bytes < 128 * 2 ** 20, `${bytes} bytes`);
});
