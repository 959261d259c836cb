import { DatabaseSync, type StatementSync } from "node:sqlite";
import { WormholeError } from "../base/errors.ts";
import type { MailboxState, MailboxStore, Nameplate, StoredMessage, StoreTotals } from "./store.ts";

/** Version of the tables below; a change adds one to {@linkcode STEPS}. */
const SCHEMA_VERSION = 4;

const SECRETS = "CREATE TABLE secrets (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;";

const SCHEMA = `
  ${SECRETS}
  CREATE TABLE nameplates (
    app_id TEXT NOT NULL, name TEXT NOT NULL, mailbox TEXT NOT NULL, state TEXT NOT NULL,
    sides TEXT NOT NULL, released TEXT NOT NULL, created_ms INTEGER NOT NULL, ended_ms INTEGER NOT NULL,
    spoiled INTEGER NOT NULL,
    PRIMARY KEY (app_id, name)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX nameplates_by_state ON nameplates (state, created_ms);
  CREATE INDEX nameplates_by_name ON nameplates (name);
  CREATE TABLE mailboxes (
    id TEXT PRIMARY KEY, app_id TEXT NOT NULL, nameplate TEXT NOT NULL, sides TEXT NOT NULL, closed TEXT NOT NULL,
    updated_ms INTEGER NOT NULL, message_count INTEGER NOT NULL, byte_length INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX mailboxes_by_update ON mailboxes (updated_ms);
  CREATE TABLE messages (
    sequence INTEGER PRIMARY KEY, mailbox TEXT NOT NULL, side TEXT NOT NULL, phase TEXT NOT NULL,
    body TEXT NOT NULL, received_ms INTEGER NOT NULL, id TEXT
  ) STRICT;
  CREATE INDEX messages_by_mailbox ON messages (mailbox, sequence);
`;

/** What each older version lacks, from its number on to {@linkcode SCHEMA}. */
const STEPS: Readonly<Record<number, string>> = {
  // Of what ended before it was noted, nobody knows how; the column comes last, as in the schema.
  1: "ALTER TABLE nameplates ADD COLUMN spoiled INTEGER NOT NULL DEFAULT 1;",
  2: SECRETS,
  3: "CREATE INDEX nameplates_by_name ON nameplates (name);",
};

type Row = Record<string, unknown>;

/** Keeps everything in one SQLite file, so that open nameplates survive a restart of the hub. */
export class SqliteMailboxStore implements MailboxStore {
  readonly #database: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();
  #depth = 0;

  /**
   * Opens or makes the database at `path` (":memory:" for none), of at most `maxPages` pages of 4 KiB.
   *
   * @throws {WormholeError} IO when it cannot be opened, CORRUPT when it is no database,
   * VERSION_UNSUPPORTED when a newer program made it.
   */
  constructor(path: string, { maxPages }: { maxPages?: number } = {}) {
    let database: DatabaseSync;
    try {
      database = new DatabaseSync(path);
    } catch (cause) {
      throw new WormholeError("IO", `Cannot open the hub's database "${path}": ${reason(cause)}`, { cause });
    }
    try {
      migrate(database, path);
      if (maxPages !== undefined) database.exec(`PRAGMA max_page_count = ${maxPages}`);
    } catch (cause) {
      database.close();
      if (cause instanceof WormholeError) throw cause;
      throw new WormholeError("CORRUPT", `Cannot use the hub's database "${path}": ${reason(cause)}`, {
        cause,
      });
    }
    this.#database = database;
  }

  nameplate(appId: string, name: string): Nameplate | undefined {
    const row = this.#prepare("SELECT * FROM nameplates WHERE app_id = ? AND name = ?").get(appId, name);
    return row && nameplateOf(row as Row);
  }

  hasNameplate(name: string): boolean {
    return this.#prepare("SELECT 1 FROM nameplates WHERE name = ? LIMIT 1").get(name) !== undefined;
  }

