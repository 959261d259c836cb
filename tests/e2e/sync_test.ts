/** `wormhole sync` as a person, or cron, runs it. What unison, mutagen and rclone bisync promise, written anew. */
import { assertEquals, assertTrue } from "../../src/base/testing.ts";
import { type Ending, run, start } from "./command.ts";
import { type Person, Sandbox } from "./sandbox.ts";

/** Two folders and somebody who keeps them the same. */
class Pair implements AsyncDisposable {
  private constructor(readonly sandbox: Sandbox, readonly person: Person) {}

  static async create(): Promise<Pair> {
    const sandbox = await Sandbox.create();
    const pair = new Pair(sandbox, await sandbox.person("keeper"));
    for (const side of ["a", "b"]) await sandbox.folder(side);
    return pair;
  }

  get a(): string {
    return this.sandbox.path("a");
  }

  get b(): string {
    return this.sandbox.path("b");
  }

  get state(): string {
    return `${this.person.env.XDG_STATE_HOME}/wormhole/sync`;
  }

  async write(files: Record<string, string>): Promise<void> {
    for (const [name, text] of Object.entries(files)) await this.sandbox.file(name, text);
  }

  async sync(args: readonly string[] = [], code = 0): Promise<Ending> {
    const ended = await run(["sync", "--json", this.a, this.b, ...args], { person: this.person });
    assertEquals(ended.code, code, `${ended.stderr}\n${new TextDecoder().decode(ended.stdout)}`);
    return ended;
  }

  /** Texts by path, without sync's own folder; folders end with "/". */
  async tree(side: "a" | "b", below = ""): Promise<Record<string, string>> {
    const tree: Record<string, string> = {};
    for await (const { name, isDirectory, isSymlink } of Deno.readDir(`${this[side]}/${below}`)) {
      const path = below + name;
      if (path === ".wormhole-sync") continue;
      if (isDirectory) Object.assign(tree, { [`${path}/`]: "" }, await this.tree(side, `${path}/`));
      else if (isSymlink) tree[path] = `-> ${await Deno.readLink(`${this[side]}/${path}`)}`;
      else tree[path] = await Deno.readTextFile(`${this[side]}/${path}`);
    }
    return tree;
  }

