/** Several receivers as the sender's person sees them. */
import { assertEquals, assertTrue } from "../../src/base/testing.ts";
import { Sandbox, start } from "../e2e/harness.ts";
import { slowToPack } from "../e2e/trees.ts";
import { Terminal } from "./terminal.ts";

const SLOWLY = ["--compress", "always", "--compression-level", "12", "--streams", "1"];

Deno.test("a terminal shows the codes, a line for each receiver, and how it went for each", async () => {
  await using sandbox = await Sandbox.create();
  const file = await sandbox.file("from/slow", slowToPack(12 * 1024 * 1024));
  const person = await sandbox.person("sender", { runtime: "shared" });
  await using terminal = Terminal.open(["send", "--receivers", "2", ...SLOWLY, file], { person });
  await terminal.shows(/Each code works once/);
  const codes = [1, 2].map((number) =>
    new RegExp(`Code for receiver ${number}: (?:\x1b\\[1m)?([\\w-]+)`).exec(terminal.shown)![1]!
  );
  await using stack = new AsyncDisposableStack();
  for (const [i, code] of codes.entries()) {
    const into = await sandbox.folder(`into${i}`);
    const receiver = await sandbox.person(`receiver${i}`, { runtime: "shared" });
    stack.use(start(["recv", "--yes", "-o", into, code], { person: receiver }));
  }
  // deno-lint-ignore no-control-regex -- the second line is drawn below the first
  await terminal.shows(/1: [^\n\x1b]*MiB\/12\.0 MiB[^\n]*\n2: [^\n\x1b]*MiB\/12\.0 MiB/);
  for (const number of [1, 2]) {
    await terminal.shows(new RegExp(`Receiver ${number}: Sent 1 file, 12.0 MiB`));
  }
  await terminal.shows(/Receivers: 2 got everything\.\r?\n {2}1: 1 file, 12\.0 MiB\r?\n {2}2: 1 file/);
  assertEquals(await terminal.ending(), 0);
  assertTrue(!terminal.shown.includes("error"), terminal.shown);
});

Deno.test("a terminal shows a code for many with what a stranger's chance is, and wrong guesses", async () => {
  await using sandbox = await Sandbox.create();
  const file = await sandbox.file("from/x", "x");
  const person = await sandbox.person("sender", { runtime: "shared" });
  await using terminal = Terminal.open(["send", "--receivers", "any", "--guesses", "1", file], { person });
  await terminal.shows(/until Ctrl-C or 1 wrong guess \(a stranger's chance: 1 in 65,536\)/);
  // deno-lint-ignore no-control-regex -- a code is bold
  const [, number] = /Code: (?:\x1b\[1m)?(\d+)/.exec(terminal.shown)!;
  const guesser = await sandbox.person("guesser", { runtime: "shared" });
  const words = /adroitness-aardvark/.test(terminal.shown) ? "adroitness-absurd" : "adroitness-aardvark";
  await using guessing = start(["recv", "--yes", `${number}-${words}`], { person: guesser });
  assertEquals((await guessing.ending()).code, 3);
  await terminal.shows(/a wrong code was tried \(1 of 1 that end it\)/);
  await terminal.shows(/a wrong code was tried, so it is used up/);
  assertEquals(await terminal.ending(), 3);
});
