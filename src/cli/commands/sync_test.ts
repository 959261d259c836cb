import { assertEquals, assertRejects } from "../../base/testing.ts";
import { Home } from "../testing.ts";

async function foldersOf(home: Home, files: Record<string, string>): Promise<[string, string]> {
  for (const name of ["a", "b"]) await Deno.mkdir(home.path(name));
  for (const [name, text] of Object.entries(files)) await Deno.writeTextFile(home.path(name), text);
  return [home.path("a"), home.path("b")];
}

Deno.test("sync ends well where --prefer has decided, and with CONFLICTS where somebody has to", async () => {
  await using home = await Home.create();
  const [a, b] = await foldersOf(home, { "a/x": "1" });
  await home.run("sync", a, b);
  await Deno.writeTextFile(`${a}/x`, "from a");
  await Deno.writeTextFile(`${b}/x`, "longer, from b");
  await home.run("sync", "--mode", "two-way-resolved", "--prefer", "larger", a, b);
  assertEquals(home.ofKind("sync_conflict").map(({ winner, copy }) => [winner, copy]), [["beta", null]]);
  assertEquals(home.ofKind("synced").map(({ conflicts }) => conflicts), [0, 0]);
  assertEquals(await Deno.readTextFile(`${a}/x`), "longer, from b");
  await Deno.writeTextFile(`${a}/x`, "a");
  await Deno.writeTextFile(`${b}/x`, "b, too");
  await assertRejects(() => home.run("sync", a, b), "CONFLICTS", "Cannot decide 1 conflict");
});

Deno.test("sync --dry-run tells what comes into a folder that would be made, and a run that is stopped makes none", async () => {
  await using home = await Home.create();
  const [a, b] = await foldersOf(home, { "a/x": "1" });
  const missing = `${b}/new`;
  await home.run("sync", "--dry-run", a, missing);
  assertEquals(home.ofKind("sync_change").map(({ side, name }) => `${side} ${name}`), ["beta x"]);
  assertEquals(await there(missing), false);
  await home.assertRefuses([
    [
      ["sync", "--dry-run", a, `${b}/no/new`],
      "NOT_FOUND",
      `Cannot synchronize "${b}/no/new": there is no such folder`,
    ],
  ]);
  await home.run("sync", a, missing);
  assertEquals(await Deno.readTextFile(`${missing}/x`), "1");
  // As the place of a disk that is not mounted.
  await Deno.remove(missing, { recursive: true });
  await assertRejects(() => home.run("sync", a, missing), "BRAKED", "is its disk mounted?");
  assertEquals(await there(missing), false);
});

Deno.test("sync restore --list of the folder itself lists its trash, and names of one's own with a ~ stay such", async () => {
  await using home = await Home.create();
  const [a, b] = await foldersOf(home, { "a/x": "1", "a/y~1": "own" });
  await Deno.mkdir(`${a}/d`);
  await Deno.writeTextFile(`${a}/d/z`, "22");
  await home.run("sync", a, b);
  for (const name of ["x", "y~1", "d/z"]) await Deno.remove(`${a}/${name}`);
  await home.run("sync", "--yes", a, b);
  await home.run("sync", "restore", "--list", b);
  const listed = home.ofKind("version").map(({ name, bytes }) => `${name} ${bytes}`);
  assertEquals(listed.sort(), ["d/z 2", "x 1", "y~1 3"]);
  await home.assertRefuses([
    [["sync", "restore", `${b}/y`], "NOT_FOUND", `Cannot restore "${b}/y": there is no version in the trash`],
    [
      ["sync", "restore", b],
      "INVALID_ARGUMENT",
      `Cannot restore all of "${b}": name one path in it; --list shows what there is`,
    ],
  ]);
  await home.run("sync", "restore", `${b}/y~1`);
  assertEquals(await Deno.readTextFile(`${b}/y~1`), "own");
});

async function there(path: string): Promise<boolean> {
  return await Deno.lstat(path).then(() => true, () => false);
}
