/**
 * What is remembered of a pair of folders: the ancestor, which roots it is of, and what their file systems can do. One
 * SQLite file for each pair.
 *
 * It can always be done without: whatever is damaged, missing or not understood counts as nothing known, and of what is not
 * known nothing is ever deleted.
 */
import { concat, sameBytes } from "../base/bytes.ts";
import { isWormholeError } from "../base/errors.ts";
import { hashBuffer } from "../native/hash.ts";
import { Database } from "../store/database.ts";
import { setAside } from "../store/database_file.ts";
import { rowSum } from "../store/row_sum.ts";
import { type Paged, paged, pagedAs, pagesToKeep, PageStore, PATCHED_PAGES } from "./page_store.ts";
import { flipped, snapshotOf } from "./pages.ts";
import type { Abilities } from "./policy.ts";
import { Snapshot } from "./snapshot.ts";

const MIGRATIONS = [
  `
  CREATE TABLE pages (id BLOB PRIMARY KEY, bytes BLOB NOT NULL) STRICT, WITHOUT ROWID;
  CREATE TABLE facts (name TEXT PRIMARY KEY, value BLOB NOT NULL, sum INTEGER NOT NULL) STRICT, WITHOUT ROWID;
`,
  PATCHED_PAGES,
];

/** Options of {@linkcode SyncState.open}. */
export interface SyncStateOptions {
  /** Alpha and beta are the other way round than when it was made. */
  readonly flipped: boolean;
  onWarning?(sentence: string): void;
}

/** What stands for a run that found nothing to do, 32 bytes, and for what each end had then. */
export interface QuietKey {
  readonly key: Uint8Array;
  readonly marks: readonly [Uint8Array, Uint8Array];
}

/** Bytes of a mark, and of a key. */
const MARK_BYTES = 32;

/** See the top of this file. */
export class SyncState implements Disposable {
  readonly #database: Database;
  readonly #pages: PageStore;
  readonly #options: SyncStateOptions;
  readonly #path: string;
  /** What is written there, as it was read or written last. */
  #last: Paged | undefined;

  private constructor(database: Database, path: string, options: SyncStateOptions) {
    this.#database = database;
    this.#pages = new PageStore(database);
    this.#path = path;
    this.#options = options;
  }

  /**
   * Opens or makes the state at `path`.
   *
   * @throws {WormholeError} NO_SPACE, PERMISSION_DENIED, TIMEOUT or IO when it cannot be opened.
   */
  static open(path: string, options: SyncStateOptions): SyncState {
    const open = () =>
      Database.open(path, {
        what: "what is known of these folders",
        migrations: MIGRATIONS,
        expendable: true,
        onReplaced: (sentence) => options.onWarning?.(`${sentence}; nothing is deleted in this run`),
      });
    try {
      return new SyncState(open(), path, options);
    } catch (error) {
      if (!isWormholeError(error, "VERSION_UNSUPPORTED")) throw error;
      setAside(path, "newer");
      options.onWarning?.(
        `A newer version of wormhole made "${path}"; it is set aside as "${path}.newer", and nothing is deleted in this run`,
      );
      return new SyncState(open(), path, options);
    }
  }

  /** Gives what both had in common, if it is that of these roots and whole. */
  ancestor(roots: readonly [string, string]): Snapshot | undefined {
    const known = this.#fact("roots"), ids = this.#fact("ancestor");
    if (known === undefined || ids === undefined) return undefined;
    const written = this.#options.flipped ? [roots[1], roots[0]] : roots;
    if (new TextDecoder().decode(known) !== written.join(" ")) return undefined;
    const pages = this.#pages.pages(ids);
    const snapshot = pages && snapshotOf(pages);
    if (snapshot === undefined) return this.#damaged();
    this.#last = pagedAs(snapshot, ids, pages!);
    return this.#options.flipped ? flipped(snapshot) : snapshot;
  }

