import type { StatementSync } from "node:sqlite";
import { isWormholeError } from "../base/errors.ts";
import {
  BUSY_MS,
  databaseError,
  type DatabaseOptions,
  inodeOf,
  isReplaceable,
  type OpenedFile,
  openFile,
  replaceFile,
} from "./database_file.ts";

export type { DatabaseOptions };

/**
 * One SQLite file (write-ahead log, prepared statements, one transaction per batch) that several processes may use.
 *
 * `synchronous` is NORMAL: after a power cut the newest transactions may be gone, but none is half there. What must be
 * on the disk before something else happens calls {@linkcode Database.barrier}.
 *
 * An expendable database that turns out to be damaged is replaced by an empty one, and what was under way, a statement
 * or the whole `change` of a transaction, is done once more on that. What rows say is not checked here: `row_sum.ts`.
 */
export class Database implements Disposable {
  readonly #path: string;
  readonly #options: DatabaseOptions;
  readonly #statements = new Map<string, StatementSync>();
  #file: OpenedFile;
  #depth = 0;

  private constructor(path: string, options: DatabaseOptions, file: OpenedFile) {
    this.#path = path;
    this.#options = options;
    this.#file = file;
  }

  /**
   * Opens or makes the database at `path` (":memory:" for none); its folder must exist.
   *
   * @throws {WormholeError} VERSION_UNSUPPORTED when a newer program made it; CORRUPT when it is damaged and not
   * expendable; NO_SPACE, PERMISSION_DENIED, TIMEOUT or IO when it cannot be opened.
   */
  static open(path: string, options: DatabaseOptions): Database {
    const seen = inodeOf(path);
    try {
      return new Database(path, options, openFile(path, options));
    } catch (error) {
      if (!isReplaceable(error, { path, ...options })) throw error;
      return new Database(path, options, replaceFile(path, options, seen));
    }
  }

  /** Runs one statement. */
  run(sql: string, ...values: SqlValue[]): { changes: number; rowId: number } {
    const { changes, lastInsertRowid } = this.#one(() => this.#prepare(sql).run(...values));
    return { changes: Number(changes), rowId: Number(lastInsertRowid) };
  }

  /** Gives the first row. */
  get<Row>(sql: string, ...values: SqlValue[]): Row | undefined {
    return this.#one(() => this.#prepare(sql).get(...values)) as Row | undefined;
  }

  /** Gives all rows. */
  all<Row>(sql: string, ...values: SqlValue[]): Row[] {
    return this.#one(() => this.#prepare(sql).all(...values)) as Row[];
  }

  /** Runs `change` as one transaction; nested calls belong to the outermost one. It may run twice. */
  transaction<T>(change: () => T): T {
    return this.#depth > 0 ? change() : this.#again(() => this.#transactOnce(change));
  }

  /** Runs `change` as one transaction if nobody else writes just now, without waiting; tells whether it did. */
  attempt(change: () => void): boolean {
    this.#exec("PRAGMA busy_timeout = 0");
    try {
      this.transaction(change);
      return true;
    } catch (error) {
      if (!isWormholeError(error, "TIMEOUT")) throw error;
      return false;
    } finally {
      this.#exec(`PRAGMA busy_timeout = ${BUSY_MS}`);
    }
  }

  /** Runs `change` as one transaction that is on the disk when this returns. */
  barrier<T>(change: () => T): T {
    return this.#again(() => {
      this.#exec("PRAGMA synchronous = FULL");
      try {
        return this.#transactOnce(change);
      } finally {
        this.#exec("PRAGMA synchronous = NORMAL");
      }
    });
  }

  /** Gives what SQLite finds wrong, at most 10 lines; none when all is well. Reads the whole file. */
  check(): string[] {
    const rows = this.all<{ integrity_check: string }>("PRAGMA integrity_check(10)");
    return rows.map((row) => String(row.integrity_check)).filter((line) => line !== "ok");
  }

  /** Bytes of the file, without its log. */
  get bytes(): number {
    const pages = this.get<{ page_count: number }>("PRAGMA page_count")!.page_count;
    return pages * this.get<{ page_size: number }>("PRAGMA page_size")!.page_size;
  }

  /** Gives unused room back to the file system. */
  compact(): void {
    this.#again(() => this.#exec("VACUUM"));
  }

  [Symbol.dispose](): void {
    this.#statements.clear();
    this.#file.database.close();
  }

  #transactOnce<T>(change: () => T): T {
    this.#exec("BEGIN IMMEDIATE");
    this.#depth++;
    try {
      const result = change();
      this.#exec("COMMIT");
      return result;
    } catch (error) {
      this.#rollBack();
      throw error;
    } finally {
      this.#depth--;
    }
  }

  /** What was wrong counts, not that a damaged file cannot be rolled back either. */
  #rollBack(): void {
    try {
      if (this.#file.database.isTransaction) this.#file.database.exec("ROLLBACK");
    } catch (error) {
      if (!(error instanceof Error)) throw error;
    }
  }

  #one<T>(run: () => T): T {
    return this.#again(() => this.#guarded(run));
  }

  #exec(sql: string): void {
    this.#guarded(() => this.#file.database.exec(sql));
  }

  #prepare(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (statement === undefined) this.#statements.set(sql, statement = this.#file.database.prepare(sql));
    return statement;
  }

  #guarded<T>(run: () => T): T {
    try {
      return run();
    } catch (error) {
      throw databaseError(error, `Cannot use ${this.#options.what} "${this.#path}"`);
    }
  }

  /** Runs what stands for itself; on a damaged file that is expendable, once more on an empty one. */
  #again<T>(run: () => T): T {
    if (this.#depth > 0) return run();
    try {
      return run();
    } catch (error) {
      if (!isReplaceable(error, { path: this.#path, ...this.#options })) throw error;
      this.#statements.clear();
      const { database, inode } = this.#file;
      database.close();
      this.#file = replaceFile(this.#path, this.#options, inode);
      return run();
    }
  }
}

/** What a statement takes and gives. */
export type SqlValue = number | string | null | Uint8Array<ArrayBuffer>;
