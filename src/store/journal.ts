/**
 * Which transfers into this machine are unfinished and what of them is safely here, and which were finished last, in one
 * SQLite file. Rows are few
 * and large: manifest pages and blobs of verified records, never one row per file or chunk. Both carry a checksum: on
 * their word bytes are taken for received.
 */
import { RECORD_BYTES } from "../native/leftover.ts";
import { WormholeError } from "../base/errors.ts";
import { Database } from "./database.ts";
import { rowSum } from "./row_sum.ts";

export { RECORD_BYTES };

/** An unfinished transfer. */
export interface UnfinishedTransfer {
  /** 16 random bytes, made by this machine. */
  readonly id: Uint8Array<ArrayBuffer>;
  /** 32 bytes: the sender's machine key; only the same machine's versions of files mean the same. */
  readonly peer: Uint8Array<ArrayBuffer>;
  /** Folder that is received into, bytes of the system. */
  readonly destination: Uint8Array<ArrayBuffer>;
  /** Name of the staging folder in it. */
  readonly staging: Uint8Array<ArrayBuffer>;
  /** The names of its roots, for the person to know it by. */
  readonly title: string;
  /** What a person knows it by, where the names of its roots say nothing. */
  readonly label: string | undefined;
  /** Bytes of the whole transfer; undefined when the sender has not said. */
  readonly bytesTotal: number | undefined;
  /** Bytes that are verified and here. */
  readonly bytesDone: number;
  /** ms since 1970. */
  readonly startedMs: number;
  readonly updatedMs: number;
  /** The process that works on it; others leave it alone while the staging folder is locked. */
  readonly pid: number;
}

/** A transfer of which everything is in place. */
export interface FinishedTransfer {
  readonly id: Uint8Array<ArrayBuffer>;
  /** When everything was in place, ms since 1970. */
  readonly finishedMs: number;
}

/** What {@linkcode Journal.begin} takes. */
export type NewTransfer =
  & Pick<UnfinishedTransfer, "id" | "peer" | "destination" | "staging" | "title" | "bytesTotal">
  & Partial<Pick<UnfinishedTransfer, "label">>;

/** Options of {@linkcode Journal.open}. */
export interface JournalOptions {
  /** Names the run of the system's kernel: what was written but not synced survives the program, not the machine. */
  readonly bootId: string;
  readonly now?: () => number;
  /** Told when a damaged journal was replaced. */
  onReplaced?(message: string): void;
}

const MIGRATIONS = [
  `
  CREATE TABLE transfers (
    id BLOB PRIMARY KEY, peer BLOB NOT NULL, destination BLOB NOT NULL, staging BLOB NOT NULL, title TEXT NOT NULL, bytes_total INTEGER,
    bytes_done INTEGER NOT NULL, started_ms INTEGER NOT NULL, updated_ms INTEGER NOT NULL, pid INTEGER NOT NULL
  ) STRICT;
  CREATE INDEX transfers_by_destination ON transfers (destination, updated_ms);
  CREATE TABLE pages (
    transfer BLOB NOT NULL REFERENCES transfers ON DELETE CASCADE, page INTEGER NOT NULL, body BLOB NOT NULL,
    PRIMARY KEY (transfer, page)
  ) STRICT;
  CREATE TABLE verified (
    sequence INTEGER PRIMARY KEY, transfer BLOB NOT NULL REFERENCES transfers ON DELETE CASCADE,
    boot_id TEXT NOT NULL, durable INTEGER NOT NULL, records BLOB NOT NULL
  ) STRICT;
  CREATE INDEX verified_by_transfer ON verified (transfer, sequence);
`,
  `
  DELETE FROM verified;
  DELETE FROM pages;
  DELETE FROM transfers;
  ALTER TABLE pages ADD COLUMN sum INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE verified ADD COLUMN sum INTEGER NOT NULL DEFAULT 0;
`,
  `
  ALTER TABLE transfers ADD COLUMN finished_ms INTEGER;
  ALTER TABLE transfers ADD COLUMN finished_sum INTEGER;
`,
  `
  ALTER TABLE transfers ADD COLUMN label TEXT;
`,
];

interface PageRow {
  page: number;
  body: Uint8Array<ArrayBuffer>;
  sum: number;
}

interface VerifiedRow {
  boot_id: string;
  durable: number;
  records: Uint8Array<ArrayBuffer>;
  sum: number;
}

interface TransferRow {
  id: Uint8Array<ArrayBuffer>;
  peer: Uint8Array<ArrayBuffer>;
  destination: Uint8Array<ArrayBuffer>;
  staging: Uint8Array<ArrayBuffer>;
  title: string;
  label: string | null;
  bytes_total: number | null;
  bytes_done: number;
  started_ms: number;
  updated_ms: number;
  pid: number;
}

/** Finished transfers that are kept. */
const MAX_FINISHED = 16;

/** Bytes of manifest pages of a finished transfer that is kept: about a million entries. */
const MAX_FINISHED_BYTES = 64 * 1024 * 1024;

/** See the top of this file. */
export class Journal implements Disposable {
  readonly #database: Database;
  readonly #bootId: string;
  readonly #now: () => number;

