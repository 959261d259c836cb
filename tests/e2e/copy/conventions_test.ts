/** Where copies go: as `cp -a` puts them, and in plain words where it refuses. */
import { assertEquals, assertTrue } from "../../../src/base/testing.ts";
import { assertFailed } from "../harness.ts";
import { Sandbox } from "../sandbox.ts";
import { assertCopies, copies, ofKind, tool } from "./command.ts";
import { differences } from "./trees.ts";

/** What stands in the folder where both copy. */
const SCENE = `
  mkdir -p tree/sub into second empty made/tree && echo 1 > tree/in && echo 2 > tree/sub/deep
  echo file > file && echo other > other && echo there > into/there && echo s > second/in && echo m > made/file
  ln -s file link && ln -s tree folderlink && ln -s into intolink && ln -s nowhere dangling && ln file hard
  touch -d @1000 file tree/in tree
`;

/** Command lines that do the same, by `cp -a` and by ours. */
const SAME = [
  "file new",
  "file other",
  "file into",
  "file into/",
  "file intolink",
  "file into/there",
  "tree new",
  "tree new/",
  "tree into",
  "tree/sub into/sub",
  "link new",
  "link into",
  "dangling into",
  "folderlink into",
  "-T tree into",
  "-T file other",
  "-t into file tree link",
  "-t into tree/sub",
  "file tree second into",
  "file other into/",
  "tree/. into",
  "empty into",
  "made into",
  "tree made",
  "./tree ./into/.",
  "tree/sub .",
];

