import { assertEquals, assertRejects } from "../base/testing.ts";
import { conflictCopies, type Keep, settleConflicts } from "./conflict_copies.ts";
import { openOwnFolder } from "./own_folder.ts";
import { conflictName, OWN_FOLDER, TRASH } from "./places.ts";

const MS = Date.parse("2026-11-21T15:08:22Z");
const TIME = "20261121T150822Z";

/** A folder that was synchronized once. */
class Folder implements AsyncDisposable {
  readonly root = Deno.makeTempDirSync({ prefix: "wormhole-conflicts-" });

  static async create(files: Record<string, string>): Promise<Folder> {
    const folder = new Folder();
    (await openOwnFolder(folder.root))[Symbol.dispose]();
    for (const [name, content] of Object.entries(files)) {
      const path = `${folder.root}/${name}`;
      await Deno.mkdir(path.slice(0, path.lastIndexOf("/")), { recursive: true });
      await Deno.writeTextFile(path, content);
    }
    return folder;
  }

  /** Gives every file below `under` with its content. */
  files(under = "", into: Record<string, string> = {}): Record<string, string> {
    for (const { name, isDirectory } of Deno.readDirSync(`${this.root}/${under}`)) {
      const path = under === "" ? name : `${under}/${name}`;
      if (path === OWN_FOLDER) continue;
      if (isDirectory) this.files(path, into);
      else into[path] = Deno.readTextFileSync(`${this.root}/${path}`);
    }
    return into;
  }

  /** Gives what is in the trash of a settling at `MS`. */
  trashed(): Record<string, string> {
    const found = this.files(TRASH);
    return Object.fromEntries(
      Object.entries(found).map((
        [path, content],
      ) => [path.slice(TRASH.length + 1).split("/").slice(1).join("/"), content]),
    );
  }

  async settle(keep: Keep): Promise<string[]> {
    const copies = await conflictCopies(this.root);
    return (await settleConflicts(this.root, { copies, keep, now: MS })).map(({ message }) => message);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.root, { recursive: true });
  }
}

const COPY = conflictName("x", { machine: "desk", ms: MS });

Deno.test("settleConflicts() finds the current version of a copy whose name was cut", async () => {
  for (const long of ["n".repeat(255), `${"ü".repeat(127)}x`]) {
    const copy = conflictName(long, { machine: "desk", ms: MS });
    await using folder = await Folder.create({
      [`a/${long}`]: "mine",
      [`a/${copy}`]: "theirs",
      "a/other": "",
    });
    assertEquals((await conflictCopies(folder.root)).map(({ path }) => path), [`a/${long}`]);
    assertEquals(await folder.settle("copy"), []);
    assertEquals(folder.files(), { [`a/${long}`]: "theirs", "a/other": "" });
    assertEquals(folder.trashed(), { [`a/${long}`]: "mine" });
  }
  // Which of two it was nobody can know: neither is touched.
  const long = "n".repeat(250);
  const copy = conflictName(`${long}1`, { machine: "desk", ms: MS });
  await using folder = await Folder.create({
    [`a/${long}1`]: "1",
    [`a/${long}2`]: "2",
    [`a/${copy}`]: "theirs",
  });
  assertEquals(await folder.settle("copy"), []);
  const { [`a/${long}1`]: first, [`a/${long}2`]: second } = folder.files();
  assertEquals([first, second], ["1", "2"]);
});

Deno.test("settleConflicts() keeps what was asked for, and the other one in the trash", async () => {
  const rows: [Keep, Record<string, string>, Record<string, string>][] = [
    ["current", { "a/x": "mine" }, { [`a/${COPY}`]: "theirs" }],
    ["copy", { "a/x": "theirs" }, { "a/x": "mine" }],
    ["both", { "a/x": "mine", [`a/x (desk ${TIME})`]: "theirs" }, {}],
  ];
  for (const [keep, files, trash] of rows) {
    await using folder = await Folder.create({ "a/x": "mine", [`a/${COPY}`]: "theirs" });
    assertEquals(await conflictCopies(folder.root), [
      { path: "a/x", copy: `a/${COPY}`, machine: "desk", time: TIME },
    ]);
    assertEquals(await folder.settle(keep), [], keep);
    assertEquals([folder.files(), folder.trashed()], [files, trash], keep);
  }
});

Deno.test("settleConflicts() puts a copy in place of what is gone", async () => {
  await using folder = await Folder.create({ [COPY]: "theirs" });
  assertEquals(await folder.settle("copy"), []);
  assertEquals([folder.files(), folder.trashed()], [{ x: "theirs" }, {}]);
});

Deno.test("settleConflicts() leaves folders and what is gone alone, says so, and settles the others", async () => {
  const y = conflictName("y", { machine: "desk", ms: MS });
  await using folder = await Folder.create({ "x/in": "mine", [COPY]: "theirs", y: "mine", [y]: "theirs" });
  assertEquals(await folder.settle("copy"), [`Cannot settle "${COPY}": a folder is there; move it by hand`]);
  assertEquals(folder.files(), { "x/in": "mine", [COPY]: "theirs", y: "theirs" });
  const copies = await conflictCopies(folder.root);
  await Deno.remove(`${folder.root}/${COPY}`);
  const failed = await settleConflicts(folder.root, { copies, keep: "copy", now: MS });
  assertEquals(failed.map(({ message }) => message), [`Cannot settle "${COPY}": it is not there any more`]);
});

Deno.test("settleConflicts() puts a whole folder that is a copy into the trash", async () => {
  await using folder = await Folder.create({ x: "mine", [`${COPY}/in`]: "theirs" });
  assertEquals(await folder.settle("current"), []);
  assertEquals([folder.files(), folder.trashed()], [{ x: "mine" }, { [`${COPY}/in`]: "theirs" }]);
});

Deno.test("conflicts are looked for, and settled, only where there was a sync", async () => {
  await assertRejects(() => conflictCopies("/none"), "NOT_FOUND", 'Cannot look for conflicts in "/none"');
  const root = await Deno.makeTempDir();
  try {
    const settle = () => settleConflicts(root, { copies: [], keep: "both", now: MS });
    await assertRejects(settle, "NOT_FOUND", "it was never synchronized");
    assertEquals([...Deno.readDirSync(root)], []);
  } finally {
    await Deno.remove(root, { recursive: true });
  }
});
