/** `wormhole lock`, and what sync makes of it. */
import { assertEquals, assertTrue } from "../../src/base/testing.ts";
import { type Ending, run, start } from "./command.ts";
import { Sandbox } from "./sandbox.ts";

Deno.test("sync leaves what is locked, at either end, says so, and sees to it when it is free", async () => {
  await using sandbox = await Sandbox.create();
  const person = await sandbox.person("keeper");
  const command = async (args: string[], code = 0): Promise<Ending> => {
    const ended = await run(args, { person });
    assertEquals(ended.code, code, `${args}\n${ended.stderr}`);
    return ended;
  };
  const odd = "it's [odd] *!.txt ";
  const read = (path: string) => Deno.readTextFile(sandbox.path(path));
  const [a, b] = [await sandbox.folder("a"), await sandbox.folder("b")];
  for (const path of [`a/${odd}`, "a/d/x", "a/free"]) await sandbox.file(path, "1");
  await command(["sync", a, b]);

  const token = new TextDecoder().decode((await command(["lock", "-q", `${a}/${odd}`])).stdout).trim();
  await command(["lock", `${b}/d`, "--owner", "a friend"]);
  await command(["lock", `${b}/d/x`], 10);
  for (const path of [`a/${odd}`, "a/d/x", "a/free"]) await sandbox.file(path, "2");
  const left = await command(["sync", "--json", a, b], 7);
  assertEquals(left.events.find(({ event }) => event === "synced")!.locked, 2);
  const told = left.events.filter(({ event }) => event === "sync_locked");
  assertEquals(told.map(({ side, name }) => [side, name]), [["alpha", odd], ["beta", "d"]]);
  assertEquals(told[1]!.owner, "a friend");
  assertEquals([await read(`b/${odd}`), await read("b/d/x"), await read("b/free")], ["1", "1", "2"]);

  await command(["lock", "release", token]);
  await command(["lock", "release", token], 6);
  await command(["lock", "release", "--force", `${b}/d`]);
  assertEquals((await command(["lock", "list", "--json"])).events, []);
  await command(["sync", a, b]);
  assertEquals([await read(`b/${odd}`), await read("b/d/x")], ["2", "2"]);
  // A watch goes on once what it left is free, long before its interval.
  const last = (await command(["lock", "-q", `${a}/free`])).stdout;
  await sandbox.file("a/free", "3");
  await using watching = start(["sync", "--json", "--watch", "--interval", "1h", a, b], { person });
  await watching.event("sync_locked");
  await command(["lock", "release", new TextDecoder().decode(last).trim()]);
  await watching.event("sync_change");
  assertEquals(await read("b/free"), "3");
  watching.signal("SIGTERM");
  await watching.ending();
  await command(["lock", a]);
  await command(["sync", a, b], 10);
});

Deno.test("lock --hold renews until it is told to end; one that is killed holds nobody up for longer than its TTL", async () => {
  await using sandbox = await Sandbox.create();
  const person = await sandbox.person("keeper");
  const path = sandbox.path("x");
  const hold = async (ttl: string) => {
    const running = start(["lock", "--json", "--hold", "--ttl", ttl, path], { person });
    await running.event("lock");
    return running;
  };
  {
    await using held = await hold("60s");
    const waiting = start(["lock", "--json", "--wait", "60s", path], { person });
    await using _waiting = waiting;
    held.signal("SIGTERM");
    assertEquals((await held.ending()).code, 143);
    const lock = await waiting.event("lock");
    assertEquals((await waiting.ending()).code, 0);
    await run(["lock", "release", lock.token], { person });
  }
  await using killed = await hold("1s");
  killed.signal("SIGKILL");
  await killed.ending();
  const next = await run(["lock", "--json", "--wait", "30s", path], { person });
  assertTrue(next.code === 0 && /^[0-9a-f]{32}$/.test(next.events[0]!.token), next.stderr);
});