  putNameplate(
    { appId, name, mailbox, state, sides, released, spoiled, createdMs, endedMs }: Nameplate,
  ): void {
    this.#prepare("INSERT OR REPLACE INTO nameplates VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)").run(
      appId,
      name,
      mailbox,
      state,
      JSON.stringify(sides),
      JSON.stringify(released),
      createdMs,
      endedMs,
      Number(spoiled),
    );
  }

  deleteNameplate(appId: string, name: string): void {
    this.#prepare("DELETE FROM nameplates WHERE app_id = ? AND name = ?").run(appId, name);
  }

  openNameplates(appId: string, limit: number): string[] {
    const rows = this.#prepare("SELECT name FROM nameplates WHERE app_id = ? AND state = 'open' LIMIT ?")
      .all(appId, limit);
    return rows.map((row) => String((row as Row).name));
  }

  staleNameplates({ openMs, endedMs }: { openMs: number; endedMs: number }): Nameplate[] {
    return this.#prepare(
      "SELECT * FROM nameplates WHERE (state = 'open' AND created_ms <= ?) OR (state <> 'open' AND ended_ms <= ?)",
    ).all(openMs, endedMs).map((row) => nameplateOf(row as Row));
  }

  mailbox(id: string): MailboxState | undefined {
    const row = this.#prepare("SELECT * FROM mailboxes WHERE id = ?").get(id);
    return row && mailboxOf(row as Row);
  }

  putMailbox(mailbox: MailboxState): void {
    this.#prepare("INSERT OR REPLACE INTO mailboxes VALUES (?, ?, ?, ?, ?, ?, ?, ?)").run(
      mailbox.id,
      mailbox.appId,
      mailbox.nameplate,
      JSON.stringify(mailbox.sides),
      JSON.stringify(mailbox.closed),
      mailbox.updatedMs,
      mailbox.messageCount,
      mailbox.byteLength,
    );
  }

  deleteMailbox(id: string): void {
    this.transaction(() => {
      this.#prepare("DELETE FROM messages WHERE mailbox = ?").run(id);
      this.#prepare("DELETE FROM mailboxes WHERE id = ?").run(id);
    });
  }

  staleMailboxes(updatedMs: number): MailboxState[] {
    return this.#prepare("SELECT * FROM mailboxes WHERE updated_ms <= ?").all(updatedMs)
      .map((row) => mailboxOf(row as Row));
  }

  addMessage(mailbox: string, { side, phase, body, receivedMs, id }: StoredMessage): void {
    this.#prepare(
      "INSERT INTO messages (mailbox, side, phase, body, received_ms, id) VALUES (?, ?, ?, ?, ?, ?)",
    ).run(mailbox, side, phase, body, receivedMs, id ?? null);
  }

  messages(mailbox: string): StoredMessage[] {
    return this.#prepare("SELECT * FROM messages WHERE mailbox = ? ORDER BY sequence").all(mailbox)
      .map((row) => messageOf(row as Row));
  }

  secret(name: string): Uint8Array {
    const fresh = crypto.getRandomValues(new Uint8Array(32));
    this.#prepare("INSERT OR IGNORE INTO secrets VALUES (?, ?)").run(name, fresh);
    return (this.#prepare("SELECT value FROM secrets WHERE name = ?").get(name) as Row).value as Uint8Array;
  }

  totals(): StoreTotals {
    const row = this.#prepare(
      `SELECT (SELECT count(*) FROM nameplates) AS nameplates, count(*) AS mailboxes,
         coalesce(sum(byte_length), 0) AS byteLength FROM mailboxes`,
    ).get() as Row;
    return {
      nameplates: Number(row.nameplates),
      mailboxes: Number(row.mailboxes),
      byteLength: Number(row.byteLength),
    };
  }

  transaction<T>(change: () => T): T {
    if (this.#depth > 0) return change();
    this.#database.exec("BEGIN IMMEDIATE");
    this.#depth++;
    try {
      const result = change();
      this.#database.exec("COMMIT");
      return result;
    } catch (error) {
      // After some failures, such as a full disk, SQLite has rolled back by itself.
      if (this.#database.isTransaction) this.#database.exec("ROLLBACK");
      throw error;
    } finally {
      this.#depth--;
    }
  }

  [Symbol.dispose](): void {
    this.#statements.clear();
    this.#database.close();
  }

  #prepare(sql: string): StatementSync {
    const known = this.#statements.get(sql);
    if (known) return known;
    const statement = this.#database.prepare(sql);
    this.#statements.set(sql, statement);
    return statement;
  }
}

function migrate(database: DatabaseSync, path: string): void {
  // A hub that is restarted may meet its predecessor's last write.
  database.exec("PRAGMA busy_timeout = 2000; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;");
  const version = Number((database.prepare("PRAGMA user_version").get() as Row).user_version);
  if (version > SCHEMA_VERSION) {
    throw new WormholeError(
      "VERSION_UNSUPPORTED",
      `Cannot use the hub's database "${path}": a newer version of this program made it`,
    );
  }
  if (version === SCHEMA_VERSION) return;
  let steps = version === 0 ? SCHEMA : "";
  for (let at = version; at > 0 && at < SCHEMA_VERSION; at++) steps += STEPS[at];
  database.exec(`BEGIN; ${steps} PRAGMA user_version = ${SCHEMA_VERSION}; COMMIT;`);
}

function nameplateOf(row: Row): Nameplate {
  return {
    appId: String(row.app_id),
    name: String(row.name),
    mailbox: String(row.mailbox),
    state: row.state as Nameplate["state"],
    sides: JSON.parse(String(row.sides)),
    released: JSON.parse(String(row.released)),
    createdMs: Number(row.created_ms),
    endedMs: Number(row.ended_ms),
    spoiled: row.spoiled !== 0,
  };
}

function mailboxOf(row: Row): MailboxState {
  return {
    id: String(row.id),
    appId: String(row.app_id),
    nameplate: String(row.nameplate),
    sides: JSON.parse(String(row.sides)),
    closed: JSON.parse(String(row.closed)),
    updatedMs: Number(row.updated_ms),
    messageCount: Number(row.message_count),
    byteLength: Number(row.byte_length),
  };
}

function messageOf(row: Row): StoredMessage {
  return {
    side: String(row.side),
    phase: String(row.phase),
    body: String(row.body),
    receivedMs: Number(row.received_ms),
    id: row.id === null ? undefined : String(row.id),
  };
}

function reason(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
