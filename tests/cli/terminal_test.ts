/** send and recv as a person at a terminal meets them. */
import { assertEquals, assertTrue } from "../../src/base/testing.ts";
import { offer, Sandbox, SLOWLY } from "../e2e/harness.ts";
import { listTree, noise, slowToPack } from "../e2e/trees.ts";
import { plainText, Terminal } from "./terminal.ts";

const CODE = /\b[1-9]\d{0,8}-[a-z]+(?:-[a-z]+)+\b/;

Deno.test("send shows a code and recv, asked, takes the file: both show what happened", async () => {
  await using sandbox = await Sandbox.create();
  const file = await sandbox.file("from/holiday.mp4", noise(3 * 1024 * 1024));
  const into = await sandbox.folder("into");
  await using sender = Terminal.open(["send", file], { person: await sandbox.person("sender") });
  const code = (await sender.shows(CODE))[0];
  await using receiver = Terminal.open(["recv", code], {
    person: await sandbox.person("receiver"),
    cwd: into,
  });
  await receiver.shows(/holiday\.mp4[\s\S]*\[[yY]\/[nN]\]/);
  await receiver.type("y\r");
  assertEquals([await receiver.ending(), await sender.ending()], [0, 0]);
  assertEquals((await Deno.stat(`${into}/holiday.mp4`)).size, 3 * 1024 * 1024);
  assertTrue(/100 ?%/.test(plainText(sender.shown)), "the sender shows no progress to its end");
  assertTrue(/100 ?%/.test(plainText(receiver.shown)), "the receiver shows no progress to its end");
});

Deno.test("recv asks for the code and completes its words with Tab", async () => {
  await using sandbox = await Sandbox.create();
  const file = await sandbox.file("from/x", "typed");
  const into = await sandbox.folder("into");
  await using offered = await offer(sandbox, [file], { send: ["--code", "5-guitarist-zulu"] });
  await using receiver = Terminal.open(["recv", "--yes"], { person: offered.receiver, cwd: into });
  await receiver.shows(/code/i);
  await receiver.type("5-guit\t");
  await receiver.shows(/guitarist/);
  await receiver.type("zul\t");
  await receiver.shows(/zulu/);
  await receiver.type("\r");
  assertEquals([await receiver.ending(), (await offered.sender.ending()).code], [0, 0]);
  assertEquals(await Deno.readTextFile(`${into}/x`), "typed");
});

Deno.test("recv that is answered with n declines", async () => {
  await using sandbox = await Sandbox.create();
  const file = await sandbox.file("from/x", "unwanted");
  const into = await sandbox.folder("into");
  await using offered = await offer(sandbox, [file]);
  await using receiver = Terminal.open(["recv", offered.code], { person: offered.receiver, cwd: into });
  await receiver.shows(/\[[yY]\/[nN]\]/);
  await receiver.type("n\r");
  assertEquals([await receiver.ending(), (await offered.sender.ending()).code], [5, 5]);
  assertEquals(await Array.fromAsync(Deno.readDir(into)), []);
});

Deno.test("Ctrl-C at the question, at the code prompt and in the middle ends with 130 and a whole line", async () => {
  await using sandbox = await Sandbox.create();
  const into = await sandbox.folder("into");
  const person = await sandbox.person("receiver");
  await using prompt = Terminal.open(["recv"], { person, cwd: into });
  await prompt.shows(/code/i);
  await prompt.type("\x03");
  assertEquals(await prompt.ending(), 130);

  const small = await sandbox.file("from/x", "x");
  await using first = await offer(sandbox, [small]);
  await using question = Terminal.open(["recv", first.code], { person, cwd: into });
  await question.shows(/\[[yY]\/[nN]\]/);
  await question.type("\x03");
  assertEquals(await question.ending(), 130);
  assertTrue([4, 5].includes((await first.sender.ending()).code));

  const big = await sandbox.file("from/big", slowToPack(64 * 1024 * 1024));
  await using second = await offer(sandbox, [big], { send: SLOWLY });
  await using middle = Terminal.open(["recv", "--yes", second.code], { person, cwd: into });
  await middle.shows(/[1-9]\d? ?%/);
  await middle.type("\x03");
  assertEquals(await middle.ending(), 130);
  assertTrue(middle.shown.endsWith("\n"), "the shell's prompt would stand behind the progress line");
  assertTrue([4, 5].includes((await second.sender.ending()).code));
  assertTrue(/of it stay/.test(middle.shown), middle.shown);
  assertEquals(
    (await listTree(into)).filter(({ path }) => !path.startsWith(".")).length,
    1,
    "the folder alone",
  );
});

Deno.test("a terminal that is left at Ctrl-C echoes again and shows its cursor", async () => {
  await using sandbox = await Sandbox.create();
  await using prompt = Terminal.open(["recv"], { person: await sandbox.person("receiver") });
  await prompt.shows(/code/i);
  await prompt.type("\x03");
  await prompt.ending();
  const { shown } = prompt;
  assertTrue(shown.lastIndexOf("\x1b[?25l") <= shown.lastIndexOf("\x1b[?25h"), "the cursor stays hidden");
});

