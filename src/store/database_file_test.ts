import { DatabaseSync } from "node:sqlite";
import type { ErrorCode } from "../base/errors.ts";
import { assertEquals, assertThrows } from "../base/testing.ts";
import { databaseError, openFile } from "./database_file.ts";

const OPTIONS = {
  what: "the notes",
  migrations: ["CREATE TABLE note (text TEXT NOT NULL)"],
  expendable: false,
};

async function inFolder(run: (folder: string) => void): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "wormhole-database-" });
  try {
    run(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Runs `sql` on the database at `path` after `prepare`, in either of the two ways. */
function failing(
  path: string,
  sql: string,
  { prepare = "", readOnly = false, way = "exec" as "exec" | "run" } = {},
): () => void {
  return () => {
    using database = new DatabaseSync(path, { readOnly });
    if (prepare !== "") database.exec(prepare);
    try {
      if (way === "exec") database.exec(sql);
      else database.prepare(sql).run();
    } catch (error) {
      throw databaseError(error, "Cannot write");
    }
  };
}

Deno.test("databaseError() says what is wrong with the disk or the file, as SQLite finds it", () =>
  inFolder((folder) => {
    const path = `${folder}/notes.db`;
    openFile(path, OPTIONS).database.close();
    const garbage = `${folder}/garbage.db`;
    Deno.writeTextFileSync(garbage, "x".repeat(8192));
    const insert = "INSERT INTO note VALUES (randomblob(100000))";
    using other = new DatabaseSync(path);
    const rows: [
      string,
      ErrorCode,
      string,
      { path?: string; sql?: string; prepare?: string; readOnly?: boolean },
    ][] = [
      ["no room", "NO_SPACE", "the disk is full", { prepare: "PRAGMA max_page_count = 3" }],
      ["read-only", "READ_ONLY", "it is read-only", { readOnly: true }],
      ["no database", "CORRUPT", "the file is damaged", {
        path: garbage,
        sql: "SELECT * FROM sqlite_schema",
      }],
      ["not its tables", "CORRUPT", "the file is damaged", { sql: "SELECT * FROM other" }],
      ["a broken rule", "CORRUPT", "the file is damaged", { sql: "INSERT INTO note VALUES (NULL)" }],
      ["anything else", "IO", "syntax error", { sql: "SELEKT" }],
    ];
    for (const way of ["exec", "run"] as const) {
      for (const [what, code, words, { path: at = path, sql = insert, ...options }] of rows) {
        const { message } = assertThrows(failing(at, sql, { ...options, way }), code, words);
        assertEquals(message.startsWith("Cannot write: "), true, `${what}: ${message}`);
      }
    }
    other.exec("BEGIN IMMEDIATE");
    assertThrows(failing(path, insert, { prepare: "PRAGMA busy_timeout = 0" }), "TIMEOUT", "another process");
    other.exec("ROLLBACK");
    failing(path, insert)();
  }));

Deno.test("databaseError() leaves alone what SQLite did not throw", () => {
  const mistake = new TypeError("x is not a function");
  assertEquals(
    (databaseError(mistake, "Cannot write") as Error).message,
    "Cannot write: x is not a function",
  );
  assertEquals(databaseError("thrown", "Cannot write"), "thrown");
});

Deno.test("openFile() of a file where none can be made says so, and of a newer one refuses", () =>
  inFolder((folder) => {
    assertThrows(
      () => openFile(`${folder}/none/notes.db`, OPTIONS),
      "PERMISSION_DENIED",
      "cannot be opened or made",
    );
    const path = `${folder}/notes.db`;
    openFile(path, { ...OPTIONS, migrations: [...OPTIONS.migrations, "CREATE TABLE more (a)"] }).database
      .close();
    assertThrows(() => openFile(path, OPTIONS), "VERSION_UNSUPPORTED", "a newer version of wormhole made it");
  }));
