/** A right to one way only, against a machine that tries the other one. */
import { assertEquals, assertRejects, assertTrue } from "../../base/testing.ts";
import { type FarPair, farPair, runPair } from "../../../tests/compliance/sync_remote.ts";
import type { Staged } from "../end.ts";
import { Snapshot } from "../snapshot.ts";

async function fill({ sandbox, roots }: FarPair): Promise<void> {
  await sandbox.file("local/near", "near");
  await sandbox.file("local/both", "near's");
  await sandbox.file("remote/far", "far");
  await sandbox.file("remote/both", "far's");
  await Deno.symlink("far", `${roots.remote}/link`);
}

/** Texts by path; links as they are. */
async function treeOf(root: string): Promise<Record<string, string>> {
  const tree: Record<string, string> = {};
  for await (const { name, isSymlink } of Deno.readDir(root)) {
    if (name === ".wormhole-sync") continue;
    tree[name] = isSymlink
      ? await Deno.readLink(`${root}/${name}`)
      : await Deno.readTextFile(`${root}/${name}`);
  }
  return tree;
}

const FAR = { far: "far", both: "far's", link: "far" };

for (const mode of ["one-way-safe", "one-way-replica"] as const) {
  Deno.test(`a folder that may only be read is copied by ${mode}, and is what it was`, async () => {
    await using pair = await farPair({ right: "pull", way: "pull" });
    await fill(pair);
    const { changes, problems, postponed } = (await runPair(pair, { first: "remote", mode })).outcome;
    assertEquals([changes[0], problems, postponed], [0, 0, 0]);
    assertEquals(await treeOf(pair.roots.remote), FAR);
    const near = await treeOf(pair.roots.local);
    assertEquals([near.far, near.both, near.link], ["far", "far's", "far"]);
    await pair.remote.end();
  });

  Deno.test(`a folder that may only be changed takes what ${mode} brings`, async () => {
    await using pair = await farPair({ right: "push", way: "push" });
    await fill(pair);
    const { changes, problems, postponed } = (await runPair(pair, { first: "local", mode })).outcome;
    assertEquals([changes[0], problems, postponed], [0, 0, 0]);
    const far = await treeOf(pair.roots.remote);
    assertEquals([far.near, far.both], ["near", "near's"]);
    assertEquals((await treeOf(pair.roots.local)).far, undefined);
    await pair.remote.end();
  });
}

/** What a hostile machine does once it has begun with a word that it does not keep. */
type Attack = (pair: FarPair) => Promise<unknown>;

const stage = (pair: FarPair, way: "push" | "pull") => async () => {
  const { channel, local } = pair;
  const snapshot = (await local.scan({ snapshot: Snapshot.empty(2), side: 0 })).snapshot;
  const file: Staged = {
    slot: 0,
    path: "both",
    isSymlink: false,
    size: snapshot.size(snapshot.find("both")),
    mtime: 0n,
    mode: 0o644,
    content: snapshot.content(snapshot.find("both")),
  };
  if (way === "push") return await pair.remote.stage([file], local);
  await channel.send({ type: "stage", way: "pull", files: 1 });
  return await channel.expect("ready");
};

const HOSTILE: [description: string, right: "pull" | "push", attack: Attack][] = [
  ["makes a folder in one that it may only read", "pull", ({ remote }) => (
    remote.change([{ do: "make", path: "d", mode: 0o755 }])
  )],
  ["deletes in one that it may only read", "pull", async ({ remote }) => {
    const { snapshot } = await remote.scan({ snapshot: Snapshot.empty(2), side: 0 });
    return await remote.change([{ do: "take", path: "far", was: snapshot.stamp(snapshot.find("far")) }]);
  }],
  ["puts a file into one that it may only read", "pull", async (pair) => {
    await pair.remote.scan({ snapshot: Snapshot.empty(2), side: 0 });
    return await stage(pair, "push")();
  }],
  ["has one flushed that it may only read", "pull", ({ remote }) => remote.flush()],
  ["reads a file of one that it may only change", "push", async (pair) => {
    await pair.remote.scan({ snapshot: Snapshot.empty(2), side: 0 });
    return await stage(pair, "pull")();
  }],
];

for (const [description, right, attack] of HOSTILE) {
  Deno.test(`a machine that ${description} is thrown out, and nothing has happened`, async () => {
    await using pair = await farPair({ right, way: right });
    await fill(pair);
    await assertRejects(() => attack(pair), "PROTOCOL");
    const error = await pair.served;
    assertTrue(error instanceof Error && "code" in error && error.code === "PROTOCOL", `${error}`);
    assertEquals(await treeOf(pair.roots.remote), FAR);
    const own = await Array.fromAsync(
      Deno.readDir(`${pair.roots.remote}/.wormhole-sync/staging`),
      ({ name }) => name,
    );
    assertEquals(own, []);
  });
}

for (
  const [right, way] of [["pull", undefined], ["pull", "both"], ["pull", "push"], ["push", "pull"], [
    "push",
    undefined,
  ]] as const
) {
  Deno.test(`a run that goes ${way ?? "no way in particular"} is refused where only ${right} is allowed`, async () => {
    await using pair = await farPair({ right, way: right });
    const { channel } = pair;
    await channel.send({ type: "end", done: true });
    await channel.expect("ended");
    await channel.send({ type: "look", path: new Uint8Array() });
    assertEquals((await channel.expect("looked")).way, right);
    const begin = { type: "begin", one_file_system: false, skip_symlinks: false, dry_run: false } as const;
    await channel.send({ ...begin, ...way && { way } });
    await assertRejects(() => channel.expect("begun"), "REFUSED");
    // The session goes on, and the folder is free.
    await channel.send({ ...begin, way: right });
    await channel.expect("begun");
  });
}

Deno.test("a right that is taken back between a look and a run counts at once", async () => {
  const right: { way: "both" | "pull" } = { way: "both" };
  await using pair = await farPair({ rightNow: () => right.way });
  const { channel } = pair;
  await channel.send({ type: "end", done: true });
  await channel.expect("ended");
  right.way = "pull";
  await channel.send({ type: "begin", one_file_system: false, skip_symlinks: false, dry_run: false });
  await assertRejects(() => channel.expect("begun"), "REFUSED");
});