Deno.test("names with escape codes reach neither terminal raw", async () => {
  await using sandbox = await Sandbox.create();
  const evil = "evil\u001b]0;owned\u0007\u001b[2J\u009b31m\u202etxt\r\nfake: done";
  const file = await sandbox.file(`from/${evil}`, "x");
  const into = await sandbox.folder("into");
  await using sender = Terminal.open(["send", file], {
    person: await sandbox.person("sender"),
    columns: 200,
  });
  const code = (await sender.shows(CODE))[0];
  const person = await sandbox.person("receiver");
  await using receiver = Terminal.open(["recv", code], { person, cwd: into, columns: 200 });
  await receiver.shows(/\[[yY]\/[nN]\]/);
  await receiver.type("y\r");
  assertEquals([await receiver.ending(), await sender.ending()], [0, 0]);
  for (const { shown } of [sender, receiver]) {
    for (const raw of ["\u001b]0;owned", "\u001b[2J", "\u009b", "\u202e", "\nfake: done"]) {
      assertTrue(!shown.includes(raw), `${JSON.stringify(raw)} reached the terminal`);
    }
  }
  assertEquals(await Deno.readTextFile(`${into}/${evil}`), "x");
});

Deno.test("text with escape codes does not reach the terminal raw", async () => {
  await using sandbox = await Sandbox.create();
  await using offered = await offer(sandbox, [
    "--text",
    "hi\u001b[2J\u001b]0;owned\u0007 there\nsecond line",
  ]);
  await using receiver = Terminal.open(["recv", "--yes", offered.code], { person: offered.receiver });
  assertEquals([await receiver.ending(), (await offered.sender.ending()).code], [0, 0]);
  assertTrue(!receiver.shown.includes("\u001b[2J") && !receiver.shown.includes("\u001b]0;owned"));
  assertTrue(/hi[\s\S]* there\r?\n[\s\S]*second line/.test(receiver.shown), JSON.stringify(receiver.shown));
});

Deno.test("the progress line never wraps on a narrow terminal", async () => {
  await using sandbox = await Sandbox.create();
  const name = "a-rather-long-name-for-such-a-narrow-terminal.bin";
  const file = await sandbox.file(`from/${name}`, slowToPack(12 * 1024 * 1024));
  const into = await sandbox.folder("into");
  await using offered = await offer(sandbox, [file], { send: SLOWLY });
  await using receiver = Terminal.open(["recv", "--yes", offered.code], {
    person: offered.receiver,
    cwd: into,
    columns: 40,
  });
  assertEquals(await receiver.ending(), 0);
  const redrawn = receiver.shown.split(/[\r\n]/).filter((part) => /%/.test(part) && !/Received/.test(part));
  assertTrue(redrawn.length > 0, "no progress was shown");
  for (const part of redrawn) assertTrue(plainText(part).trimEnd().length <= 40, JSON.stringify(part));
});

Deno.test("recv asks about a file that is there already", async () => {
  await using sandbox = await Sandbox.create();
  const file = await sandbox.file("from/x", "new");
  await sandbox.file("into/x", "old");
  await using offered = await offer(sandbox, [file]);
  await using receiver = Terminal.open(["recv", offered.code], {
    person: offered.receiver,
    cwd: sandbox.path("into"),
  });
  await receiver.shows(/overwrite/i);
  await receiver.type("o\r");
  assertEquals([await receiver.ending(), (await offered.sender.ending()).code], [0, 0]);
  assertEquals(await Deno.readTextFile(sandbox.path("into/x")), "new");
});

Deno.test("--verify shows both people the same value and waits for both to agree", async () => {
  await using sandbox = await Sandbox.create();
  const file = await sandbox.file("from/x", "verified");
  const into = await sandbox.folder("into");
  const person = await sandbox.person("sender");
  await using sender = Terminal.open(["send", "--verify", file], { person });
  const code = (await sender.shows(CODE))[0];
  const receiverPerson = await sandbox.person("receiver");
  await using receiver = Terminal.open(["recv", "--yes", "--verify", code], {
    person: receiverPerson,
    cwd: into,
  });
  const verifier = /verifier[^\n]*?:\s*([^\r\n]+)/i;
  const values = [(await sender.shows(verifier))[1], (await receiver.shows(verifier))[1]];
  assertEquals(values[0], values[1]);
  await sender.type("y\r");
  await receiver.type("y\r");
  assertEquals([await receiver.ending(), await sender.ending()], [0, 0]);
  assertEquals(await Deno.readTextFile(`${into}/x`), "verified");
});

Deno.test("send --qr draws the code", async () => {
  await using sandbox = await Sandbox.create();
  const file = await sandbox.file("from/x", "x");
  await using sender = Terminal.open(["send", "--qr", file], { person: await sandbox.person("sender") });
  await sender.shows(/[█▀▄]{5}/);
  await sender.type("\x03");
  assertEquals(await sender.ending(), 130);
});