  private constructor(database: Database, { bootId, now = Date.now }: JournalOptions) {
    this.#database = database;
    this.#bootId = bootId;
    this.#now = now;
  }

  /**
   * Opens or makes the journal at `path`.
   *
   * @throws {WormholeError} VERSION_UNSUPPORTED when a newer program made it; what the disk says.
   */
  static open(path: string, options: JournalOptions): Journal {
    const database = Database.open(path, {
      what: "the journal of transfers",
      migrations: MIGRATIONS,
      expendable: true,
      foreignKeys: true,
      ...options.onReplaced && { onReplaced: options.onReplaced },
    });
    return new Journal(database, options);
  }

  /** Takes a transfer in, which from now on is unfinished. */
  begin({ id, peer, destination, staging, title, label, bytesTotal }: NewTransfer): void {
    const now = this.#now();
    this.#database.run(
      "INSERT INTO transfers VALUES (?, ?, ?, ?, ?, ?, 0, ?, ?, ?, NULL, NULL, ?)",
      id,
      peer,
      destination,
      staging,
      title,
      bytesTotal ?? null,
      now,
      now,
      Deno.pid,
      label ?? null,
    );
  }

  /**
   * Keeps a manifest page (`body`: the columns as the transfer encodes them).
   *
   * @throws {WormholeError} CORRUPT when the journal had to be made anew since the transfer began.
   */
  addPage(id: Uint8Array<ArrayBuffer>, page: number, body: Uint8Array<ArrayBuffer>): void {
    this.#database.transaction(() => {
      this.#touch(id);
      this.#database.run(
        "INSERT OR REPLACE INTO pages (transfer, page, body, sum) VALUES (?, ?, ?, ?)",
        id,
        page,
        body,
        rowSum(id, page, body),
      );
    });
  }

  /**
   * Keeps records ({@linkcode RECORD_BYTES} each) of what is verified and written, but maybe not on the disk yet.
   *
   * @throws {WormholeError} CORRUPT when the journal had to be made anew since the transfer began.
   */
  addVerified(id: Uint8Array<ArrayBuffer>, records: Uint8Array<ArrayBuffer>, bytesDone: number): void {
    if (records.length % RECORD_BYTES !== 0) throw new RangeError("the verified records are cut");
    this.#database.transaction(() => {
      this.#touch(id, bytesDone);
      if (records.length === 0) return;
      this.#database.run(
        "INSERT INTO verified (transfer, boot_id, durable, records, sum) VALUES (?, ?, 0, ?, ?)",
        id,
        this.#bootId,
        records,
        rowSum(id, this.#bootId, records),
      );
    });
  }

  /** Gives a mark for {@linkcode Journal.settle}: take it, sync the staged files, then settle it. */
  mark(id: Uint8Array<ArrayBuffer>): number {
    const row = this.#database.get<{ last: number | null }>(
      "SELECT max(sequence) AS last FROM verified WHERE transfer = ?",
      id,
    );
    return row?.last ?? 0;
  }

  /** Everything kept up to `mark` is on the disk, and so is this word of it when the call returns. */
  settle(id: Uint8Array<ArrayBuffer>, mark: number): void {
    this.#database.barrier(() => {
      this.#database.run(
        // The sum rather than 1, which a flipped bit can turn a 0 into.
        "UPDATE verified SET durable = sum WHERE transfer = ? AND sequence <= ? AND durable = 0",
        id,
        mark,
      );
    });
  }

  /** Gives the unfinished transfers, the newest first; with `destination` only those into that folder. */
  list(destination?: Uint8Array<ArrayBuffer>): UnfinishedTransfer[] {
    const rows = destination === undefined
      ? this.#database.all<TransferRow>(
        "SELECT * FROM transfers WHERE finished_ms IS NULL ORDER BY updated_ms DESC",
      )
      : this.#database.all<TransferRow>(
        "SELECT * FROM transfers WHERE destination = ? AND finished_ms IS NULL ORDER BY updated_ms DESC",
        destination,
      );
    return rows.filter(isSound).map(transferOf);
  }

  /**
   * Gives the manifest pages of a transfer, in order.
   *
   * @throws {WormholeError} CORRUPT when one is not as it was written.
   */
  pages(id: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer>[] {
    const rows = this.#database.all<PageRow>(
      "SELECT page, body, sum FROM pages WHERE transfer = ? ORDER BY page",
      id,
    );
    if (rows.some(({ page, body, sum }) => sum !== rowSum(id, page, body))) {
      throw new WormholeError("CORRUPT", "Cannot go on with a transfer: a page of its journal is damaged");
    }
    return rows.map(({ body }) => body);
  }

  /**
   * Gives the blobs of records that can be relied on while the disk stays mounted: written in this run of the system, or
   * synced; damaged ones are left out.
   */
  verified(id: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer>[] {
    return this.#records(id, ({ boot_id, durable, sum }) => durable === sum || boot_id === this.#bootId);
  }

  /** Gives the blobs of records that can be relied on whatever happened: those that were synced. */
  synced(id: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer>[] {
    return this.#records(id, ({ durable, sum }) => durable === sum);
  }

  #records(
    id: Uint8Array<ArrayBuffer>,
    isReliable: (row: VerifiedRow) => boolean,
  ): Uint8Array<ArrayBuffer>[] {
    const rows = this.#database.all<VerifiedRow>(
      "SELECT boot_id, durable, records, sum FROM verified WHERE transfer = ? ORDER BY sequence",
      id,
    );
    return rows
      .filter(({ boot_id, records, sum }) => sum === rowSum(id, boot_id, records))
      .filter(isReliable)
      .map(({ records }) => records);
  }

  /**
   * Keeps the manifest pages of a transfer of which everything is in place, so that what lies there need not come again;
   * older ones go. One with very much to say is forgotten.
   */
  finish(id: Uint8Array<ArrayBuffer>): void {
    this.#database.transaction(() => {
      const size = this.#database.get<{ bytes: number | null }>(
        "SELECT sum(length(body)) AS bytes FROM pages WHERE transfer = ?",
        id,
      );
      if ((size?.bytes ?? 0) > MAX_FINISHED_BYTES) return this.end(id);
      const now = this.#now();
      this.#database.run("DELETE FROM verified WHERE transfer = ?", id);
      this.#database.run(
        "UPDATE transfers SET finished_ms = ?, finished_sum = ? WHERE id = ?",
        now,
        rowSum(id, now),
        id,
      );
      const old = this.#database.all<{ id: Uint8Array<ArrayBuffer> }>(
        "SELECT old.id FROM transfers AS old, transfers AS this WHERE this.id = ? AND old.id <> this.id AND " +
          "old.finished_ms IS NOT NULL AND old.peer = this.peer AND old.destination = this.destination AND " +
          "old.title = this.title UNION SELECT id FROM (SELECT id FROM transfers WHERE finished_ms IS NOT NULL " +
          "ORDER BY finished_ms DESC LIMIT -1 OFFSET ?)",
        id,
        MAX_FINISHED,
      );
      for (const each of old) this.end(each.id);
    });
  }

  /** Gives the finished transfers from the machine `peer` into a folder, the newest first. */
  finished(peer: Uint8Array<ArrayBuffer>, destination: Uint8Array<ArrayBuffer>): FinishedTransfer[] {
    const rows = this.#database.all<
      { id: Uint8Array<ArrayBuffer>; finished_ms: number; finished_sum: number }
    >(
      "SELECT id, finished_ms, finished_sum FROM transfers WHERE peer = ? AND destination = ? AND finished_ms IS NOT NULL " +
        "ORDER BY finished_ms DESC",
      peer,
      destination,
    );
    return rows
      .filter(({ id, finished_ms, finished_sum }) =>
        (id as unknown) instanceof Uint8Array && finished_sum === rowSum(id, finished_ms)
      )
      .map(({ id, finished_ms }) => ({ id, finishedMs: finished_ms }));
  }

  /** Forgets all finished transfers. */
  forgetFinished(): void {
    const rows = this.#database.all<{ id: Uint8Array<ArrayBuffer> }>(
      "SELECT id FROM transfers WHERE finished_ms IS NOT NULL",
    );
    for (const { id } of rows) this.end(id);
  }

  /** Forgets a transfer: it is finished, or what was staged of it is gone. */
  end(id: Uint8Array<ArrayBuffer>): void {
    this.#database.transaction(() => {
      // Also where foreign keys are off.
      for (const table of ["verified", "pages"]) {
        this.#database.run(`DELETE FROM ${table} WHERE transfer = ?`, id);
      }
      this.#database.run("DELETE FROM transfers WHERE id = ?", id);
    });
  }

  /** Notes that something of the transfer arrived. */
  #touch(id: Uint8Array<ArrayBuffer>, bytesDone?: number): void {
    const { changes } = this.#database.run(
      "UPDATE transfers SET bytes_done = coalesce(?, bytes_done), updated_ms = ? WHERE id = ?",
      bytesDone ?? null,
      this.#now(),
      id,
    );
    if (changes > 0) return;
    throw new WormholeError("CORRUPT", "Cannot use the journal of transfers: it was made anew meanwhile");
  }

  [Symbol.dispose](): void {
    this.#database[Symbol.dispose]();
  }
}

/** Tells whether a row says what it can say: damage to the file may have turned numbers and blobs into something else. */
function isSound({ id, peer, destination, staging, title, bytes_done, updated_ms }: TransferRow): boolean {
  return [id, peer, destination, staging].every((blob: unknown) => blob instanceof Uint8Array) &&
    [bytes_done, updated_ms].every((number: unknown) => typeof number === "number") &&
    typeof title === "string";
}

function transferOf(row: TransferRow): UnfinishedTransfer {
  return {
    id: row.id,
    peer: row.peer,
    destination: row.destination,
    staging: row.staging,
    title: row.title,
    label: row.label ?? undefined,
    bytesTotal: row.bytes_total ?? undefined,
    bytesDone: row.bytes_done,
    startedMs: row.started_ms,
    updatedMs: row.updated_ms,
    pid: row.pid,
  };
}
