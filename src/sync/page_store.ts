/**
 * Pages of snapshots in a database, each under its id: whole, or as a patch of another one that is there whole. Of a page in which a
 * few rows changed only those are written; a page is what its id says, or it is not there.
 */
import { concat, sameBytes } from "../base/bytes.ts";
import { hashBuffer } from "../native/hash.ts";
import type { Database } from "../store/database.ts";
import { differences, patched, patchOf, type Places, placesOf } from "./page_patch.ts";
import { basesFor, encodePage, PAGE_ID_BYTES, type PageCut, pagesOf, rowsOf } from "./pages.ts";
import type { Snapshot } from "./snapshot.ts";

/**
 * What brings a database up to date that has `pages` with `id` and `bytes`: rows with numbers of their own, since others are found by
 * reading their blobs too (312 of 40 KB: 16 ms in place of 108), and the table of patches.
 */
export const PATCHED_PAGES = `
  CREATE TABLE whole (id BLOB PRIMARY KEY, bytes BLOB NOT NULL) STRICT;
  INSERT INTO whole SELECT id, bytes FROM pages;
  DROP TABLE pages;
  ALTER TABLE whole RENAME TO pages;
  CREATE TABLE patches (id BLOB PRIMARY KEY, base BLOB NOT NULL, patch BLOB NOT NULL) STRICT, WITHOUT ROWID;
`;

/** A patch that has more than this part of its page's bytes spares nothing. */
const MAX_PATCH_PART = 1 / 4;

/** A page that is to be kept. */
export interface NewPage {
  readonly id: Uint8Array<ArrayBuffer>;
  /** Asked for only when the page is written. */
  bytes(): Uint8Array<ArrayBuffer>;
  /** An older page that is much like it. */
  readonly like?: {
    readonly id: Uint8Array<ArrayBuffer>;
    /** Gives where the page, which has these bytes, differs from it; undefined where that cannot be said. */
    places(bytes: Uint8Array): Places | undefined;
  };
}

/** A snapshot, and what its pages are. */
export interface Paged {
  readonly snapshot: Snapshot;
  /** Of its pages in order. */
  readonly ids: Uint8Array<ArrayBuffer>;
  /** First row of each page, and the number of rows. */
  readonly starts: readonly number[];
}

/** Cuts a snapshot into pages; their bytes are made again when they are needed. */
export function paged(snapshot: Snapshot, cut?: PageCut): Paged {
  const ids: Uint8Array[] = [], starts = [0];
  for (const { id, to } of pagesOf(snapshot, cut)) {
    ids.push(id);
    starts.push(to);
  }
  return { snapshot, ids: concat(...ids), starts };
}

/** Gives what is known of a snapshot that was made of these pages. */
export function pagedAs(
  snapshot: Snapshot,
  ids: Uint8Array<ArrayBuffer>,
  pages: readonly Uint8Array[],
): Paged {
  const starts = [0];
  const ends = snapshot.columns.stamps.length;
  for (const page of pages) starts.push(starts.at(-1)! + rowsOf(page, ends)!);
  return { snapshot, ids, starts };
}

/** Gives the pages of `now`, those of which only rows changed as patches of those of `before`. */
export function pagesToKeep(now: Paged, before?: Paged): NewPage[] {
  const bases = before === undefined ? [] : basesFor(now.ids, before.ids);
  const places = new Map<string, number>();
  for (let page = 0; page + 1 < (before?.starts.length ?? 0); page++) {
    places.set(idAt(before!.ids, page).toHex(), page);
  }
  const bytesOf = ({ snapshot, starts }: Paged, page: number) =>
    encodePage(snapshot, starts[page]!, starts[page + 1]!);
  return Array.from({ length: now.starts.length - 1 }, (_, page): NewPage => {
    const base = bases[page];
    const older = base && places.get(base.toHex());
    const like = base === undefined || older === undefined
      ? undefined
      : { id: base, places: (bytes: Uint8Array) => differences(bytes, bytesOf(before!, older)) };
    return { id: idAt(now.ids, page), bytes: () => bytesOf(now, page), ...like && { like } };
  });
}

function idAt(ids: Uint8Array, page: number): Uint8Array<ArrayBuffer> {
  return ids.slice(PAGE_ID_BYTES * page, PAGE_ID_BYTES * (page + 1)) as Uint8Array<ArrayBuffer>;
}

/** See the top of this file. */
export class PageStore {
  readonly #database: Database;
  /** Ids of pages that are there and not what they should be. */
  readonly #damaged = new Set<string>();