  /** Fails unless both have exactly these files. */
  async assertBoth(wanted: Record<string, string>): Promise<void> {
    for (const side of ["a", "b"] as const) {
      const tree = Object.entries(await this.tree(side)).filter(([path]) => !path.endsWith("/"));
      assertEquals(tree.sort(), Object.entries(wanted).sort(), `folder ${side}`);
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.sandbox[Symbol.asyncDispose]();
  }
}

function event({ events }: Ending, name: string) {
  return events.find((event) => event.event === name);
}

Deno.test("sync joins two folders, then carries edits, deletions, moves and permissions both ways", async () => {
  await using pair = await Pair.create();
  await pair.write({
    "a/one": "1",
    "a/d/two": "2",
    "b/three": "3",
    "a/same": "s",
    "b/same": "s",
    "a/d/e/four": "4",
  });
  await Deno.symlink("one", `${pair.a}/link`);
  const first = event(await pair.sync(), "synced")!;
  assertEquals([first.conflicts, first.failed, first.alpha.trashed, first.beta.trashed], [0, 0, 0, 0]);
  await pair.assertBoth({ one: "1", "d/two": "2", three: "3", same: "s", "d/e/four": "4", link: "-> one" });

  const quiet = await run(["sync", pair.a, pair.b], { person: pair.person });
  assertEquals(
    [quiet.code, quiet.stdout.length, quiet.stderr],
    [0, 0, ""],
    "nothing happened, nothing is said",
  );

  const { ino } = await Deno.stat(`${pair.b}/d/two`);
  await Deno.rename(`${pair.a}/d`, `${pair.a}/moved`);
  await pair.write({ "a/one": "1 edited", "b/three": "3 edited" });
  await Deno.remove(`${pair.b}/same`);
  await Deno.chmod(`${pair.b}/link`.replace("link", "one"), 0o640);
  const second = event(await pair.sync(), "synced")!;
  assertEquals([second.conflicts, second.alpha.trashed], [0, 1]);
  await pair.assertBoth({
    one: "1 edited",
    "moved/two": "2",
    three: "3 edited",
    "moved/e/four": "4",
    link: "-> one",
  });
  assertEquals((await Deno.stat(`${pair.b}/moved/two`)).ino, ino, "moved in place");
  assertEquals(((await Deno.stat(`${pair.a}/one`)).mode ?? 0) & 0o777, 0o640);
  assertEquals(event(await pair.sync(), "synced")!.alpha.changes, 0);
});

Deno.test("sync keeps both versions of a conflict; sync conflicts lists and settles them", async () => {
  await using pair = await Pair.create();
  await pair.write({ "a/x": "base", "a/y": "base", "a/z": "base" });
  await pair.sync();
  for (const name of ["x", "y", "z"]) {
    await pair.write({ [`a/${name}`]: `a's ${name}`, [`b/${name}`]: `b's ${name}` });
  }
  const ended = await pair.sync([], 9);
  const conflicts = ended.events.filter((one) => one.event === "sync_conflict");
  assertEquals(conflicts.map(({ name, kind, winner }) => [name, kind, winner]), [
    ["x", "edit", "alpha"],
    ["y", "edit", "alpha"],
    ["z", "edit", "alpha"],
  ]);
  const copies = Object.fromEntries(conflicts.map(({ name, copy }) => [name, copy]));
  assertTrue(/^x\.conflict-[A-Za-z0-9_]+-\d{8}T\d{6}Z$/.test(copies.x), copies.x);
  const versions = { x: "a's x", y: "a's y", z: "a's z" };
  await pair.assertBoth({ ...versions, [copies.x]: "b's x", [copies.y]: "b's y", [copies.z]: "b's z" });
  await pair.sync();

  const settle = async (...args: string[]) => {
    const ended = await run(["sync", "conflicts", "--json", pair.b, ...args], { person: pair.person });
    assertEquals(ended.code, 0, ended.stderr);
    return ended.events.map(({ name, kept }) => [name, kept]);
  };
  assertEquals(await settle(), [["x", null], ["y", null], ["z", null]]);
  assertEquals(await settle("x", "--keep", "copy"), [["x", "copy"]]);
  assertEquals(await settle("y", "--keep", "current"), [["y", "current"]]);
  assertEquals(await settle("--keep", "both"), [["z", "both"]]);
  assertEquals(await settle(), []);
  await pair.sync();
  const tree = await pair.tree("a");
  assertEquals([tree.x, tree.y, tree.z, Object.keys(tree).length], ["b's x", "a's y", "a's z", 4]);
  assertEquals(tree, await pair.tree("b"));
  // What was not kept is in the trash.
  const restored = await run(["sync", "restore", `${pair.b}/x`], { person: pair.person });
  assertEquals([restored.code, await Deno.readTextFile(`${pair.b}/x`)], [0, "a's x"], restored.stderr);
});

Deno.test("sync --merge makes one of both edits where it can, and never loses either", async () => {
  await using pair = await Pair.create();
  const lines = (...changed: string[]) =>
    Array.from({ length: 9 }, (_, i) => changed[i] || `${i}`).join("\n") + "\n";
  await pair.write({ "a/d/x": lines(), "a/y": lines(), "a/z": lines() });
  const merge = ["--merge", "diff3 -m %A %O %B"];
  await pair.sync(merge);
  const [first, last] = [lines("a's"), lines(...Array(8), "b's")];
  await pair.write({ "a/d/x": first, "b/d/x": last, "a/y": first, "b/y": lines("b's") });
  const ended = await pair.sync(merge, 9);
  assertEquals(event(ended, "sync_merged")!.name, "d/x");
  assertEquals([event(ended, "synced")!.merged, event(ended, "synced")!.conflicts], [1, 1]);
  const copy = event(ended, "sync_conflict")!.copy;
  const both = lines("a's", ...Array(7), "b's");
  await pair.assertBoth({ "d/x": both, y: first, [copy]: lines("b's"), z: lines() });
  for (const [root, text] of [[pair.a, first], [pair.b, last]]) {
    const restored = await run(["sync", "restore", `${root}/d/x`], { person: pair.person });
    assertEquals([restored.code, await Deno.readTextFile(`${root}/d/x`)], [0, text], "it is in the trash");
  }
  // They differ again, and the merge is the common version now.
  await pair.write({ "a/d/x": both, "b/d/x": both });
  await pair.sync(merge);
  await pair.write({
    "a/d/x": lines("a's", "a2", ...Array(6), "b's"),
    "b/d/x": lines("a's", ...Array(6), "b2", "b's"),
  });
  await pair.sync(merge);
  assertEquals(await Deno.readTextFile(`${pair.b}/d/x`), lines("a's", "a2", ...Array(5), "b2", "b's"));
  // What the versions were is not known any more: both are kept, as without --merge.
  await pair.write({ "a/z": first, "b/z": last });
  for await (const { name } of Deno.readDir(pair.state)) {
    if (name.includes(".merge.")) await Deno.remove(`${pair.state}/${name}`);
  }
  await pair.sync(merge, 9);
  await pair.sync(["--mode", "one-way-safe", ...merge], 2);
  await pair.sync(["--merge", "diff3 %P"], 2);
});

Deno.test("sync restore brings back what was deleted, and how it was then", async () => {
  await using pair = await Pair.create();
  await pair.write({ "a/d/x": "one", "a/d/y": "yes", "a/keep": "k" });
  await pair.sync();
  await pair.write({ "a/d/x": "two" });
  await pair.sync();
  const between = new Date().toISOString();
  await Deno.remove(`${pair.a}/d`, { recursive: true });
  await pair.sync();
  await pair.assertBoth({ keep: "k" });
  const restore = async (...args: string[]) => {
    const ended = await run(["sync", "restore", "--json", ...args], { person: pair.person });
    assertEquals(ended.code, 0, ended.stderr);
    return ended.events;
  };
  assertEquals((await restore("--list", `${pair.b}/d/x`)).map(({ bytes }) => bytes), [3, 3]);
  await restore(`${pair.b}/d`);
  assertEquals(await pair.tree("b"), { "d/": "", "d/x": "two", "d/y": "yes", keep: "k" });
  await restore(`${pair.b}/d/x@2020-01-01`);
  assertEquals(await Deno.readTextFile(`${pair.b}/d/x`), "one");
  await restore(`${pair.b}/d/x@${between}`);
  assertEquals(await Deno.readTextFile(`${pair.b}/d/x`), "two");
  const missing = await run(["sync", "restore", `${pair.b}/d/z`], { person: pair.person });
  assertEquals(missing.code, 6, missing.stderr);
});

Deno.test("sync stops before it deletes much, and where a folder is not the one that it was", async () => {
  await using pair = await Pair.create();
  const files = Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`a/${i}`, String(i)]));
  await pair.write(files);
  await pair.sync();
  for (let i = 0; i < 11; i++) await Deno.remove(`${pair.a}/${i}`);
  const braked = event(await pair.sync([], 10), "error")!;
  assertEquals([braked.code, Object.keys(await pair.tree("b")).length], ["BRAKED", 20]);
  await pair.sync(["--max-delete", "10"], 10);
  await pair.sync(["--max-delete", "11"]);
  assertEquals(Object.keys(await pair.tree("b")).length, 9);

  for (let i = 11; i < 20; i++) await Deno.remove(`${pair.a}/${i}`);
  await pair.sync([], 10);
  assertEquals(Object.keys(await pair.tree("b")).length, 9, "an empty folder deletes nothing");

  // The place of a disk that is not mounted.
  await Deno.rename(pair.a, `${pair.a}-away`);
  await pair.sandbox.folder("a");
  const unmounted = event(await pair.sync([], 10), "error")!;
  assertTrue(unmounted.message.includes("mounted"), unmounted.message);
  assertEquals(Object.keys(await pair.tree("b")).length, 9);
  await pair.sync(["--forget"]);
  assertEquals(await pair.tree("a"), await pair.tree("b"), "begun anew, nothing is deleted");
});