  /** Gives what stands for {@linkcode SyncState.ancestor} of these roots, 32 bytes, without reading it. */
  ancestorId(roots: readonly [string, string]): Uint8Array | undefined {
    const known = this.#fact("roots"), ids = this.#fact("ancestor");
    if (known === undefined || ids === undefined) return undefined;
    const written = this.#options.flipped ? [roots[1], roots[0]] : roots;
    return new TextDecoder().decode(known) === written.join(" ") ? hashBuffer(ids) : undefined;
  }

  /** Gives how many entries a run had that found nothing to do, if `key` stands for just that. */
  quiet(key: Uint8Array): number | undefined {
    const fact = this.#quiet();
    return fact !== undefined && sameBytes(fact.subarray(0, MARK_BYTES), key)
      ? new DataView(fact.buffer, fact.byteOffset).getUint32(3 * MARK_BYTES, true)
      : undefined;
  }

  /** Marks of alpha and beta in the last such run. */
  get quietMarks(): readonly [Uint8Array, Uint8Array] | undefined {
    const fact = this.#quiet();
    if (fact === undefined) return undefined;
    const [one, other] = [1, 2].map((at) => fact.subarray(MARK_BYTES * at, MARK_BYTES * (at + 1)));
    return this.#options.flipped ? [other!, one!] : [one!, other!];
  }

  #quiet(): Uint8Array | undefined {
    const fact = this.#fact("quiet");
    return fact?.length === 3 * MARK_BYTES + 4 ? fact : undefined;
  }

  /** Remembers {@linkcode SyncState.quiet}, of the last such run only. */
  keepQuiet({ key, marks: [alpha, beta] }: QuietKey, entries: number): void {
    const marks = this.#options.flipped ? [beta, alpha] : [alpha, beta];
    const fact = concat(key, ...marks, new Uint8Array(4));
    new DataView(fact.buffer).setUint32(3 * MARK_BYTES, entries, true);
    this.#put("quiet", fact);
  }

  /** Tells whether an ancestor is known, of whichever roots. */
  get isKnown(): boolean {
    return (this.#fact("ancestor")?.length ?? 0) > 0;
  }

  /** Writes down what both have in common; it is on the disk when this returns. */
  save(agreed: Snapshot, roots: readonly [string, string]): void {
    const snapshot = this.#options.flipped ? flipped(agreed) : agreed;
    const written = this.#options.flipped ? [roots[1], roots[0]] : roots;
    const now = paged(snapshot);
    this.#database.barrier(() => {
      this.#pages.keep(pagesToKeep(now, this.#last));
      this.#put("roots", new TextEncoder().encode(written.join(" ")));
      this.#put("ancestor", now.ids);
    });
    this.#last = now;
  }

  /** Forgets what both had in common. */
  forget(): void {
    this.#last = undefined;
    this.#database.transaction(() => {
      this.#pages.clear();
      this.#database.run("DELETE FROM facts");
    });
  }

  /** Gives what the file system of the root with that identity can do, as it was found out before. */
  abilities(identity: string): Abilities | undefined {
    const fact = this.#fact(`abilities ${identity}`);
    return fact && JSON.parse(new TextDecoder().decode(fact)) as Abilities;
  }

  /** Remembers {@linkcode SyncState.abilities}. */
  keepAbilities(identity: string, abilities: Abilities): void {
    this.#put(`abilities ${identity}`, new TextEncoder().encode(JSON.stringify(abilities)));
  }

  [Symbol.dispose](): void {
    this.#database[Symbol.dispose]();
  }

  #damaged(): undefined {
    this.#options.onWarning?.(
      `What is known of these folders ("${this.#path}") is damaged; nothing is deleted in this run`,
    );
    this.forget();
    return undefined;
  }

  #fact(name: string): Uint8Array<ArrayBuffer> | undefined {
    const row = this.#database.get<{ value: Uint8Array<ArrayBuffer>; sum: number }>(
      "SELECT value, sum FROM facts WHERE name = ?",
      name,
    );
    return row !== undefined && row.sum === rowSum(name, row.value) ? row.value : undefined;
  }

  #put(name: string, value: Uint8Array<ArrayBuffer>): void {
    this.#database.run("INSERT OR REPLACE INTO facts VALUES (?, ?, ?)", name, value, rowSum(name, value));
  }
}
