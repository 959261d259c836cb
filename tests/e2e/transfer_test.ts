/** What people send every day, by the real commands. */
import { assertEquals, assertTrue } from "../../src/base/testing.ts";
import { assertFailed, assertTransfers, offer, run, Sandbox, start, transfer } from "./harness.ts";
import { assertSameTree, listTree, makeDeep, makeMany, makeOddities, noise } from "./trees.ts";

const MIB = 1024 * 1024;

for (const transport of ["tcp", "quic"] as const) {
  Deno.test(`send and recv carry a tree with every oddity over ${transport}`, async () => {
    await using sandbox = await Sandbox.create();
    const source = await makeOddities(sandbox.path("tree"));
    const into = await sandbox.folder("into");
    const { receiver } = await assertTransfers(sandbox, [source], into, { send: ["--transport", transport] });
    await assertSameTree(`${into}/tree`, source);
    assertEquals(await namesIn(into), ["tree"], "nothing beside the tree is left");
    const kinds = receiver.events.filter(({ event }) => event === "peer").map(({ transport }) => transport);
    assertTrue(kinds.includes(transport), `connected by ${kinds}`);
  });

  Deno.test(`send and recv carry every size around the chunk size over ${transport}`, async () => {
    await using sandbox = await Sandbox.create();
    const source = await sandbox.folder("sizes");
    for (const size of [0, 1, 2, 4095, 4096, 65537, 4 * MIB - 1, 4 * MIB, 4 * MIB + 1, 8 * MIB, 13 * MIB]) {
      await sandbox.file(`sizes/${size}`, noise(size, size + 1));
    }
    const into = await sandbox.folder("into");
    await assertTransfers(sandbox, [source], into, { send: ["--transport", transport] });
    await assertSameTree(`${into}/sizes`, source);
  });
}

for (const compress of ["always", "never"] as const) {
  Deno.test(`send carries text and noise with --compress ${compress}`, async () => {
    await using sandbox = await Sandbox.create();
    await sandbox.file("both/text", "all work and no play\n".repeat(500_000));
    await sandbox.file("both/noise", noise(9 * MIB));
    const into = await sandbox.folder("into");
    await assertTransfers(sandbox, [sandbox.path("both")], into, { send: ["--compress", compress] });
    await assertSameTree(`${into}/both`, sandbox.path("both"));
  });
}

Deno.test("send carries one file", async () => {
  await using sandbox = await Sandbox.create();
  const file = await sandbox.file("from/hello.txt", "hello\n");
  await Deno.chmod(file, 0o750);
  const into = await sandbox.folder("into");
  await assertTransfers(sandbox, [file], into);
  await assertSameTree(into + "/hello.txt", file);
});

Deno.test("send carries an empty file and an empty folder", async () => {
  await using sandbox = await Sandbox.create();
  const file = await sandbox.file("from/nothing", "");
  const folder = await sandbox.folder("from/void");
  const into = await sandbox.folder("into");
  await assertTransfers(sandbox, [file, folder], into);
  await assertSameTree(into + "/nothing", file);
  await assertSameTree(into + "/void", folder);
});

Deno.test("send carries several paths, relative ones and with a trailing slash", async () => {
  await using sandbox = await Sandbox.create();
  await sandbox.file("from/a/b/c.txt", "c");
  await sandbox.file("from/d.txt", "d");
  await sandbox.file("elsewhere/e.txt", "e");
  const into = await sandbox.folder("into");
  const what = ["a/", "./d.txt", "../elsewhere/e.txt"];
  await assertTransfers(sandbox, what, into, { cwd: sandbox.path("from") });
  assertEquals(await namesIn(into), ["a", "d.txt", "e.txt"]);
  await assertSameTree(`${into}/a`, sandbox.path("from/a"));
});

Deno.test("send carries the current folder under its own name", async () => {
  await using sandbox = await Sandbox.create();
  await sandbox.file("project/main.c", "int main;");
  const into = await sandbox.folder("into");
  await assertTransfers(sandbox, ["."], into, { cwd: sandbox.path("project") });
  await assertSameTree(`${into}/project`, sandbox.path("project"));
});

for (const size of [0, 5, 4 * MIB, 9 * MIB + 3]) {
  Deno.test(`send carries ${size} bytes of standard input under --name`, async () => {
    await using sandbox = await Sandbox.create();
    const into = await sandbox.folder("into");
    await assertTransfers(sandbox, ["-"], into, { stdin: noise(size), send: ["--name", "stream.bin"] });
    assertEquals(await namesIn(into), ["stream.bin"]);
    assertTrue(equal(await Deno.readFile(`${into}/stream.bin`), noise(size)), "content differs");
  });
}

Deno.test("recv --stdout gives a file's bytes and nothing else", async () => {
  await using sandbox = await Sandbox.create();
  const file = await sandbox.file("from/data", noise(5 * MIB + 1));
  await using offered = await offer(sandbox, [file]);
  const cwd = await sandbox.folder("cwd");
  await using receiving = start(["recv", "--yes", "--stdout", offered.code], {
    person: offered.receiver,
    cwd,
  });
  const [receiver, sender] = await Promise.all([receiving.ending(), offered.sender.ending()]);
  assertEquals([sender.code, receiver.code], [0, 0], receiver.stderr + sender.stderr);
  assertTrue(equal(receiver.stdout, noise(5 * MIB + 1)), "content differs");
  assertEquals(await namesIn(cwd), []);
});