Deno.test("sync --dry-run says what it would do and does nothing", async () => {
  await using pair = await Pair.create();
  await pair.write({ "a/x": "1", "b/d/y": "2" });
  const ended = await pair.sync(["--dry-run"]);
  const changes = ended.events.filter((one) => one.event === "sync_change");
  assertEquals(changes.map(({ side, action, name }) => `${side} ${action} ${name}`).sort(), [
    "alpha create d",
    "alpha create d/y",
    "beta create x",
  ]);
  assertEquals([await pair.tree("a"), await pair.tree("b")], [{ x: "1" }, { "d/": "", "d/y": "2" }]);
  for (const root of [pair.a, pair.b]) {
    assertTrue(!(await Array.fromAsync(Deno.readDir(root))).some(({ name }) => name === ".wormhole-sync"));
  }
});

Deno.test("sync leaves alone what is ignored at either end, excluded, or no file", async () => {
  await using pair = await Pair.create();
  await pair.write({
    "a/.wormholeignore": "*.o\nbuild/\n",
    "a/x.o": "a's",
    "b/x.o": "b's",
    "b/build/y": "b's",
  });
  await pair.write({ "a/x.c": "c", "a/tmp/z": "z", "b/.gitignore": "x.c\n" });
  await new Deno.Command("mkfifo", { args: [`${pair.a}/pipe`] }).output();
  const synced = event(await pair.sync(["--exclude", "/tmp"]), "synced")!;
  assertEquals([synced.skipped, synced.failed, synced.conflicts], [1, 0, 0]);
  await Deno.remove(`${pair.a}/pipe`); // nobody would ever write to it
  const [a, b] = [await pair.tree("a"), await pair.tree("b")];
  assertEquals([b["x.o"], b["x.c"], "tmp/" in b, b["build/y"]], ["b's", "c", false, "b's"]);
  assertTrue(!("build/y" in a));
  // No longer ignored by either, it is new at both ends.
  await pair.write({ "a/.wormholeignore": "build/\n" });
  await pair.sync(["--exclude", "/tmp"]);
  await pair.sync(["--exclude", "/tmp"], 9);
});

