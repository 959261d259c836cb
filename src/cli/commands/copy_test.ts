import { assertEquals } from "../../base/testing.ts";
import { makeJournalPath } from "../../copy/journal.ts";
import { Home } from "../testing.ts";

/** How a journal begins. */
const MAGIC = "wormhole-copy 1\n";

Deno.test("copy --resume goes on in the destination that the same command made, not below it", async () => {
  await using home = await Home.create();
  const [source, target] = [home.path("from"), home.path("to")];
  await Deno.mkdir(source);
  for (const name of ["a", "b"]) await Deno.writeTextFile(`${source}/${name}`, name);
  const stateDir = home.path(".local/state/wormhole");
  // What a run that was stopped leaves behind.
  const stop = async () => {
    const roots = [{ source, target, folder: true }];
    await Deno.writeTextFile(await makeJournalPath(stateDir, roots, { nowMs: 0 }), MAGIC);
  };
  await home.run("copy", source, target);
  await Deno.remove(`${target}/b`);
  await stop();
  await home.run("copy", "--resume", source, target);
  assertEquals(await namesIn(target), ["a", "b"]);
  assertEquals(home.ofKind("copied").map(({ unchanged }) => unchanged), [0, 1]);
  await home.run("copy", "--resume", source, target);
  assertEquals(await namesIn(target), ["a", "b", "from"], "it had ended");
  await Deno.remove(`${target}/from`, { recursive: true });
  await stop();
  await home.run("copy", source, target);
  await home.run("copy", "--resume", source, target);
  assertEquals(await namesIn(target), ["a", "b", "from"], "that one went into the folder");
  assertEquals(await namesIn(`${stateDir}/copies`), []);
});

Deno.test("copy removes journals that nobody has gone on with for months, and no others", async () => {
  await using home = await Home.create();
  const folder = home.path(".local/state/wormhole/copies");
  await Deno.mkdir(folder, { recursive: true });
  await Deno.mkdir(home.path("from"));
  for (const [name, days] of [["old.journal", 91], ["new.journal", 89]] as const) {
    await Deno.writeTextFile(`${folder}/${name}`, MAGIC);
    const time = new Date(Date.now() - days * 24 * 60 * 60 * 1000);
    await Deno.utime(`${folder}/${name}`, time, time);
  }
  await home.run("copy", home.path("from"), home.path("to"));
  assertEquals(await namesIn(folder), ["new.journal"]);
});

Deno.test("copy says of a name that is too long what helps", async () => {
  await using home = await Home.create();
  await Deno.writeTextFile(home.path("file"), "1");
  const name = home.path("n".repeat(256));
  await home.assertRefuses([
    [
      ["copy", home.path("file"), name],
      "NAME_TOO_LONG",
      `Cannot look at "${name}": a name has more than 255 bytes, or the path too many`,
    ],
  ]);
});

async function namesIn(folder: string): Promise<string[]> {
  return (await Array.fromAsync(Deno.readDir(folder), ({ name }) => name)).sort();
}
