/**
 * What files had in them when both ends last agreed, for as long as that may be needed to merge edits of both: small text
 * files of the ancestor, the newest first, up to a quota. One SQLite file for each pair.
 *
 * It can always be done without: what is missing, or is not what its hash says, leaves a conflict a conflict.
 */
import { sameBytes } from "../base/bytes.ts";
import { hashBuffer } from "../native/hash.ts";
import { Database } from "../store/database.ts";
import { MAX_MERGE_BYTES } from "./merge.ts";
import { FILE, type Snapshot } from "./snapshot.ts";

/** Most bytes that are kept of one pair. */
const QUOTA_BYTES = 64 * 1024 * 1024;

/** `bytes` is null where a file was looked at and is no text, so that it is not looked at again. */
const MIGRATIONS = [`
  CREATE TABLE bases (content BLOB PRIMARY KEY, bytes BLOB) STRICT, WITHOUT ROWID;
`];

/** See the top of this file. */
export class Bases implements Disposable {
  readonly #database: Database;
  readonly #quota: number;

  private constructor(database: Database, quota: number) {
    this.#database = database;
    this.#quota = quota;
  }

  /** Opens or makes the file at `path`. @throws {WormholeError} what the disk says. */
  static open(
    path: string,
    { quotaBytes = QUOTA_BYTES, onWarning }: { quotaBytes?: number; onWarning?(sentence: string): void },
  ): Bases {
    const database = Database.open(path, {
      what: "what files were before they were edited",
      migrations: MIGRATIONS,
      expendable: true,
      onReplaced: (sentence) => onWarning?.(sentence),
    });
    return new Bases(database, quotaBytes);
  }

  /** Gives what a file had in it; undefined when that was not kept. */
  get({ content, size }: { content: Uint8Array; size: number }): Uint8Array<ArrayBuffer> | undefined {
    if (size === 0) return new Uint8Array(0);
    const row = this.#database.get<{ bytes: Uint8Array<ArrayBuffer> | null }>(
      "SELECT bytes FROM bases WHERE content = ?",
      content as Uint8Array<ArrayBuffer>,
    );
    const bytes = row?.bytes ?? undefined;
    return bytes !== undefined && sameBytes(hashBuffer(bytes), content) ? bytes : undefined;
  }

  /** Drops what is no file of `ancestor`, or has no room, and gives the rows of those that are to be added. */
  missing(ancestor: Snapshot): number[] {
    const rows = this.#wanted(ancestor);
    const there = this.#database.all<{ content: Uint8Array }>("SELECT content FROM bases");
    return this.#database.transaction(() => {
      const missing = new Map(rows);
      for (const { content } of there) {
        const key = content.toHex();
        if (rows.has(key)) missing.delete(key);
        else this.#database.run("DELETE FROM bases WHERE content = ?", content as Uint8Array<ArrayBuffer>);
      }
      return [...missing.values()];
    });
  }

  /** Keeps what files have in them, unless it is no text. */
  add(files: readonly { content: Uint8Array; bytes: Uint8Array<ArrayBuffer> }[]): void {
    this.#database.transaction(() => {
      for (const { content, bytes } of files) {
        const kept = isText(bytes) ? bytes : null;
        this.#database.run(
          "INSERT OR REPLACE INTO bases VALUES (?, ?)",
          content as Uint8Array<ArrayBuffer>,
          kept,
        );
      }
    });
  }

  /** What is kept, in bytes. */
  get bytes(): number {
    return this.#database.get<{ bytes: number }>(
      "SELECT coalesce(sum(length(bytes)), 0) AS bytes FROM bases",
    )!.bytes;
  }

  [Symbol.dispose](): void {
    this.#database[Symbol.dispose]();
  }

  /** Rows by content: what was changed last is most likely to be changed again. */
  #wanted(ancestor: Snapshot): Map<string, number> {
    const rows: number[] = [];
    for (let row = 0; row < ancestor.count; row++) {
      const size = ancestor.size(row);
      if (ancestor.kind(row) === FILE && size > 0 && size <= MAX_MERGE_BYTES) rows.push(row);
    }
    rows.sort((a, b) => {
      const [x, y] = [ancestor.mtime(a), ancestor.mtime(b)];
      return x > y ? -1 : x < y ? 1 : a - b;
    });
    const wanted = new Map<string, number>();
    let bytes = 0;
    for (const row of rows) {
      bytes += ancestor.size(row);
      if (bytes > this.#quota) break;
      wanted.set(ancestor.content(row).toHex(), row);
    }
    return wanted;
  }
}

/** As git tells text: it has no NUL. */
export function isText(bytes: Uint8Array): boolean {
  return !bytes.includes(0);
}
