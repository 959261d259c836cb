import { SimulatedClock, systemClock } from "../base/clock.ts";
import { hashBuffer } from "../native/hash.ts";
import { NativeQueue } from "../native/queue.ts";
import { Bases } from "./bases.ts";
import { LocalEnd } from "./local_end.ts";
import type { MergeCase } from "./merge.ts";
import { MergeFolder, mergeWords } from "./merge_folder.ts";
import { ALL_ABILITIES } from "./policy.ts";
import { FILE, type Snapshot, SnapshotBuilder } from "./snapshot.ts";
import { assertEquals, assertThrows, assertTrue } from "../base/testing.ts";

const bytesOf = (text: string) => new TextEncoder().encode(text);

/** Two folders with versions of files, and what they were. */
class Scene implements AsyncDisposable {
  readonly warnings: string[] = [];
  readonly #stack = new AsyncDisposableStack();

  private constructor(
    readonly dir: string,
    readonly ends: readonly [LocalEnd, LocalEnd],
    readonly queue: NativeQueue,
    readonly bases: Bases,
  ) {
    this.#stack.defer(() => Deno.remove(dir, { recursive: true }));
    this.#stack.use(queue);
    this.#stack.use(bases);
  }

  static async create(): Promise<Scene> {
    const dir = await Deno.makeTempDir();
    const queue = NativeQueue.open();
    const options = { queue, exclude: [], oneFileSystem: false, abilities: ALL_ABILITIES, now: Date.now };
    for (const side of ["a", "b"]) {
      await Deno.mkdir(`${dir}/${side}/.wormhole-sync/staging`, { recursive: true });
    }
    const ends = [new LocalEnd(`${dir}/a`, options), new LocalEnd(`${dir}/b`, options)] as const;
    return new Scene(dir, ends, queue, Bases.open(`${dir}/bases.db`, {}));
  }

  /** Writes both versions, keeps the base, and gives the case. */
  async case(path: string, base: string, alpha: string, beta: string): Promise<MergeCase> {
    await Deno.writeTextFile(`${this.dir}/a/${path}`, alpha);
    await Deno.writeTextFile(`${this.dir}/b/${path}`, beta);
    const version = (text: string) => (
      { size: bytesOf(text).length, content: hashBuffer(bytesOf(text)), mode: 0o644, mtime: 0n }
    );
    this.bases.add([{ content: version(base).content, bytes: bytesOf(base) }]);
    return { path, base: version(base), versions: [version(alpha), version(beta)] };
  }

  /** Gives what came of merging, by path. */
  async merge(command: string, ...cases: MergeCase[]): Promise<Record<string, string>> {
    await using folder = await this.open(command);
    const merged: Record<string, string> = {};
    for (const [path, file] of await folder.merge(cases, this.ends)) {
      const bytes = await Deno.readFile(`${this.dir}/merge/${file.path}`);
      assertEquals([bytes.length, hashBuffer(bytes)], [file.size, file.content as Uint8Array<ArrayBuffer>]);
      merged[path] = new TextDecoder().decode(bytes);
    }
    return merged;
  }

  open(command: string, clock = systemClock): Promise<MergeFolder> {
    return MergeFolder.open({
      folder: `${this.dir}/merge`,
      command,
      bases: this.bases,
      queue: this.queue,
      clock,
      onWarning: (sentence) => this.warnings.push(sentence),
    });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#stack.disposeAsync();
  }
}

const BASE = "1\n2\n3\n4\n5\n";

Deno.test("MergeFolder gives what a command makes of both, and nothing where there are conflicts", async () => {
  await using scene = await Scene.create();
  const clean = await scene.case("clean.txt", BASE, "one\n2\n3\n4\n5\n", "1\n2\n3\n4\nfive\n");
  const crossed = await scene.case("crossed.txt", BASE, "one\n2\n3\n4\n5\n", "uno\n2\n3\n4\n5\n");
  const both = { "clean.txt": "one\n2\n3\n4\nfive\n" };
  for (const command of ["diff3 -m %A %O %B", "diff3 -m"]) {
    assertEquals(await scene.merge(command, clean, crossed), both, command);
  }
  if (commandWorks("git", "--version")) {
    assertEquals(await scene.merge("git merge-file -p %A %O %B", clean, crossed), both);
  }
  assertEquals(scene.warnings, []);
  // A file that the command writes, by a shell that the person asked for.
  const script =
    `sh -c 'case "$WORMHOLE_PATH:$1" in clean.txt:*-alpha.txt) cat "$@" > "%M" ;; *) exit 1 ;; esac' x %A %B`;
  assertEquals(await scene.merge(script, clean, crossed), {
    "clean.txt": "one\n2\n3\n4\n5\n1\n2\n3\n4\nfive\n",
  });
  assertTrue(await Deno.stat(`${scene.dir}/merge`).then(() => false, () => true), "nothing is left");
});

Deno.test("MergeFolder says which file it has no common version of", async () => {
  await using scene = await Scene.create();
  const known = await scene.case("known.txt", BASE, "one\n2\n3\n4\n5\n", "1\n2\n3\n4\nfive\n");
  const other = {
    ...known,
    path: "other.txt",
    base: { ...known.base, content: hashBuffer(bytesOf("other")) },
  };
  assertEquals(Object.keys(await scene.merge("diff3 -m %A %O %B", other, known)), ["known.txt"]);
  assertEquals(scene.warnings.length, 1);
  assertTrue(scene.warnings[0]!.includes('Cannot merge "other.txt": what both had in common is not kept'));
});

