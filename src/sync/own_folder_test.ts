import { assertEquals, assertRejects } from "../base/testing.ts";
import { Sandbox } from "../../tests/e2e/sandbox.ts";
import { identityIn, openOwnFolder } from "./own_folder.ts";

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
