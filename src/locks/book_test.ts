import { SimulatedClock, systemClock } from "../base/clock.ts";
import { Database } from "../store/database.ts";
import { LockBook, lockedPath, newToken } from "./book.ts";
import { assertEquals, assertRejects, assertThrows, assertTrue } from "../base/testing.ts";

async function withDir(run: (dir: string) => Promise<void>): Promise<void> {
  const dir = await Deno.makeTempDir();
  try {
    await run(await Deno.realPath(dir));
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

const wanted = (path: string, ttlMs = 10_000) => ({ path, isShared: false, owner: "me", ttlMs });

Deno.test("LockBook keeps locks over processes, by tokens that its file does not have", () =>
  withDir(async (dir) => {
    const clock = new SimulatedClock();
    using book = new LockBook(`${dir}/state`, { clock });
    assertEquals(book.list(), []);
    assertTrue(await Deno.stat(`${dir}/state`).then(() => false, () => true), "looking makes no file");
    const lock = await book.acquire(wanted("/a/b"), { waitMs: 0 });
    assertTrue(/^[0-9a-f]{32}$/.test(lock.token));
    using other = new LockBook(`${dir}/state`, { clock }); // another process sees the same
    await assertRejects(
      () => other.acquire(wanted("/a"), { waitMs: 0 }),
      "BUSY",
      'me has locked "/a/b" until 2025',
    );
    assertEquals(other.list("/a/b/c").map(({ path }) => path), ["/a/b"]);
    assertEquals(other.list("/a/c"), []);
    assertThrows(() => other.release("0".repeat(32)), "NOT_FOUND");
    await clock.advance(9000);
    assertEquals(other.renew(lock.token, { ttlMs: 5000 }).expiresMs, clock.now() + 5000);
    other.release(lock.token);
    assertThrows(() => book.renew(lock.token, { ttlMs: 5000 }), "NOT_FOUND");
    const again = await other.acquire(wanted("/a"), { waitMs: 0 });
    for (const { name } of await Array.fromAsync(Deno.readDir(`${dir}/state`))) {
      const text = new TextDecoder("latin1").decode(await Deno.readFile(`${dir}/state/${name}`));
      assertTrue(!text.includes(again.token) && !text.includes(lock.token), name);
    }
    assertEquals(book.breakAt("/a").length, 1);
    assertEquals(book.list(), []);
  }));

Deno.test("LockBook.acquire() waits its turn, and no longer than it was told to", () =>
  withDir(async (dir) => {
    const clock = new SimulatedClock();
    using book = new LockBook(dir, { clock });
    const first = await book.acquire(wanted("/x", 60_000), { waitMs: 0 });
    const second = book.acquire(wanted("/x", 60_000), { waitMs: 30_000 });
    const hasty = assertRejects(
      () => book.acquire(wanted("/x"), { waitMs: 1000 }),
      "BUSY",
      "me has locked it",
    );
    await clock.advance(2000);
    await hasty;
    book.release(first.token);
    await clock.advance(400);
    const held = await second;
    // A holder that crashed: nobody releases it.
    const third = book.acquire(wanted("/x"), { waitMs: 3_600_000 });
    await clock.advance(held.expiresMs - clock.now() + 400);
    book.release((await third).token);
    const controller = new AbortController();
    await book.acquire(wanted("/x"), { waitMs: 0 });
    const stopped = book.acquire(wanted("/x"), { waitMs: 9000, signal: controller.signal });
    controller.abort(new Error("enough"));
    await assertRejects(() => stopped, undefined, "enough");
  }));

Deno.test("LockBook.ask() gives the same lock to the same token, and keeps whose it is over processes", () =>
  withDir((dir) => {
    const clock = new SimulatedClock();
    using book = new LockBook(dir, { clock });
    const [first, second] = [newToken(), newToken()];
    const far = { ...wanted("/x"), machine: "ab" };
    assertEquals(book.ask(far, { token: first, waits: false }).is, "held");
    using other = new LockBook(dir, { clock });
    assertEquals(other.ask(far, { token: first, waits: true }).is, "held");
    assertEquals([other.list().length, other.find(first)?.machine], [1, "ab"]);
    assertThrows(() => other.ask(wanted("/y"), { token: first, waits: true }), "INVALID_ARGUMENT");
    assertEquals(other.ask(wanted("/x/y"), { token: second, waits: true }).is, "waiting");
    assertEquals(book.find(second), undefined);
    // Without waiting the place is given up.
    assertEquals(other.ask(wanted("/x/y"), { token: second, waits: false }).is, "refused");
    book.release(first);
    assertEquals(book.ask(wanted("/x"), { token: newToken(), waits: false }).is, "held");
    return Promise.resolve();
  }));

Deno.test("LockBook.ended() tells when the first of some locks ends, by whatever", () =>
  withDir(async (dir) => {
    const clock = new SimulatedClock();
    using book = new LockBook(dir, { clock });
    const { signal } = new AbortController();
    const tokens: string[] = [];
    for (const path of ["/a", "/b", "/c"]) {
      tokens.push((await book.acquire(wanted(path, 60_000), { waitMs: 0 })).token);
    }
    const keys = () => new Set(book.list().map(({ key }) => key));
    let ended = 0;
    const wait = () => void book.ended(keys(), { signal }).then(() => ended++);
    wait();
    await clock.advance(3000);
    assertEquals(ended, 0);
    book.renew(tokens[1]!, { ttlMs: 3_600_000 });
    book.release(tokens[0]!);
    await clock.advance(1000);
    assertEquals(ended, 1);
    wait();
    await clock.advance(55_000);
    assertEquals(ended, 1);
    await clock.advance(2000);
    assertEquals([ended, keys().size], [2, 1], "the one that was not renewed");
    const stop = new AbortController();
    const stopped = book.ended(keys(), stop);
    stop.abort(new Error("enough"));
    await assertRejects(() => stopped, undefined, "enough");
  }));

Deno.test("LockBook takes over the file of a version that knew no other machines", () =>
  withDir(async (dir) => {
    const clock = new SimulatedClock();
    {
      const options = { what: "the locks", expendable: true, onReplaced: () => {} };
      using old = Database.open(`${dir}/locks.db`, { ...options, migrations: FIRST_MIGRATIONS });
      old.run(
        "INSERT INTO locks VALUES ('k', '/x', 0, 'old', 10000, NULL, ?, ?)",
        clock.now(),
        clock.now() + 10_000,
      );
    }
    using book = new LockBook(dir, { clock });
    await assertRejects(() => book.acquire(wanted("/x"), { waitMs: 0 }), "BUSY", "old has locked it");
    assertEquals(book.list().map(({ path, machine }) => [path, machine]), [["/x", undefined]]);
  }));

/** As they were before locks had a machine. */
const FIRST_MIGRATIONS = [`
  CREATE TABLE locks (
    key TEXT PRIMARY KEY, path TEXT NOT NULL, shared INTEGER NOT NULL, owner TEXT NOT NULL, ttl_ms REAL NOT NULL,
    ticket INTEGER, since_ms REAL NOT NULL, expires_ms REAL
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
`];

Deno.test("LockBook gives one path to one of many at a time", () =>
  withDir(async (dir) => {
    let holders = 0, most = 0, served = 0;
    await Promise.all(Array.from({ length: 8 }, async () => {
      using book = new LockBook(dir, { clock: systemClock });
      const { token } = await book.acquire(wanted("/x"), { waitMs: 60_000 });
      most = Math.max(most, ++holders);
      await new Promise((resolve) => setTimeout(resolve, 0));
      holders--;
      served++;
      book.release(token);
    }));
    assertEquals([most, served], [1, 8]);
  }));

Deno.test("LockBook of a damaged file has no locks", () =>
  withDir(async (dir) => {
    const clock = new SimulatedClock();
    {
      using book = new LockBook(dir, { clock });
      await book.acquire(wanted("/x"), { waitMs: 0 });
    }
    await Deno.writeTextFile(`${dir}/locks.db`, "nothing like it".repeat(1000));
    using book = new LockBook(dir, { clock });
    assertEquals(book.list(), []);
    await book.acquire(wanted("/x"), { waitMs: 0 });
  }));

Deno.test("lockedPath() is where a path really is, whether it is there or not", () =>
  withDir(async (dir) => {
    await Deno.mkdir(`${dir}/d`);
    await Deno.symlink("d", `${dir}/link`);
    assertEquals(await lockedPath(`${dir}/link/new/x`), `${dir}/d/new/x`);
    assertEquals(await lockedPath(`${dir}/d/`), `${dir}/d`);
    assertEquals(await lockedPath("/"), "/");
    await assertRejects(() => lockedPath("/a\udc80"), "INVALID_ARGUMENT");
  }));
