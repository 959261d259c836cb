import { assertEquals, assertTrue } from "../base/testing.ts";
import { Database } from "../store/database.ts";
import { type Paged, paged, pagesToKeep, PageStore, PATCHED_PAGES } from "./page_store.ts";
import { snapshotOf } from "./pages.ts";
import { FILE, type Snapshot, SnapshotBuilder } from "./snapshot.ts";

const PAGES = "CREATE TABLE pages (id BLOB PRIMARY KEY, bytes BLOB NOT NULL) STRICT, WITHOUT ROWID;";

function open(): { database: Database; store: PageStore } {
  const database = Database.open(":memory:", {
    what: "pages",
    migrations: [PAGES, PATCHED_PAGES],
    expendable: true,
  });
  return { database, store: new PageStore(database) };
}

/** Files whose contents are `edits` of their numbers, zeros for the others; those of `without` are missing. */
function files(count: number, edits: Record<number, number> = {}, without = -1): Snapshot {
  const builder = new SnapshotBuilder({ ends: 2 });
  for (let i = 0; i < count; i++) {
    if (i === without) continue;
    const stamp = new Uint8Array(40).fill(edits[i] ?? i % 5);
    builder.add({
      kind: FILE,
      depth: 0,
      name: new TextEncoder().encode(String(i).padStart(7, "0")),
      mode: 0o644,
      size: edits[i] ?? 0,
      mtime: BigInt(i),
      content: new Uint8Array(32).fill(edits[i] ?? 0),
      stamps: [stamp, stamp],
      settled: 3,
    });
  }
  return builder.finish();
}

/** Bytes of whole pages, and of patches. */
function sizes(database: Database): readonly [pages: number, patches: number] {
  const sum = (sql: string) => database.get<{ bytes: number }>(sql)!.bytes;
  return [
    sum("SELECT coalesce(sum(length(bytes)), 0) AS bytes FROM pages"),
    sum("SELECT coalesce(sum(length(patch)), 0) AS bytes FROM patches"),
  ];
}

function mustHave(store: PageStore, { ids, snapshot }: Paged, about: string): void {
  const back = snapshotOf(store.pages(ids)!)!;
  assertEquals(back.columns, snapshotOf(store.pages(paged(snapshot).ids)!)!.columns, about);
  assertEquals(back.count, snapshot.count, about);
  for (const column of ["sizes", "contents", "names"] as const) {
    assertEquals(back.columns[column] as unknown, snapshot.columns[column] as unknown, about);
  }
  assertEquals(back.columns.stamps, snapshot.columns.stamps, about);
}

Deno.test("PageStore writes what changed in place, run after run, and gives every page as it is", () => {
  const { database, store } = open();
  using _database = database;
  const keep = (now: Paged, before?: Paged, old?: ReadonlySet<string>) =>
    database.transaction(() => store.keep(pagesToKeep(now, before), old));
  let last = paged(files(20_000));
  keep(last);
  mustHave(store, last, "the first time");
  const [whole] = sizes(database);
  assertTrue(whole > 20_000 * 130, `${whole} bytes`);
  const edits: Record<number, number> = {};
  for (let round = 1; round < 6; round++) {
    for (let i = round; i < 20_000; i += 500) edits[i] = round;
    const now = paged(files(20_000, edits));
    keep(now, last);
    mustHave(store, now, `round ${round}`);
    const [pages, patches] = sizes(database);
    assertEquals(pages, whole, "no page is written again");
    assertTrue(patches > 0 && patches < round * 40 * 300, `${patches} bytes of patches`);
    last = now;
  }
  // A page in which too much changed, or other names are, is written whole, and what only it needed goes.
  for (let i = 0; i < 20_000; i += 2) edits[i] = 77;
  const most = paged(files(20_000, edits));
  keep(most, last);
  mustHave(store, most, "half of all");
  assertEquals(sizes(database), [whole, 0]);
  const fewer = paged(files(20_000, edits, 5_000));
  keep(fewer, most);
  mustHave(store, fewer, "one less");
  assertTrue(sizes(database)[0] < whole, "a row is gone");
});

Deno.test("PageStore keeps what older pages need, and nothing else", () => {
  const { database, store } = open();
  using _database = database;
  const [one, two, three] = [files(3000), files(3000, { 7: 1 }), files(3000, { 7: 2 })].map((each) =>
    paged(each)
  );
  const idsOf = ({ ids }: Paged) => {
    const all = new Set<string>();
    for (let at = 0; at < ids.length; at += 32) all.add(ids.subarray(at, at + 32).toHex());
    return all;
  };
  const keep = (now: Paged, before: Paged | undefined, old: ReadonlySet<string>) =>
    database.transaction(() => store.keep(pagesToKeep(now, before), old));
  keep(one!, undefined, new Set());
  keep(two!, one, idsOf(one!));
  for (const each of [one!, two!]) mustHave(store, each, "the last and the one before");
  keep(three!, two, idsOf(two!));
  for (const each of [two!, three!]) mustHave(store, each, "both have one base");
  keep(one!, three, new Set());
  mustHave(store, one!, "back again");
  assertEquals(sizes(database)[1], 0);
  assertEquals(store.pages(two!.ids), undefined);
});

Deno.test("PageStore gives no page that is damaged, whole or as a patch, and writes it anew", () => {
  for (
    const damage of [
      "UPDATE patches SET patch = zeroblob(length(patch))",
      "UPDATE patches SET patch = substr(patch, 1, 9)",
      "UPDATE patches SET base = zeroblob(32)",
      "UPDATE pages SET bytes = zeroblob(length(bytes)) WHERE id IN (SELECT base FROM patches)",
      "DELETE FROM pages WHERE id IN (SELECT base FROM patches)",
    ]
  ) {
    const { database, store } = open();
    using _database = database;
    const [one, two, three] = [files(3000), files(3000, { 7: 1 }), files(3000, { 7: 1, 9: 3 })].map((each) =>
      paged(each)
    );
    database.transaction(() => store.keep(pagesToKeep(one!)));
    database.transaction(() => store.keep(pagesToKeep(two!, one)));
    database.run(damage);
    assertEquals(store.pages(two!.ids), undefined, damage);
    database.transaction(() => store.keep(pagesToKeep(two!, two)));
    mustHave(store, two!, damage);
    database.transaction(() => store.keep(pagesToKeep(three!, two)));
    mustHave(store, three!, damage);
  }
});

Deno.test("PATCHED_PAGES leaves the pages of an older database where they are", async () => {
  const path = await Deno.makeTempFile();
  try {
    const options = { what: "pages", expendable: false };
    const pages = pagesToKeep(paged(files(3000)));
    {
      using older = Database.open(path, { ...options, migrations: [PAGES] });
      for (const { id, bytes } of pages) older.run("INSERT INTO pages VALUES (?, ?)", id, bytes());
    }
    using database = Database.open(path, { ...options, migrations: [PAGES, PATCHED_PAGES] });
    const store = new PageStore(database);
    for (const { id, bytes } of pages) assertEquals(store.page(id), bytes());
  } finally {
    for (const end of ["", "-wal", "-shm", ".lock"]) await Deno.remove(path + end).catch(() => {});
  }
});
