/**
 * The last two snapshots of one folder as pages, in a file of its own: the machine that has the folder spares itself hashing with
 * the last one, and tells how pages differ from those of the one before; the other machine asks for those pages only that it
 * lacks. It can always be done without.
 */
import { concat, sameBytes } from "../../base/bytes.ts";
import { isWormholeError } from "../../base/errors.ts";
import { hashBuffer } from "../../native/hash.ts";
import { Database } from "../../store/database.ts";
import { setAside } from "../../store/database_file.ts";
import { rowSum } from "../../store/row_sum.ts";
import { type Page, PAGE_ID_BYTES, snapshotOf } from "../pages.ts";
import { Snapshot } from "../snapshot.ts";

const MIGRATIONS = [`
  CREATE TABLE pages (id BLOB PRIMARY KEY, bytes BLOB NOT NULL) STRICT, WITHOUT ROWID;
  CREATE TABLE lists (name TEXT PRIMARY KEY, ids BLOB NOT NULL, sum INTEGER NOT NULL) STRICT, WITHOUT ROWID;
`];

/** Names of the lists: of the last snapshot, and of the one before. */
const LAST = "last", BEFORE = "before";

/** Name of the row that says what stood for the last snapshot, no list of ids. */
const MARK = "mark";

/** See the top of this file. */
export class PageCache implements Disposable {
  readonly #database: Database;

  private constructor(database: Database) {
    this.#database = database;
  }

  /** Opens or makes the file at `path`. @throws {WormholeError} when the disk does not let it. */
  static open(path: string): PageCache {
    const open = () =>
      Database.open(path, { what: "what a folder looked like", migrations: MIGRATIONS, expendable: true });
    try {
      return new PageCache(open());
    } catch (error) {
      if (!isWormholeError(error, "VERSION_UNSUPPORTED")) throw error;
      setAside(path, "newer");
      return new PageCache(open());
    }
  }

  /** Gives the ids of the last snapshot's pages in order; none when nothing is known. */
  ids(): Uint8Array<ArrayBuffer> {
    return this.#list(LAST);
  }

  #list(name: string): Uint8Array<ArrayBuffer> {
    const row = this.#database.get<{ ids: Uint8Array<ArrayBuffer>; sum: number }>(
      "SELECT ids, sum FROM lists WHERE name = ?",
      name,
    );
    return row !== undefined && row.sum === rowSum(name, row.ids) ? row.ids : new Uint8Array(0);
  }

  /** Gives a page by its id; undefined when it is not there or not what it was. */
  page(id: Uint8Array<ArrayBuffer>): Uint8Array | undefined {
    const bytes = this.#database.get<{ bytes: Uint8Array }>("SELECT bytes FROM pages WHERE id = ?", id)
      ?.bytes;
    return bytes !== undefined && sameBytes(hashBuffer(bytes), id) ? bytes : undefined;
  }

  /** Gives the last snapshot, with stamps for one end; an empty one when it is not all there. */
  snapshot(): Snapshot {
    const ids = this.ids();
    const pages: Uint8Array[] = [];
    for (let at = 0; at < ids.length; at += PAGE_ID_BYTES) {
      const page = this.page(ids.slice(at, at + PAGE_ID_BYTES));
      if (page === undefined) return Snapshot.empty(1);
      pages.push(page);
    }
    return snapshotOf(pages, 1) ?? Snapshot.empty(1);
  }

  /** Gives what was said by {@linkcode PageCache.keepMark}, if `mark` still stands for the last snapshot. */
  marked(mark: Uint8Array): { entries: number; isEmpty: boolean } | undefined {
    const row = this.#list(MARK);
    const expected = this.#marked(mark);
    if (row.length !== expected.length + 5 || !sameBytes(row.subarray(0, expected.length), expected)) {
      return undefined;
    }
    const view = new DataView(row.buffer, row.byteOffset);
    return {
      entries: view.getUint32(expected.length, true),
      isEmpty: view.getUint8(expected.length + 4) === 1,
    };
  }

  /** Remembers that `mark`, 32 bytes, stands for the last snapshot: a folder with that mark has it. */
  keepMark(mark: Uint8Array, { entries, isEmpty }: { entries: number; isEmpty: boolean }): void {
    const expected = this.#marked(mark);
    const row = new Uint8Array(expected.length + 5);
    row.set(expected);
    const view = new DataView(row.buffer);
    view.setUint32(expected.length, entries, true);
    view.setUint8(expected.length + 4, isEmpty ? 1 : 0);
    this.#database.run("INSERT OR REPLACE INTO lists VALUES (?, ?, ?)", MARK, row, rowSum(MARK, row));
  }

  #marked(mark: Uint8Array): Uint8Array {
    return concat(mark, hashBuffer(this.ids()));
  }

  /** Remembers the pages of another snapshot, and those of the last one beside them. */
  save(pages: readonly Pick<Page, "id" | "bytes">[]): void {
    const ids = new Uint8Array(PAGE_ID_BYTES * pages.length);
    for (const [i, { id }] of pages.entries()) ids.set(id, PAGE_ID_BYTES * i);
    const before = this.ids();
    if (sameBytes(ids, before)) return;
    this.#database.transaction(() => {
      const wanted = new Map(pages.map((page) => [page.id.toHex(), page]));
      const old = new Set<string>();
      for (let at = 0; at < before.length; at += PAGE_ID_BYTES) {
        old.add(before.subarray(at, at + PAGE_ID_BYTES).toHex());
      }
      const there = this.#database.all<{ id: Uint8Array<ArrayBuffer> }>("SELECT id FROM pages");
      for (const { id } of there) {
        const isWanted = wanted.delete(id.toHex());
        if (!isWanted && !old.has(id.toHex())) this.#database.run("DELETE FROM pages WHERE id = ?", id);
      }
      for (const { id, bytes } of wanted.values()) {
        this.#database.run("INSERT OR REPLACE INTO pages VALUES (?, ?)", id, bytes);
      }
      for (const [name, list] of [[LAST, ids], [BEFORE, before]] as const) {
        this.#database.run("INSERT OR REPLACE INTO lists VALUES (?, ?, ?)", name, list, rowSum(name, list));
      }
    });
  }

  [Symbol.dispose](): void {
    this.#database[Symbol.dispose]();
  }
}
