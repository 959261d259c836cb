import { JobBook } from "./book.ts";
import { type Job, parseJobName } from "./job.ts";
import { WormholeError } from "../base/errors.ts";
import { assertEquals, assertRejects, assertThrows } from "../base/testing.ts";

const NOTES: Job = {
  name: "notes",
  command: ["sync", "--exclude", 'it\'s "odd"\n%', "/a b", "desk:/c"],
  folder: "/home/me",
  schedule: "every 15m",
  with: "cron",
  addedMs: Date.UTC(2026, 10, 21),
};

async function withBook(run: (book: JobBook) => Promise<void>): Promise<void> {
  const dir = await Deno.makeTempDir();
  try {
    await run(new JobBook(`${dir}/config`));
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

const nothing = () => Promise.resolve();

Deno.test("JobBook keeps jobs word for word, finds and removes them", () =>
  withBook(async (book) => {
    assertEquals(await book.list(), []);
    await book.keep(NOTES, { replaces: false, schedule: nothing });
    const other: Job = {
      name: "a2",
      command: ["copy", "/x"],
      folder: "/",
      with: "none",
      addedMs: NOTES.addedMs,
    };
    await book.keep(other, { replaces: false, schedule: nothing });
    assertEquals(await book.list(), [other, NOTES]);
    assertEquals(await book.find("NOTES"), NOTES);
    assertEquals(((await Deno.stat(book.path)).mode ?? 0) & 0o777, 0o600);
    await assertRejects(() => book.keep(other, { replaces: false, schedule: nothing }), "ALREADY_EXISTS");
    const seen: (Job | undefined)[] = [];
    const newer = { ...NOTES, schedule: "daily" };
    await book.keep(newer, {
      replaces: true,
      schedule: (before) => Promise.resolve(void seen.push(before)),
    });
    assertEquals([seen, await book.find("notes")], [[NOTES], newer]);
    await book.remove("notes", { unschedule: nothing });
    assertEquals(await book.list(), [other]);
    await assertRejects(() => book.find("notes"), "NOT_FOUND", "a2");
  }));

Deno.test("JobBook is as before when the scheduler refuses", () =>
  withBook(async (book) => {
    const refuse = () => Promise.reject(new WormholeError("UNSUPPORTED", "no"));
    await assertRejects(() => book.keep(NOTES, { replaces: false, schedule: refuse }), "UNSUPPORTED");
    assertEquals(await book.list(), []);
    await book.keep(NOTES, { replaces: false, schedule: nothing });
    await assertRejects(() => book.remove("notes", { unschedule: refuse }), "UNSUPPORTED");
    assertEquals(await book.list(), [NOTES]);
  }));

Deno.test("JobBook refuses a damaged file, and leaves it", () =>
  withBook(async (book) => {
    await book.keep(NOTES, { replaces: false, schedule: nothing });
    const whole = await Deno.readTextFile(book.path);
    const rows: [string, string, string][] = [
      ["an unknown key", whole.replace("folder", "folders"), "folders"],
      ["no schedule", whole.replace("every 15m", "every 7m"), "every 7m"],
      ["no name", whole.replace('"notes"', '"a b"'), "a b"],
      ["another scheduler", whole.replace('"cron"', '"at"'), "with"],
      ["two of one name", `${whole}${whole.replace(/^#.*\n/, "").replace('"notes"', '"Notes"')}`, "Notes"],
      ["no TOML", "[[job", "line 1"],
      ["a relative folder", whole.replace("/home/me", "me"), "folder"],
    ];
    for (const [what, text, words] of rows) {
      await Deno.writeTextFile(book.path, text);
      await assertRejects(() => book.list(), "CONFIG_INVALID", words);
      await assertRejects(() => book.keep(NOTES, { replaces: true, schedule: nothing }), "CONFIG_INVALID");
      assertEquals(await Deno.readTextFile(book.path), text, what);
    }
  }));

Deno.test("JobBook loses nothing when many add at once", () =>
  withBook(async (book) => {
    const names = Array.from({ length: 12 }, (_, at) => `n${String(at).padStart(2, "0")}`);
    await Promise.all(names.map((name) =>
      new JobBook(book.path.replace(/\/[^/]*$/, "")).keep({ ...NOTES, name }, {
        replaces: false,
        schedule: nothing,
      })
    ));
    assertEquals(
      (await book.list()).map(({ name }) =>
        name
      ),
      names,
    );
  }));

Deno.test("parseJobName() takes names that nothing has to escape", () => {
  for (const name of ["notes", "a", "A-1_b", "x".repeat(40)]) assertEquals(parseJobName(name), name);
  const bad = [
    "",
    "-a",
    "a b",
    "a'b",
    'a"b',
    "a%b",
    "a\nb",
    "../a",
    "a/b",
    "a.b",
    "Büro",
    "x".repeat(41),
    "$(id)",
  ];
  for (const name of bad) assertThrows(() => parseJobName(name), "INVALID_ARGUMENT");
});