  /** The database has both tables. */
  constructor(database: Database) {
    this.#database = database;
  }

  /** Gives a page by its id; undefined when it is not there or not what it was. */
  page(id: Uint8Array<ArrayBuffer>): Uint8Array | undefined {
    let bytes: Uint8Array | undefined = this.#whole(id);
    if (bytes === undefined) {
      const row = this.#patchRow(id);
      if (row === undefined) return undefined;
      const base = this.#whole(row.base);
      bytes = base && patched(base, row.patch);
    }
    if (bytes !== undefined && sameBytes(hashBuffer(bytes), id)) return bytes;
    this.#damaged.add(id.toHex());
    return undefined;
  }

  /** Gives all pages of a list of ids; undefined when one of them is not there. */
  pages(ids: Uint8Array<ArrayBuffer>): Uint8Array[] | undefined {
    const pages: Uint8Array[] = [];
    for (let at = 0; at < ids.length; at += PAGE_ID_BYTES) {
      const page = this.page(ids.slice(at, at + PAGE_ID_BYTES));
      if (page === undefined) return undefined;
      pages.push(page);
    }
    return pages;
  }

  /**
   * Keeps these pages, and of those that are there the ones with an id of `old`; the others go. A page that is there under its
   * name is not written again, unless it was seen to be damaged. Within a transaction.
   */
  keep(pages: readonly NewPage[], old: ReadonlySet<string> = new Set()): void {
    for (const damaged of this.#damaged) {
      for (const table of ["pages", "patches"]) {
        this.#database.run(`DELETE FROM ${table} WHERE id = ?`, Uint8Array.fromHex(damaged));
      }
    }
    const whole = new Set(this.#ids("SELECT id FROM pages"));
    const bases = new Map<string, string>();
    const rows = this.#database.all<{ id: Uint8Array; base: Uint8Array }>("SELECT id, base FROM patches");
    for (const { id, base } of rows) bases.set(id.toHex(), base.toHex());
    const wanted = new Set(old);
    for (const page of pages) {
      const id = page.id.toHex();
      wanted.add(id);
      if (whole.has(id) || bases.has(id)) continue;
      const bytes = page.bytes();
      const base = this.#patch(page, bytes, whole);
      if (base !== undefined) bases.set(id, base);
      else {
        this.#database.run("INSERT OR REPLACE INTO pages VALUES (?, ?)", page.id, bytes);
        whole.add(id);
      }
    }
    for (const [id, base] of bases) {
      if (wanted.has(id)) wanted.add(base);
      else this.#database.run("DELETE FROM patches WHERE id = ?", Uint8Array.fromHex(id));
    }
    for (const id of whole) {
      if (!wanted.has(id)) this.#database.run("DELETE FROM pages WHERE id = ?", Uint8Array.fromHex(id));
    }
  }

  /** Forgets all. */
  clear(): void {
    this.#database.run("DELETE FROM patches");
    this.#database.run("DELETE FROM pages");
  }

  /** Writes a page as a patch of what the older one is a patch of, or of that one; gives the id of that, if it is worth it. */
  #patch({ id, like }: NewPage, bytes: Uint8Array, whole: ReadonlySet<string>): string | undefined {
    const places = like?.places(bytes);
    if (like === undefined || places === undefined) return undefined;
    const earlier = this.#patchRow(like.id);
    const before = earlier === undefined ? [] : placesOf(earlier.patch, bytes.length);
    const base = earlier?.base ?? like.id;
    if (before === undefined || !whole.has(base.toHex())) return undefined;
    const patch = patchOf(bytes, places, before);
    if (patch.length > bytes.length * MAX_PATCH_PART) return undefined;
    this.#database.run("INSERT OR REPLACE INTO patches VALUES (?, ?, ?)", id, base, patch);
    return base.toHex();
  }

  #ids(sql: string): string[] {
    return this.#database.all<{ id: Uint8Array }>(sql).map(({ id }) => id.toHex());
  }

  #whole(id: Uint8Array<ArrayBuffer>): Uint8Array | undefined {
    return this.#database.get<{ bytes: Uint8Array }>("SELECT bytes FROM pages WHERE id = ?", id)?.bytes;
  }

  #patchRow(
    id: Uint8Array<ArrayBuffer>,
  ): { base: Uint8Array<ArrayBuffer>; patch: Uint8Array<ArrayBuffer> } | undefined {
    return this.#database.get("SELECT base, patch FROM patches WHERE id = ?", id);
  }
}