Deno.test("sync of a damaged, cut, newer or missing database deletes nothing", async () => {
  await using pair = await Pair.create();
  await pair.write({ "a/x": "1", "a/d/y": "2", "a/z": "3" });
  const database = async () => {
    const names = (await Array.fromAsync(Deno.readDir(pair.state))).map(({ name }) => name);
    return `${pair.state}/${names.find((name) => name.endsWith(".db"))}`;
  };
  const damages: [string, (path: string) => Promise<unknown>][] = [
    ["missing", (path) => Deno.remove(path)],
    ["empty", (path) => Deno.truncate(path, 0)],
    ["cut off", (path) => Deno.truncate(path, 5000)],
    ["no database", (path) => Deno.writeTextFile(path, "nothing like it")],
    ["flipped at its start", (path) => flip(path, 20)],
    ["flipped in a page", (path) => flip(path, 4096 * 2 + 300)],
    ["flipped everywhere", async (path) => {
      for (let at = 100; at < (await Deno.stat(path)).size; at += 500) await flip(path, at);
    }],
    ["newer", async (path) => {
      const { DatabaseSync } = await import("node:sqlite");
      const newer = new DatabaseSync(path);
      newer.exec("PRAGMA user_version = 99");
      newer.close();
    }],
  ];
  for (const [what, damage] of damages) {
    await pair.write({ "a/x": "1", "a/d/y": "2", "a/z": "3" });
    await pair.sync();
    await pair.assertBoth({ x: "1", "d/y": "2", z: "3" });
    await Deno.remove(`${pair.a}/z`);
    await damage(await database());
    const ended = await pair.sync();
    const { alpha, beta } = event(ended, "synced")!;
    // One bit of a page that holds nothing may leave it whole: then z goes, to the trash.
    const isWhole = beta.trashed === 1 && what.startsWith("flipped");
    assertEquals([alpha.trashed, beta.trashed], [0, isWhole ? 1 : 0], what);
    if (!isWhole) await pair.assertBoth({ x: "1", "d/y": "2", z: "3" });
  }
});