Deno.test("send --text gives the text on the receiver's standard output and writes no file", async () => {
  await using sandbox = await Sandbox.create();
  await using offered = await offer(sandbox, ["--text", "see you at eight — grüße"]);
  const cwd = await sandbox.folder("cwd");
  await using receiving = start(["recv", "--yes", offered.code], { person: offered.receiver, cwd });
  const [receiver, sender] = await Promise.all([receiving.ending(), offered.sender.ending()]);
  assertEquals([sender.code, receiver.code], [0, 0], receiver.stderr + sender.stderr);
  assertTrue(new TextDecoder().decode(receiver.stdout).includes("see you at eight — grüße"));
  assertEquals(await namesIn(cwd), []);
});

Deno.test("send carries 3,000 small files", async () => {
  await using sandbox = await Sandbox.create();
  const source = await makeMany(sandbox.path("many"), 3000);
  const into = await sandbox.folder("into");
  await assertTransfers(sandbox, [source], into);
  await assertSameTree(`${into}/many`, source);
});

Deno.test("send carries 200 nested folders", async () => {
  await using sandbox = await Sandbox.create();
  const source = await makeDeep(sandbox.path("deep"), 200);
  const into = await sandbox.folder("into");
  await assertTransfers(sandbox, [source], into);
  await assertSameTree(`${into}/deep`, source);
});

Deno.test("symlinks that lead out of the tree are named and left out, the rest arrives", async () => {
  await using sandbox = await Sandbox.create();
  const source = await sandbox.folder("tree");
  await sandbox.file("tree/good", "good");
  await Deno.symlink("../../etc/passwd", `${source}/climbs`);
  await Deno.symlink("/etc/hostname", `${source}/absolute`);
  await Deno.symlink("good", `${source}/fine`);
  const into = await sandbox.folder("into");
  const { sender, receiver } = await transfer(sandbox, [source], into);
  assertFailed(receiver, 7, /climbs[\s\S]*absolute|absolute[\s\S]*climbs/);
  assertFailed(sender, 7);
  assertEquals((await listTree(into)).map(({ path }) => path), ["", "tree", "tree/fine", "tree/good"]);
});

Deno.test("recv --only takes a part", async () => {
  await using sandbox = await Sandbox.create();
  for (const name of ["a.jpg", "b.txt", "sub/c.jpg", "sub/d.txt"]) await sandbox.file(`photos/${name}`, name);
  const into = await sandbox.folder("into");
  await assertTransfers(sandbox, [sandbox.path("photos")], into, { recv: ["--yes", "--only", "*.jpg"] });
  assertEquals(await filesIn(into), ["photos/a.jpg", "photos/sub/c.jpg"]);
});

Deno.test("send --exclude leaves out what matches", async () => {
  await using sandbox = await Sandbox.create();
  for (const name of ["a", "b.tmp", "sub/c", "sub/d.tmp", "cache/e"]) {
    await sandbox.file(`work/${name}`, name);
  }
  const into = await sandbox.folder("into");
  const send = ["--exclude", "*.tmp", "--exclude", "cache"];
  await assertTransfers(sandbox, [sandbox.path("work")], into, { send });
  assertEquals(await filesIn(into), ["work/a", "work/sub/c"]);
});

Deno.test("send obeys ignore files only with --ignore-files", async () => {
  await using sandbox = await Sandbox.create();
  await sandbox.file("repo/.gitignore", "build/\n*.o\n!keep.o\n");
  for (const name of ["a.c", "a.o", "keep.o", "build/x", "sub/b.o"]) await sandbox.file(`repo/${name}`, name);
  const obeyed = await sandbox.folder("obeyed");
  await assertTransfers(sandbox, [sandbox.path("repo")], obeyed, { send: ["--ignore-files"] });
  assertEquals(await filesIn(obeyed), ["repo/.gitignore", "repo/a.c", "repo/keep.o"]);
  const whole = await sandbox.folder("whole");
  await assertTransfers(sandbox, [sandbox.path("repo")], whole);
  await assertSameTree(`${whole}/repo`, sandbox.path("repo"));
});

Deno.test("send refuses a path that is not there before it shows a code", async () => {
  await using sandbox = await Sandbox.create();
  const person = await sandbox.person("sender");
  const ending = await run(["send", "--json", sandbox.path("missing")], { person });
  assertFailed(ending, [2, 6], /missing/);
  assertTrue(!ending.events.some(({ event }) => event === "code"));
});

Deno.test("transfers in both directions at once do not mix", async () => {
  await using sandbox = await Sandbox.create();
  const one = await sandbox.file("one/file", noise(6 * MIB, 1));
  const two = await sandbox.file("two/file", noise(6 * MIB, 2));
  const [first, second] = await Promise.all([
    transfer(sandbox, [one], await sandbox.folder("into-one")),
    transfer(sandbox, [two], await sandbox.folder("into-two")),
  ]);
  assertEquals([first.sender.code, first.receiver.code, second.sender.code, second.receiver.code], [
    0,
    0,
    0,
    0,
  ]);
  assertTrue(equal(await Deno.readFile(sandbox.path("into-one/file")), noise(6 * MIB, 1)));
  assertTrue(equal(await Deno.readFile(sandbox.path("into-two/file")), noise(6 * MIB, 2)));
});

async function namesIn(dir: string): Promise<string[]> {
  return (await Array.fromAsync(Deno.readDir(dir), ({ name }) => name)).sort();
}

async function filesIn(dir: string): Promise<string[]> {
  return (await listTree(dir)).filter(({ kind }) => kind === "file").map(({ path }) => path);
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}