for (const line of SAME) {
  Deno.test(`copy ${line} does as cp -a`, async () => {
    await using sandbox = await Sandbox.create();
    const [theirs, ours] = [await scene(sandbox, "theirs"), await scene(sandbox, "ours")];
    await tool("cp", ["-a", ...line.split(" ")], { cwd: theirs });
    await assertCopies(sandbox, line.split(" "), { cwd: ours });
    const [found] = await differences([[theirs, ours]]);
    // Both were made just now; only what cp leaves or sets itself counts.
    assertEquals(found!.filter((each) => !/^'[^']*': mtime /.test(each)), []);
  });
}

/** What cp refuses, with its failures; ours says it with a code of its own. */
const REFUSED: readonly (readonly [line: string, code: number, words: RegExp])[] = [
  ["file", 2, /where to copy/],
  ["file other new", 6, /no such folder/],
  ["file new/", 6, /no such folder/],
  ["file nowhere/new", 6, /there is no folder/],
  ["nowhere new", 6, /no such file or folder/],
  ["file file", 2, /same file/],
  ["file hard", 2, /same file/],
  ["file link", 2, /same file/],
  ["link file", 2, /same file/],
  ["tree tree", 2, /inside it/],
  ["tree tree/sub/new", 2, /inside it/],
  ["tree folderlink/sub", 2, /inside it/],
  ["tree file", 6, /is none/],
  ["-T file into", 6, /is a folder/],
  ["-t file other", 6, /not a folder/],
  ["-T file other into", 2, /-T/],
  ["-t into -T file", 2, /together/],
  ["file/ new", 6, /not a folder/],
];

Deno.test("copy refuses what cannot be meant, and changes nothing", async () => {
  await using sandbox = await Sandbox.create();
  const [before, now] = [await scene(sandbox, "before"), await scene(sandbox, "now")];
  await tool("cp", ["-a", `${now}/.`, before]);
  for (const [line, code, words] of REFUSED) {
    const ending = await copies(sandbox, line.split(" "), { cwd: now });
    assertFailed(ending, code, words);
  }
  assertEquals(await differences([[before, now]]), [[]]);
});

Deno.test("copy does what it can where one of several sources cannot be copied", async () => {
  await using sandbox = await Sandbox.create();
  const cwd = await scene(sandbox, "ours");
  const ending = await copies(sandbox, ["file", "nowhere", "tree", "second/in", "tree/in", "into"], { cwd });
  assertFailed(ending, 7, /2 entries failed/);
  assertEquals(ofKind(ending, "file_failed").map(({ name, code }) => `${name} ${code}`), [
    "nowhere NOT_FOUND",
    "tree/in INVALID_ARGUMENT",
  ]);
  assertEquals(await Deno.readTextFile(`${cwd}/into/in`), "s\n");
  assertEquals(await Deno.readTextFile(`${cwd}/into/tree/in`), "1\n");
});

Deno.test("a trailing slash stands for what is in the folder, as with rsync", async () => {
  await using sandbox = await Sandbox.create();
  const cwd = await scene(sandbox, "ours");
  await assertCopies(sandbox, ["tree/", "into"], { cwd });
  assertEquals(await Deno.readTextFile(`${cwd}/into/in`), "1\n");
  await assertCopies(sandbox, ["folderlink/", "new"], { cwd });
  assertEquals(await Deno.readTextFile(`${cwd}/new/sub/deep`), "2\n");
  await assertCopies(sandbox, ["second/", "intolink"], { cwd });
  assertEquals(await Deno.readTextFile(`${cwd}/into/in`), "s\n");
  assertTrue((await Deno.lstat(`${cwd}/intolink`)).isSymlink);
});

Deno.test("a symlink in the target is replaced and never followed", async () => {
  await using sandbox = await Sandbox.create();
  await sandbox.file("from/sub/file", "new");
  await sandbox.file("outside/file", "mine");
  await sandbox.folder("to/from/sub");
  await Deno.symlink("../../../outside/file", sandbox.path("to/from/sub/file"));
  await assertCopies(sandbox, [sandbox.path("from"), sandbox.path("to")]);
  assertEquals(await Deno.readTextFile(sandbox.path("outside/file")), "mine");
  assertEquals(await Deno.readTextFile(sandbox.path("to/from/sub/file")), "new");
  assertEquals((await Deno.lstat(sandbox.path("to/from/sub/file"))).isSymlink, false);
  // A link in the place of a folder is in the way: nothing goes through it.
  await Deno.remove(sandbox.path("to/from/sub"), { recursive: true });
  await Deno.symlink("../../outside", sandbox.path("to/from/sub"));
  const ending = await copies(sandbox, [sandbox.path("from"), sandbox.path("to")]);
  assertFailed(ending, 7);
  assertEquals(await Deno.readTextFile(sandbox.path("outside/file")), "mine");
});

Deno.test("--skip keeps what is there, --update what is newer", async () => {
  await using sandbox = await Sandbox.create();
  const put = async (name: string, content: string, seconds: number) =>
    await Deno.utime(await sandbox.file(name, content), seconds, seconds);
  const reset = async () => {
    for (
      const [name, from, to] of [["older", 1000, 2000], ["newer", 3000, 2000], ["same", 2000, 2000]] as const
    ) {
      await put(`from/${name}`, `from ${name}`, from);
      await put(`to/${name}`, `to ${name}`, to);
    }
    await put("from/only", "from only", 1000);
    await Deno.remove(sandbox.path("to/only")).catch(() => {});
  };
  const look = async () => {
    const read = (name: string) => Deno.readTextFile(sandbox.path(`to/${name}`));
    return (await Promise.all(["older", "newer", "same", "only"].map(read))).map((text) =>
      text.split(" ")[0]
    );
  };
  const rows = [
    [[], ["from", "from", "from", "from"]],
    [["--skip"], ["to", "to", "to", "from"]],
    // As old, but of another size.
    [["--update"], ["to", "from", "from", "from"]],
    [["--sync"], ["from", "from", "from", "from"]],
  ] as const;
  for (const [flags, wanted] of rows) {
    await reset();
    await assertCopies(sandbox, [...flags, sandbox.path("from/"), sandbox.path("to")]);
    assertEquals(await look(), [...wanted], flags.join(" "));
  }
});

async function scene(sandbox: Sandbox, name: string): Promise<string> {
  const cwd = await sandbox.folder(name);
  await tool("sh", ["-c", SCENE], { cwd });
  return cwd;
}
