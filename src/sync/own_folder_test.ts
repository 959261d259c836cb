import { assertEquals, assertRejects } from "../base/testing.ts";
import { Sandbox } from "../../tests/e2e/sandbox.ts";
import { emptyTrash, identityIn, openOwnFolder } from "./own_folder.ts";
import { TRASH, trashName } from "./places.ts";

Deno.test("openOwnFolder() works in no other folder, though a symlink to one has the name", async () => {
  await using sandbox = await Sandbox.create();
  const root = await sandbox.folder("root");
  await sandbox.file("other/staging/mine", "1");
  await sandbox.file("other/root", "00000000000000000000000000000000\n");
  await Deno.symlink(sandbox.path("other"), `${root}/.wormhole-sync`);
  await assertRejects(() => openOwnFolder(root), "NOT_DIRECTORY", ".wormhole-sync");
  assertEquals(await identityIn(root), undefined);
  const names = await Array.fromAsync(Deno.readDir(sandbox.path("other")), ({ name }) => name);
  assertEquals(names.sort(), ["root", "staging"]);
  assertEquals(await Deno.readTextFile(sandbox.path("other/staging/mine")), "1");
  await Deno.remove(`${root}/.wormhole-sync`);
  using own = await openOwnFolder(root);
  assertEquals(await identityIn(root), own.identity);
});

Deno.test("emptyTrash() removes what is too old, but not because a clock has jumped", async () => {
  await using sandbox = await Sandbox.create();
  const root = await sandbox.folder("root");
  using _own = await openOwnFolder(root);
  const start = Date.parse("2026-11-22T12:00:00Z");
  const day = 24 * 60 * 60 * 1000;
  const put = (days: number) => Deno.mkdir(`${root}/${TRASH}/${trashName(start + days * day)}`);
  const left = async (days: number, keepDays = 30) => {
    await emptyTrash(root, { keepMs: keepDays * day, now: start + days * day });
    const names = await Array.fromAsync(Deno.readDir(`${root}/${TRASH}`), ({ name }) => name);
    return names.map((name) => (Date.parse(name.slice(0, 10)) - Date.parse("2026-11-22")) / day).sort((
      a,
      b,
    ) => a - b);
  };
  for (const days of [-31, -1, 0]) await put(days);
  assertEquals(await left(0), [-1, 0], "nothing is known of an earlier look");
  assertEquals(await left(28), [-1, 0]);
  assertEquals(await left(5000), [-1, 0], "a jump");
  assertEquals(await left(5000.5), [-1, 0], "and for a day after it");
  assertEquals(await left(29), [-1, 0], "set right again");
  assertEquals(await left(30), [-1, 0]);
  assertEquals(await left(32), [0], "since the look before was on the day 30");
  assertEquals(await left(33, 0), [], "without days nothing is kept");
});
