/** `wormhole verify` as a person uses it. */
import { assertEquals, assertTrue } from "../../src/base/testing.ts";
import { assertFailed, assertTransfers, offer, run } from "./harness.ts";
import { Sandbox, succeeds } from "./sandbox.ts";

Deno.test("verify compares with the list that verify --checksum made", async () => {
  await using sandbox = await Sandbox.create();
  const person = await sandbox.person("reader");
  await sandbox.file("tree/empty", "");
  await sandbox.file("tree/deep/er/line\nfeed", "hello");
  await sandbox.file("tree/big", new Uint8Array(5_000_000).fill(7));
  const tree = sandbox.path("tree");
  const made = await run(["verify", "--checksum", tree], { person });
  assertEquals([made.code, made.stderr], [0, ""]);
  const text = new TextDecoder().decode(made.stdout);
  const lines = text.trimEnd().split("\n");
  assertEquals(lines.length, 3);
  assertTrue(lines.includes("af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262  empty"), text);
  assertTrue(lines.some((line) => line.startsWith("\\") && line.endsWith("  deep/er/line\\nfeed")), text);
  const list = await sandbox.file("list", text);

  const good = await run(["verify", tree, list], { person });
  assertEquals(good.code, 0, good.stderr);
  const piped = await run(["verify", "--json", tree, "-"], { person, stdin: made.stdout });
  assertEquals(piped.code, 0, piped.stderr);
  assertEquals(piped.events.map(({ event, files, failed }) => [event, files, failed]), [["verified", 3, 0]]);

  await Deno.writeTextFile(`${tree}/empty`, "x");
  await Deno.remove(`${tree}/big`);
  const bad = await run(["verify", tree, list], { person });
  assertEquals(bad.code, 7);
  assertTrue(bad.stderr.includes(`Cannot verify "empty": its content differs`), bad.stderr);
  assertTrue(bad.stderr.includes("/tree/big"), bad.stderr);
});

Deno.test("verify refuses what is no list, and a list that leads out of the folder", async () => {
  await using sandbox = await Sandbox.create();
  const person = await sandbox.person("reader");
  const cases = [
    ["hello\n", "line 1 is no checksum"],
    ["", "names no file"],
    [`${"0".repeat(64)}  ../x\n`, "outside of the folder"],
    [`${"0".repeat(64)}  /etc/passwd\n`, "outside of the folder"],
  ] as const;
  for (const [text, words] of cases) {
    const ended = await run(["verify", sandbox.dir, await sandbox.file("list", text)], { person });
    assertEquals(ended.code, 2, ended.stderr);
    assertTrue(ended.stderr.includes(words), ended.stderr);
  }
  assertEquals((await run(["verify", sandbox.dir], { person })).code, 2);
  const list = await sandbox.file("list", `${"0".repeat(64)}  x\n`);
  assertEquals((await run(["verify", sandbox.path("no"), list], { person })).code, 6);
});

Deno.test("both sides show the same receipt of a folder, a stream and a text", async () => {
  await using sandbox = await Sandbox.create();
  await sandbox.file("from/a", "hello");
  await sandbox.file("from/deep/b", "there");
  const cases: [what: string[], stdin?: Uint8Array][] = [
    [[sandbox.path("from")]],
    [["-"], new TextEncoder().encode("a stream")],
    [["--text", "some words"]],
  ];
  for (const [i, [what, stdin]] of cases.entries()) {
    const into = await sandbox.folder(`into${i}`);
    const ends = await assertTransfers(sandbox, what, into, { ...stdin && { stdin } });
    const [sent, received] = [ends.sender, ends.receiver].map(({ events }) =>
      events.find(({ event }) => event === "done")!
    );
    assertTrue(/^[0-9a-f]{64}$/.test(sent!.receipt), JSON.stringify(sent));
    assertEquals([sent!.receipt_agreed, received!.receipt_agreed], [true, true]);
    assertEquals(received!.receipt, sent!.receipt);
  }
});

