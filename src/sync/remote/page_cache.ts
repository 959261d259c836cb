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
import {
  type NewPage,
  type Paged,
  paged,
  pagedAs,
  pagesToKeep,
  PageStore,
  PATCHED_PAGES,
} from "../page_store.ts";
import { PAGE_ID_BYTES, snapshotOf, WIRE_CUT } from "../pages.ts";
import { Snapshot } from "../snapshot.ts";

const MIGRATIONS = [
  `
  CREATE TABLE pages (id BLOB PRIMARY KEY, bytes BLOB NOT NULL) STRICT, WITHOUT ROWID;
  CREATE TABLE lists (name TEXT PRIMARY KEY, ids BLOB NOT NULL, sum INTEGER NOT NULL) STRICT, WITHOUT ROWID;
`,
  PATCHED_PAGES,
];

/** Names of the lists: of the last snapshot, and of the one before. */
const LAST = "last", BEFORE = "before";

/** Name of the row that says what stood for the last snapshot, no list of ids. */
const MARK = "mark";

/** See the top of this file. */
export class PageCache implements Disposable {
  readonly #database: Database;
  readonly #pages: PageStore;
  /** The last snapshot, if it was read and no other one was written since. */
  #last: Paged | undefined;

  private constructor(database: Database) {
    this.#database = database;
    this.#pages = new PageStore(database);
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
    return this.#pages.page(id);
  }

  /** Gives the last snapshot, with stamps for one end; an empty one when it is not all there. */
  snapshot(): Snapshot {
    const ids = this.ids();
    const pages = this.#pages.pages(ids);
    const snapshot = pages && snapshotOf(pages, 1);
    this.#last = snapshot && pagedAs(snapshot, ids, pages!);
    return snapshot ?? Snapshot.empty(1);
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

  /** Remembers another snapshot, and the last one beside it; gives what its pages are. */
  saveSnapshot(snapshot: Snapshot): Paged {
    const now = paged(snapshot, WIRE_CUT);
    this.save(now.ids, pagesToKeep(now, this.#last));
    this.#last = undefined;
    return now;
  }

  /** Remembers the pages of another snapshot, and those of the last one beside them. */
  save(ids: Uint8Array<ArrayBuffer>, pages: readonly NewPage[]): void {
    const before = this.ids();
    if (sameBytes(ids, before)) return;
    this.#database.transaction(() => {
      const old = new Set<string>();
      for (let at = 0; at < before.length; at += PAGE_ID_BYTES) {
        old.add(before.subarray(at, at + PAGE_ID_BYTES).toHex());
      }
      this.#pages.keep(pages, old);
      for (const [name, list] of [[LAST, ids], [BEFORE, before]] as const) {
        this.#database.run("INSERT OR REPLACE INTO lists VALUES (?, ?, ?)", name, list, rowSum(name, list));
      }
    });
  }

  [Symbol.dispose](): void {
    this.#database[Symbol.dispose]();
  }
}