Deno.test("sync --watch carries a change over, stays through conflicts, and ends when it is told to", async () => {
  await using pair = await Pair.create();
  await pair.write({ "a/one": "1" });
  const args = ["sync", "--json", "--watch", pair.a, pair.b];
  await using watching = start(args, { person: pair.person });
  await watching.event("sync_change", ({ name, side }) => name === "one" && side === "beta");
  await pair.write({ "b/d/two": "2" });
  await watching.event("sync_change", ({ name, side }) => name === "d/two" && side === "alpha");
  await Promise.all([pair.write({ "a/x": "a's" }), pair.write({ "b/x": "b's" })]);
  await watching.event("sync_change", ({ name, side }) => name.startsWith("x.conflict-") && side === "alpha");
  await Deno.remove(`${pair.a}/one`);
  await watching.event("sync_change", ({ name, action }) => name === "one" && action === "trash");
  watching.signal("SIGTERM");
  assertEquals((await watching.ending()).code, 143);
  assertEquals(await pair.tree("a"), await pair.tree("b"));
});

Deno.test("two runs of sync never overlap", async () => {
  await using pair = await Pair.create();
  const files = Object.fromEntries(Array.from({ length: 300 }, (_, i) => [`a/${i % 7}/${i}`, String(i)]));
  await pair.write(files);
  // As cron starts them when one takes longer than the time between two.
  const runs = Array.from(
    { length: 4 },
    () => start(["sync", "--json", pair.a, pair.b], { person: pair.person }),
  );
  const codes = [];
  for (const running of runs) {
    await using one = running;
    codes.push((await one.ending()).code);
  }
  assertTrue(codes.includes(0) && codes.every((code) => code === 0 || code === 10), `${codes}`);
  assertEquals(await pair.tree("a"), await pair.tree("b"));
  assertEquals(event(await pair.sync(), "synced")!.alpha.changes, 0);
});

Deno.test("sync refuses folders that are one, or one in the other, and says what is missing", async () => {
  await using pair = await Pair.create();
  const codeOf = async (...args: string[]) => (await run(["sync", ...args], { person: pair.person })).code;
  await pair.sandbox.folder("a/inner");
  assertEquals(await codeOf(pair.a, pair.a), 2);
  assertEquals(await codeOf(pair.a, `${pair.a}/inner`), 2);
  assertEquals(await codeOf("/", pair.a), 2);
  assertEquals(await codeOf(pair.sandbox.path("none"), pair.b), 6);
  assertEquals(await codeOf(pair.a, pair.sandbox.path("none", "none")), 6);
  assertEquals(await codeOf(pair.a, await pair.sandbox.file("file", "x")), 6);
  assertEquals(await codeOf(pair.a, pair.sandbox.path("made")), 0);
});

Deno.test("sync --mode one-way-replica and one-way-safe", async () => {
  await using pair = await Pair.create();
  await pair.write({ "a/x": "1", "b/own": "b's" });
  await pair.sync(["--mode", "one-way-safe"]);
  assertEquals([await pair.tree("a"), await pair.tree("b")], [{ x: "1" }, { x: "1", own: "b's" }]);
  await pair.sync(["--mode", "one-way-replica"]);
  assertEquals(await pair.tree("b"), { x: "1" });
  // The same pair the other way round has the same ancestor.
  await Deno.remove(`${pair.b}/x`);
  await pair.write({ "b/y": "2" });
  const ended = await run(["sync", "--json", pair.b, pair.a], { person: pair.person });
  assertEquals([ended.code, await pair.tree("a")], [0, { y: "2" }], ended.stderr);
});

async function flip(path: string, at: number): Promise<void> {
  using file = await Deno.open(path, { read: true, write: true });
  const byte = new Uint8Array(1);
  await file.seek(at, Deno.SeekMode.Start);
  if (await file.read(byte) !== 1) return;
  byte[0]! ^= 4;
  await file.seek(at, Deno.SeekMode.Start);
  await file.write(byte);
}
