import { fromFileUrl } from "../base/paths.ts";
import { assertEquals, assertTrue } from "../base/testing.ts";
import { completeCode, LineEditor } from "./line_editor.ts";

const WORDS = [["guitarist", "guidance"], ["zulu", "zebra"]];
const completeWord = (prefix: string, position: number) =>
  (WORDS[position] ?? []).filter((word) => word.startsWith(prefix));

function typed(keys: string): LineEditor {
  const editor = new LineEditor(completeCode(completeWord));
  for (const key of keys) editor.key(key);
  return editor;
}

Deno.test("LineEditor edits and completes as a shell does", () => {
  const rows: [string, string, string][] = [
    ["plain", "7-x", "7-x"],
    ["backspace", "7-xy\x7f\x7f", "7-"],
    ["backspace over a surrogate pair", "a\u{1f600}\x7f", "a"],
    ["Ctrl-U", "7-xy\x15z", "z"],
    ["Ctrl-W takes a word", "7-guitarist-zu\x17", "7-guitarist-"],
    ["arrow keys are swallowed", "a\x1b[Db\x1bOAc\x1b[3~d\x1b[1;5Ce", "abcde"],
    ["Tab: the only word, and what follows", "7-guit\t", "7-guitarist-"],
    ["Tab: as far as all agree", "7-g\t", "7-gui"],
    ["Tab: second word", "7-guitarist-zu\t", "7-guitarist-zulu"],
    ["Tab: capitals and blanks", "7 GUIT\t", "7-guitarist-"],
    ["Tab: no such word", "7-q\t", "7-q"],
    ["Tab: before the number", "\t", ""],
    ["control keys are ignored", "a\x01\x02b", "ab"],
  ];
  for (const [what, keys, text] of rows) assertEquals(typed(keys).text, text, what);
});

Deno.test("LineEditor.key() says what a key led to", () => {
  assertEquals(typed("7-gui").key("\t"), { kind: "choices", choices: ["7-guitarist", "7-guidance"] });
  assertEquals(typed("7-guitarist-q").key("\t"), { kind: "bell" });
  assertEquals(typed("x").key("\r"), { kind: "done" });
  assertEquals(typed("").key("\x04"), { kind: "end" });
  assertEquals(typed("x").key("\x04"), { kind: "bell" });
  assertEquals(typed("x").key("\x03"), { kind: "interrupt" });
  assertEquals(typed("x".repeat(5000)).text.length, 1000);
});

const PTY = fromFileUrl(new URL("../../tests/cli/run_in_terminal.py", import.meta.url));
const ASK = `
  import { askChoice, askExisting, askLine, askYesNo } from "${new URL("./prompt.ts", import.meta.url)}";
  import { completeCode } from "${new URL("./line_editor.ts", import.meta.url)}";
  import { systemTerminal } from "${new URL("./terminal.ts", import.meta.url)}";
  import { completeWord } from "${new URL("../pairing/code.ts", import.meta.url)}";
  import { Interrupted } from "${new URL("./exit.ts", import.meta.url)}";
  const terminal = systemTerminal((name) => Deno.env.get(name));
  const controller = new AbortController();
  Deno.addSignalListener("SIGINT", () => controller.abort(new Interrupted("SIGINT")));
  const options = { terminal, signal: controller.signal };
  try {
    const answer = await (RUN);
    console.log("answer=" + JSON.stringify(answer));
    Deno.exit(0);
  } catch (error) {
    console.log("failed=" + error.code);
    Deno.exit(9);
  }
`;

/** Runs a question in a real terminal and types `keys`, each once the terminal shows what it waits for. */
async function asked(question: string, keys: [RegExp, string][], columns = 80) {
  const child = new Deno.Command("python3", {
    args: [
      "-I",
      PTY,
      String(columns),
      "24",
      Deno.execPath(),
      "eval",
      "--no-check",
      ASK.replace("RUN", question),
    ],
    env: { TERM: "xterm", NO_COLOR: "1" },
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const keyboard = child.stdin.getWriter();
  const decoder = new TextDecoder();
  let shown = "";
  let seen = 0;
  for await (const bytes of child.stdout) {
    shown += decoder.decode(bytes, { stream: true });
    const next = keys[0];
    if (next && next[0].test(shown.slice(seen))) {
      keys.shift();
      seen = shown.length;
      await keyboard.write(new TextEncoder().encode(next[1]));
    }
  }
  await keyboard.close().catch(() => {}); // the terminal is gone already
  return { shown, code: (await child.status).code };
}

Deno.test("askLine() completes code words with Tab in a real terminal", async () => {
  const question = `askLine("Code:", { ...options, complete: completeCode(completeWord) })`;
  const { shown, code } = await asked(question, [
    [/Code:/, "5-guit\t"],
    [/5-guitarist-/, "zul\t"],
    [/5-guitarist-zulu/, "\r"],
  ]);
  assertEquals(code, 0, shown);
  assertTrue(shown.includes('answer="5-guitarist-zulu"'), shown);
});

Deno.test("askLine() keeps to one line on a narrow terminal", async () => {
  const { shown } = await asked(`askLine("Code:", options)`, [[/Code:/, "abcdefghij".repeat(8) + "\r"]], 40);
  assertTrue(shown.includes(`answer="${"abcdefghij".repeat(8)}"`), shown);
  const drawn = shown.split("answer=")[0]!.split(/[\r\n]/).map((part) => part.replaceAll("\x1b[K", ""));
  assertTrue(drawn.every((part) => part.length < 40), JSON.stringify(drawn));
});

Deno.test("Ctrl-C at a question ends it and gives the terminal back", async () => {
  const { shown, code } = await asked(`askLine("Code:", options)`, [[/Code:/, "7-x\x03"]]);
  assertEquals([code, /failed=INTERRUPTED/.test(shown)], [9, true], shown);
});

Deno.test("askYesNo() and askExisting() understand first letters and ask again", async () => {
  const yes = await asked(`askYesNo("Accept?", { ...options, fallback: false })`, [
    [/\[y\/N\]/, "what\r"],
    [/Please answer y or n[^]*\[y\/N\]/, "y\r"],
  ]);
  assertTrue(yes.shown.includes("answer=true"), yes.shown);
  const fallback = await asked(`askYesNo("Accept?", { ...options, fallback: false })`, [[/\[y\/N\]/, "\r"]]);
  assertTrue(fallback.shown.includes("answer=false"), fallback.shown);
  const existing = await asked(`askExisting("a\\u001b[2J\\n.txt", options)`, [[/cancel\?/, "ren\r"]]);
  assertTrue(existing.shown.includes('answer="rename"'), existing.shown);
  assertTrue(!existing.shown.includes("\u001b[2J"), "a name reached the terminal raw");
});

Deno.test("askLine() refuses without a terminal", async () => {
  const { stdout, code } = await new Deno.Command(Deno.execPath(), {
    args: ["eval", "--no-check", ASK.replace("RUN", `askLine("Code:", options)`)],
    stdin: "null",
    stdout: "piped",
    stderr: "null",
  }).output();
  assertEquals([new TextDecoder().decode(stdout), code], ["failed=USAGE\n", 9]);
});
