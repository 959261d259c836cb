import { DatabaseSync, type StatementSync } from "node:sqlite";
import { WormholeError } from "../base/errors.ts";

/** How a database is made and what becomes of a damaged one. */
export interface DatabaseOptions {
  /** What it is called in messages, such as "the index of known content". */
  readonly what: string;
  /** SQL of each step; the first makes the tables, each later one changes them. Append only. */
  readonly migrations: readonly string[];
  /**
   * Whether its content can be found out again: a damaged one is then set aside as `<path>.damaged` and made anew;
   * otherwise it is refused.
   */
  readonly expendable: boolean;
  /** Told, in one sentence, when a damaged database was set aside. */
  onReplaced?(message: string): void;
}

/** Another process's write is waited for this long, in ms: batches take less. */
const BUSY_MS = 5000;

/**
 * One SQLite file (write-ahead log, prepared statements, one transaction per batch) that several processes may use.
 *
 * `synchronous` is NORMAL: after a power cut the newest transactions may be gone, but none is half there. What must be
 * on the disk before something else happens calls {@linkcode Database.barrier}.
 */
export class Database implements Disposable {
  readonly #path: string;
  readonly #what: string;
  readonly #database: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();
  #depth = 0;

  private constructor(path: string, what: string, database: DatabaseSync) {
    this.#path = path;
    this.#what = what;
    this.#database = database;
  }

  /**
   * Opens or makes the database at `path` (":memory:" for none); its folder must exist.
   *
   * @throws {WormholeError} VERSION_UNSUPPORTED when a newer program made it; CORRUPT when it is damaged and not
   * expendable; NO_SPACE, PERMISSION_DENIED or IO when it cannot be opened.
   */
  static open(path: string, options: DatabaseOptions): Database {
    try {
      return Database.#openOnce(path, options);
    } catch (error) {
      if (!options.expendable || !(error instanceof WormholeError) || error.code !== "CORRUPT") throw error;
      setAside(path);
      options.onReplaced?.(
        `${capital(options.what)} "${path}" was damaged; it is set aside as "${path}.damaged" and made anew`,
      );
      return Database.#openOnce(path, options);
    }
  }

  static #openOnce(path: string, { what, migrations }: DatabaseOptions): Database {
    let raw: DatabaseSync | undefined;
    try {
      raw = new DatabaseSync(path);
      migrate(raw, { path, what, migrations });
      return new Database(path, what, raw);
    } catch (error) {
      raw?.close();
      throw databaseError(error, `Cannot open ${what} "${path}"`);
    }
  }

  /** Runs one statement. */
  run(sql: string, ...values: SqlValue[]): { changes: number; rowId: number } {
    const { changes, lastInsertRowid } = this.#guarded(() => this.#prepare(sql).run(...values));
    return { changes: Number(changes), rowId: Number(lastInsertRowid) };
  }

  /** Gives the first row. */
  get<Row>(sql: string, ...values: SqlValue[]): Row | undefined {
    return this.#guarded(() => this.#prepare(sql).get(...values)) as Row | undefined;
  }

  /** Gives all rows. */
  all<Row>(sql: string, ...values: SqlValue[]): Row[] {
    return this.#guarded(() => this.#prepare(sql).all(...values)) as Row[];
  }

  /** Runs `change` as one transaction; nested calls belong to the outermost one. */
  transaction<T>(change: () => T): T {
    if (this.#depth > 0) return change();
    this.#guarded(() => this.#database.exec("BEGIN IMMEDIATE"));
    this.#depth++;
    try {
      const result = change();
      this.#guarded(() => this.#database.exec("COMMIT"));
      return result;
    } catch (error) {
      if (this.#database.isTransaction) this.#database.exec("ROLLBACK");
      throw error;
    } finally {
      this.#depth--;
    }
  }

  /** Runs `change` as one transaction that is on the disk when this returns. */
  barrier<T>(change: () => T): T {
    this.#database.exec("PRAGMA synchronous = FULL");
    try {
      return this.transaction(change);
    } finally {
      this.#database.exec("PRAGMA synchronous = NORMAL");
    }
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
    this.#guarded(() => this.#database.exec("VACUUM"));
  }

  [Symbol.dispose](): void {
    this.#statements.clear();
    this.#database.close();
  }

  #prepare(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (statement === undefined) this.#statements.set(sql, statement = this.#database.prepare(sql));
    return statement;
  }

  #guarded<T>(run: () => T): T {
    try {
      return run();
    } catch (error) {
      throw databaseError(error, `Cannot use ${this.#what} "${this.#path}"`);
    }
  }
}

/** What a statement takes and gives. */
export type SqlValue = number | string | null | Uint8Array<ArrayBuffer>;

function migrate(
  database: DatabaseSync,
  { path, what, migrations }: { path: string; what: string; migrations: readonly string[] },
): void {
  database.exec(`PRAGMA busy_timeout = ${BUSY_MS}; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;`);
  const version = () =>
    Number((database.prepare("PRAGMA user_version").get() as { user_version: number }).user_version);
  const refuse = () => {
    throw new WormholeError(
      "VERSION_UNSUPPORTED",
      `Cannot use ${what} "${path}": a newer version of wormhole made it; use that version, or move the file away`,
    );
  };
  if (version() > migrations.length) refuse();
  if (version() === migrations.length) {
    return void database.prepare("SELECT count(*) FROM sqlite_schema").get();
  }
  database.exec("BEGIN IMMEDIATE");
  // Another process may have done it while this one waited.
  for (const step of migrations.slice(version())) database.exec(step);
  database.exec(`PRAGMA user_version = ${migrations.length}; COMMIT;`);
}

/** SQLite's primary result codes (sqlite.org/rescode.html) that mean more than "it failed". */
const FULL = 13, CORRUPT = 11, NOT_A_DATABASE = 26, READ_ONLY = 8, BUSY = 5, CANNOT_OPEN = 14;

function databaseError(cause: unknown, what: string): unknown {
  if (cause instanceof WormholeError || !(cause instanceof Error)) return cause;
  const errcode = Number((cause as { errcode?: number }).errcode ?? 0) & 0xff;
  const state = cause.message;
  if (errcode === CORRUPT || errcode === NOT_A_DATABASE || /malformed|not a database/.test(state)) {
    return new WormholeError("CORRUPT", `${what}: the file is damaged (${state})`, { cause });
  }
  if (errcode === FULL || /disk is full/.test(state)) {
    return new WormholeError("NO_SPACE", `${what}: the disk is full`, { cause });
  }
  if (errcode === READ_ONLY || /readonly/.test(state)) {
    return new WormholeError("READ_ONLY", `${what}: it is read-only`, { cause });
  }
  if (errcode === BUSY || /locked/.test(state)) {
    return new WormholeError("TIMEOUT", `${what}: another process has used it for ${BUSY_MS / 1000} s`, {
      cause,
    });
  }
  if (errcode === CANNOT_OPEN || /unable to open/.test(state)) {
    return new WormholeError("PERMISSION_DENIED", `${what}: it cannot be opened or made there`, { cause });
  }
  return new WormholeError("IO", `${what}: ${state}`, { cause });
}

/** Moves a damaged database out of the way; an older one of that name goes. */
function setAside(path: string): void {
  Deno.renameSync(path, `${path}.damaged`);
  for (const log of [`${path}-wal`, `${path}-shm`]) {
    try {
      Deno.removeSync(log);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