/** Writes what it shall, and leaves somebody behind who is not of its group by then. */
const HOLDER = `sh -c "exec 3>&1; { setsid sh -c 'echo go; exec sleep 2 >&3' & } | { read go; cat %A; }"`;

Deno.test("MergeFolder takes nothing from a command that fails, says nothing, or never ends", async () => {
  await using scene = await Scene.create();
  const one = await scene.case("x", BASE, "a\n", "b\n");
  const rows: [string, string][] = [
    ["sh -c 'echo no such language >&2; exit 7'", "no such language"],
    ["true %A", "wrote nothing"],
    ["true %M", "wrote no file"],
    ["sh -c 'yes > %M & yes'", "too much"],
    [HOLDER, "holds its standard output"],
  ];
  for (const [command, words] of rows) {
    assertEquals(await scene.merge(command, one), {}, command);
    assertTrue(scene.warnings.at(-1)!.includes(words), scene.warnings.at(-1));
  }
  const clock = new SimulatedClock();
  await using folder = await scene.open("sh -c 'sleep 1000' %A", clock);
  const merging = folder.merge([one], scene.ends);
  // It begins when both are staged.
  while (clock.pending === 0) await new Promise((resolve) => setTimeout(resolve, 0));
  await clock.advance(60_000);
  assertEquals((await merging).size, 0);
  assertTrue(scene.warnings.at(-1)!.includes("60 s"), scene.warnings.at(-1));
});

Deno.test("MergeFolder merges only text, of which the common version is kept, and that is as it was scanned", async () => {
  await using scene = await Scene.create();
  const binary = await scene.case("binary", BASE, "a\0", "b");
  const unknown = {
    ...await scene.case("unknown", BASE, "a", "b"),
    base: { ...binary.base, content: new Uint8Array(32) },
  };
  const changed = await scene.case("changed", BASE, "a", "b");
  await Deno.writeTextFile(`${scene.dir}/b/changed`, "meanwhile");
  const empty = await scene.case("empty", "", "a", "b");
  assertEquals(await scene.merge("cat %A %B", binary, unknown, changed, empty), { empty: "ab" });
});

Deno.test("mergeWords() knows its placeholders", () => {
  assertEquals(mergeWords("m -o %M 100%%"), ["m", "-o", "%M", "100%%"]);
  assertEquals(mergeWords("m 100%%"), ["m", "100%%", "%A", "%O", "%B"]);
  for (const bad of ["m %P", "m %", ""]) assertThrows(() => mergeWords(bad), "INVALID_ARGUMENT");
});

Deno.test("Bases keeps the newest text files of the ancestor within its quota, and checks what it gives", async () => {
  await using scene = await Scene.create();
  const texts = ["old", "new", "no text\0", "newest"];
  const ancestor = await snapshotOf(scene.dir, texts);
  using bases = Bases.open(`${scene.dir}/small.db`, { quotaBytes: 17 }); // all but the oldest
  assertEquals(bases.missing(ancestor).length, 3);
  {
    await using folder = await MergeFolder.open({
      folder: `${scene.dir}/merge`,
      command: "x",
      bases,
      queue: scene.queue,
      clock: systemClock,
    });
    await Deno.remove(`${scene.dir}/a/1`); // then from the other end
    await folder.remember(ancestor, scene.ends);
  }
  const of = (text: string) => bases.get({ content: hashBuffer(bytesOf(text)), size: text.length });
  assertEquals(texts.map((text) => of(text) !== undefined), [false, true, false, true]);
  assertEquals(
    [bases.bytes, bases.missing(ancestor).length],
    [9, 0],
    "what is no text is not looked at again",
  );
  const without = await snapshotOf(scene.dir, texts.slice(0, 3));
  assertEquals(bases.missing(without).length, 1, "there is room for the oldest again");
  assertEquals(of("newest"), undefined);
  bases.add([{ content: hashBuffer(bytesOf("new")), bytes: bytesOf("damaged") }]);
  assertEquals(of("new"), undefined);
});

/** Writes files `0`, `1`, … to both folders, the last one the newest, and gives their snapshot. */
async function snapshotOf(dir: string, texts: readonly string[]): Promise<Snapshot> {
  const builder = new SnapshotBuilder({ ends: 2 });
  for (const [at, text] of texts.entries()) {
    for (const side of ["a", "b"]) await Deno.writeTextFile(`${dir}/${side}/${at}`, text);
    const stamps = [new Uint8Array(40), new Uint8Array(40)];
    const content = hashBuffer(bytesOf(text));
    const entry = { kind: FILE, depth: 0, name: bytesOf(`${at}`), mode: 0o644, size: text.length };
    builder.add({ ...entry, mtime: BigInt(at), content, stamps, settled: 3 });
  }
  return builder.finish();
}

function commandWorks(command: string, ...args: string[]): boolean {
  try {
    return new Deno.Command(command, { args, stdout: "null", stderr: "null" }).outputSync().success;
  } catch {
    return false;
  }
}