Deno.test("send and recv --checksum list the same files, and verify and b3sum accept the lists", async () => {
  await using sandbox = await Sandbox.create();
  await sandbox.file("from/tree/a", "hello");
  await sandbox.file("from/tree/deep/line\nfeed", "there");
  await sandbox.file("from/tree/back\\slash", "again");
  await sandbox.file("from/other/tree", "a file of the same name");
  await sandbox.file("into/tree/mine", "not of this transfer");
  const into = sandbox.path("into");
  const what = [sandbox.path("from/tree"), sandbox.path("from/other/tree")];
  await using offered = await offer(sandbox, what, { send: ["--checksum"] });
  const { receiver: person, code } = offered;
  const received = await run(["recv", "--yes", "--rename", "--checksum", "-o", into, code], { person });
  assertEquals(received.code, 0, received.stderr);
  const sent = await offered.sender.ending();
  assertEquals(sent.code, 0, sent.stderr);
  const listed = sent.events.filter(({ event }) => event === "checksum").map(({ name }) => name);
  assertEquals(listed.sort(), ["tree (2)", "tree/a", "tree/back\\slash", "tree/deep/line\nfeed"]);
  // The receiver had something of that name: its list says where the files are now.
  const ours = new TextDecoder().decode(received.stdout);
  const names = ours.trimEnd().split("\n").map((line) => line.split("  ")[1]!).sort();
  assertEquals(names, ["tree (2) (2)", "tree (2)/a", "tree (2)/back\\\\slash", "tree (2)/deep/line\\nfeed"]);
  const list = await sandbox.file("list", ours);
  const good = await run(["verify", "--json", into, list], { person });
  assertEquals([good.code, good.events.at(-1)?.files], [0, 4], good.stderr);
  // It is not on every machine; scripts of people have it.
  if (!await succeeds("b3sum", ["--version"])) return console.log("b3sum is not installed: not tried");
  const b3sum = await new Deno.Command("b3sum", { args: ["-c", list], cwd: into }).output();
  assertEquals(b3sum.code, 0, new TextDecoder().decode(b3sum.stderr));
});

Deno.test("recv --checksum lists what was wanted and arrived, into a folder that holds more", async () => {
  await using sandbox = await Sandbox.create();
  for (const name of ["a.txt", "b.jpg", "deep/c.txt"]) await sandbox.file(`from/tree/${name}`, name);
  await sandbox.file("into/tree/old.txt", "old");
  const recv = ["--yes", "--overwrite", "--only", "*.txt", "--checksum"];
  const ends = await assertTransfers(sandbox, [sandbox.path("from/tree")], sandbox.path("into"), { recv });
  const sums = ends.receiver.events.filter(({ event }) => event === "checksum").map(({ name }) => name);
  assertEquals(sums.sort(), ["tree/a.txt", "tree/deep/c.txt"]);
  assertEquals(ends.receiver.events.at(-1)?.event, "done");
});

Deno.test("--checksum of what is no file is refused or said in one sentence", async () => {
  await using sandbox = await Sandbox.create();
  const person = await sandbox.person("sender");
  for (
    const [args, words] of [
      [["send", "--checksum", "--text", "x"], /a text is no file/],
      [["send", "--checksum", "-"], /standard input can be read only once/],
      [["recv", "--checksum", "--stdout", "7-guitarist-zulu"], /--checksum/],
    ] as const
  ) assertFailed(await run(args, { person }), 2, words);
  const into = await sandbox.folder("into");
  const text = await assertTransfers(sandbox, ["--text", "x"], into, { recv: ["--yes", "--checksum"] });
  assertTrue(
    text.receiver.events.some(({ event, message }) =>
      event === "warning" && /a text is no file/.test(message)
    ),
  );
  const recv = ["--yes", "--checksum"];
  const stream = await assertTransfers(sandbox, ["-"], into, { recv, stdin: new TextEncoder().encode("x") });
  assertEquals(stream.receiver.events.find(({ event }) => event === "checksum")?.name, "stdin");
});
