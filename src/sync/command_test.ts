import { SimulatedClock, systemClock } from "../base/clock.ts";
import { runCommand } from "./command.ts";
import { assertEquals, assertRejects, assertTrue } from "../base/testing.ts";

const OPTIONS = { maxOutputBytes: 1000, timeoutMs: 60_000, clock: systemClock };
const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

Deno.test("runCommand() gives what a command wrote and how it ended; no shell touches its words", async () => {
  const stdin = new TextEncoder().encode("in\n");
  const script = 'cat; printf "%s|" "$@" "$VALUE"; echo bad >&2; exit 3';
  const words = ["sh", "-c", script, "sh", "$(id)", "a b", "*"];
  const ended = await runCommand(words, { ...OPTIONS, stdin, env: { VALUE: "`id`" }, cwd: "/" });
  assertEquals([ended.code, text(ended.stdout), ended.stderr, ended.ended], [
    3,
    "in\n$(id)|a b|*|`id`|",
    "bad",
    undefined,
  ]);
});

Deno.test("runCommand() ends what takes too long, writes too much, or leaves somebody behind", async () => {
  const clock = new SimulatedClock();
  const slow = runCommand(["sh", "-c", "sleep 1000 & sleep 1000"], { ...OPTIONS, clock });
  await clock.advance(60_000);
  assertEquals((await slow).ended, "it did not end within 60 s");
  assertEquals((await runCommand(["yes"], OPTIONS)).ended, "it wrote too much");
  // The one left behind holds the pipe; it is not waited for, and goes too.
  const left = await runCommand(["sh", "-c", "sleep 1000 & echo $!"], OPTIONS);
  assertEquals([left.code, left.ended], [0, undefined]);
  const pid = text(left.stdout).trim();
  // It is told to go; the system takes a moment.
  let state = "";
  for (const end = performance.now() + 60_000; performance.now() < end && !/^gone| [ZX] /.test(state);) {
    state = await Deno.readTextFile(`/proc/${pid}/stat`).catch(() => "gone");
  }
  assertTrue(/^gone| [ZX] /.test(state), state);
});

Deno.test("runCommand() tells when it may not have got all that was written", async () => {
  // What is of another group by then is not ended.
  const script = "exec 3>&1; { setsid sh -c 'echo go; exec sleep 2 >&3' & } | { read go; echo x; }";
  const ended = await runCommand(["sh", "-c", script], OPTIONS);
  assertEquals([ended.code, text(ended.stdout), ended.ended, ended.isCut], [0, "x\n", undefined, true]);
  assertEquals((await runCommand(["echo", "x"], OPTIONS)).isCut, undefined);
});

/** Runs a command from a process that may end nobody else's, as those of other users than root. */
async function runWithoutRights(words: readonly string[], timeoutMs: number) {
  const script = `
    const { runCommand } = await import(${JSON.stringify(import.meta.resolve("./command.ts"))});
    const { systemClock } = await import(${JSON.stringify(import.meta.resolve("../base/clock.ts"))});
    const options = { maxOutputBytes: 1000, timeoutMs: ${timeoutMs}, clock: systemClock, stdin: new Uint8Array(1e7) };
    const { stdout, ...more } = await runCommand(${JSON.stringify(words)}, options);
    console.log(JSON.stringify({ ...more, pid: Number(new TextDecoder().decode(stdout)) }));
    Deno.exit(0);`;
  const program = ["--bounding-set=-kill", "--inh-caps=-kill", Deno.execPath(), "eval", "--no-check", script];
  const { code, stdout, stderr } = await new Deno.Command("setpriv", { args: program }).output();
  assertEquals(code, 0, text(stderr));
  const { pid, ...ended } = JSON.parse(text(stdout));
  Deno.kill(pid, "SIGKILL");
  return ended;
}

Deno.test(
  "runCommand() does not wait for what it may not end: the command, or somebody whom it has left behind",
  {
    ignore: Deno.build.os !== "linux" || Deno.uid() !== 0 || !await has("setpriv"),
  },
  async () => {
    const other = ["setpriv", "--reuid=65534", "--clear-groups", "sh", "-c", "echo $$; exec sleep 60"];
    const stubborn = await runWithoutRights(other, 200);
    assertEquals([stubborn.code, stubborn.ended], [137, "it did not end within 0 s, and could not be ended"]);
    const untilOther = "while [ $(stat -c %u /proc/$!) != 65534 ]; do sleep 0.01; done";
    const script = `exec 3<&0; "$@" <&3 & ${untilOther}`;
    const left = await runWithoutRights(["sh", "-c", script, "sh", ...other], 60_000);
    assertEquals([left.code, left.ended, left.isCut], [0, undefined, true]);
  },
);

async function has(program: string): Promise<boolean> {
  const { success } = await new Deno.Command("sh", { args: ["-c", `command -v ${program}`], stdout: "null" })
    .output();
  return success;
}

Deno.test("runCommand() rejects for a program that is not there, and when it is told to stop", async () => {
  await assertRejects(() => runCommand(["/nowhere/x"], OPTIONS), "NOT_FOUND", "/nowhere/x");
  const controller = new AbortController();
  const running = runCommand(["sleep", "1000"], { ...OPTIONS, signal: controller.signal });
  controller.abort(new Error("enough"));
  await assertRejects(() => running, undefined, "enough");
});

Deno.test("runCommand() does not mind a command that reads nothing", async () => {
  const stdin = new Uint8Array(10_000_000);
  assertEquals((await runCommand(["true"], { ...OPTIONS, stdin })).code, 0);
});
