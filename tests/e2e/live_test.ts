/** What other programs hear of `wormhole sync`: a command after each run, a socket, `sync status`. */
import { assertEquals, assertTrue } from "../../src/base/testing.ts";
import { systemClock } from "../../src/base/clock.ts";
import { firstLines } from "../../src/live/mod.ts";
import { run, start } from "./command.ts";
import { Sandbox } from "./sandbox.ts";

/** Keeps what it is told, one file for each time it is run. */
const HOOK = `#!/bin/sh
cat > "$TOLD/$WORMHOLE_ALPHA_CHANGES-$WORMHOLE_BETA_CHANGES-$1.part"
mv "$TOLD/$WORMHOLE_ALPHA_CHANGES-$WORMHOLE_BETA_CHANGES-$1.part" "$TOLD/$WORMHOLE_ALPHA_CHANGES-$WORMHOLE_BETA_CHANGES-$1"
`;

Deno.test("sync --on-change tells a command what changed, and says when that failed; no shell sees a name", async () => {
  await using sandbox = await Sandbox.create();
  const { name, env } = await sandbox.person("keeper");
  const person = { name, env: { ...env, TOLD: await sandbox.folder("told") } };
  const hook = await sandbox.file("it's a hook", HOOK);
  await Deno.chmod(hook, 0o755);
  const evil = "$(touch evil);`touch evil`\n";
  await sandbox.file(`a/${evil}`, "1");
  const [a, b] = [sandbox.path("a"), await sandbox.folder("b")];
  const sync = (command: string) => run(["sync", "--on-change", command, a, b], { person, cwd: sandbox.dir });
  const quoted = `"${hook}" '$(id)'`;
  const first = await sync(quoted);
  assertEquals(first.code, 0, first.stderr);
  const lines = (await Deno.readTextFile(sandbox.path("told", "0-1-$(id)"))).trimEnd().split("\n").map((
    line,
  ) => JSON.parse(line));
  assertEquals(lines.map(({ event }) => event), ["sync_change", "synced"]);
  assertEquals([lines[0].name, lines[0].side, lines[1].beta.changes], [evil, "beta", 1]);
  assertEquals((await sync("false")).code, 0, "nothing changed, so nothing is run");
  const failing: [string, string][] = [
    ["sh -c 'echo no room >&2; exit 3'", "it ended with 3: no room"],
    ["/nowhere/x", "there is no such program"],
    ["sleep 1000", "did not end within 1 s"],
  ];
  for (const [at, [command, words]] of failing.entries()) {
    await sandbox.file(`b/${at}`, "2");
    // A busy machine may take a while to start even what says no.
    const timeout = command.startsWith("sleep") ? "1s" : "60s";
    const args = ["sync", "--on-change-timeout", timeout, "--on-change", command, a, b];
    const ended = await run(args, { person });
    assertEquals([ended.code, ended.stderr.includes(words)], [7, true], ended.stderr);
    assertEquals(await Deno.readTextFile(`${a}/${at}`), "2", "what was done stays done");
  }
  const names = (await Array.fromAsync(Deno.readDir(sandbox.dir))).map(({ name }) => name);
  assertTrue(!names.includes("evil"), `${names}`);
});

Deno.test("sync --watch tells on a socket where it stands and what happens; sync status asks all", async () => {
  await using sandbox = await Sandbox.create();
  const person = await sandbox.person("keeper");
  await sandbox.file("a/x", "1");
  const [a, b] = [sandbox.path("a"), await sandbox.folder("b")];
  const path = sandbox.path("events");
  const args = ["sync", "--json", "--watch", "--on-change", "false", "--events-socket", path, a, b];
  await using watching = start(args, { person });
  await watching.event("synced");
  await watching.event("warning", ({ message }) => message.includes("it ended with 1"));
  const lines = firstLines(path, { clock: systemClock, timeoutMs: 30_000, lines: Infinity });
  const next = async () => JSON.parse((await lines.next()).value!);
  const status = await next();
  assertEquals([status.event, status.alpha, status.runs > 0, status.last.entries], [
    "sync_status",
    a,
    true,
    1,
  ]);
  await sandbox.file("b/y", "2");
  let change = await next();
  while (change.event !== "sync_change") change = await next();
  assertEquals([change.name, change.side, change.action], ["y", "alpha", "create"]);

  // One that has no socket of its own choice, and what a killed one left.
  await using other = start(["sync", "--json", "--watch", a, await sandbox.folder("c")], { person });
  await other.event("synced");
  const left = `${person.env.XDG_RUNTIME_DIR}/wormhole/sync/1.sock`;
  Deno.listen({ transport: "unix", path: left }).close();
  if (!await Deno.lstat(left).then(() => true, () => false)) await Deno.writeTextFile(left, "");
  const all = await run(["sync", "status", "--json"], { person });
  assertEquals(all.code, 0, all.stderr);
  const known = all.events.filter(({ event }) => event === "sync_status");
  assertEquals(known.map(({ pid, state }) => [pid, typeof state]), [[other.pid, "string"]]);
  assertEquals(all.events.length, known.length, "what a killed one left is nobody's business");
  for (const one of [other, watching]) {
    one.signal("SIGTERM");
    assertEquals((await one.ending()).code, 143);
  }
  for await (const _line of lines) { /* to its end */ }
  assertTrue(await Deno.lstat(path).then(() => false, () => true), "the socket is gone");
});
