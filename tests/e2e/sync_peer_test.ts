/** `wormhole sync` with a folder of another machine, by the real commands: paired, allowed, served, synchronized. */
import { assertEquals, assertTrue } from "../../src/base/testing.ts";
import { type Ending, run, start } from "./command.ts";
import { Machines } from "./sync_machines.ts";
import { noise } from "./trees.ts";

Deno.test("sync with a known machine: rights, both ways, a conflict, a machine that is not there", async () => {
  await using machines = await Machines.create();
  const { sandbox } = machines;
  await sandbox.file("here/one", "1");
  await sandbox.file("there/d/two", "2");
  // Nobody serves, and then there is no right to it.
  assertEquals((await machines.synced(4, ["--timeout", "1s"])).events.at(-1)!.code, "TIMEOUT");
  const job = async (...args: string[]) => await run(["job", ...args], { person: machines.ann });
  const words = [machines.here, `ben:${machines.there}`, "--timeout", "1s"];
  assertEquals((await job("add", "far", "sync", ...words)).code, 0);
  assertEquals((await job("run", "--quiet", "far")).code, 4);
  assertEquals((await run(["sync", "serve"], { person: machines.ben })).code, 2);
  await machines.allow();
  await using _serving = await machines.serve();
  const refused = await run(["sync", "--json", machines.here, `ben:${sandbox.dir}`], {
    person: machines.ann,
  });
  assertEquals([refused.code, refused.events.at(-1)!.code], [5, "REFUSED"]);

  const first = (await machines.synced()).events.find(({ event }) => event === "synced")!;
  assertEquals([first.alpha.changes, first.beta.changes], [2, 1]);
  assertEquals(await machines.trees(), Array(2).fill({ "d/two": "2", one: "1" }));

  await Deno.remove(`${machines.there}/one`);
  await Deno.rename(`${machines.here}/d/two`, `${machines.here}/d/three`);
  await sandbox.file("here/new", "here");
  await sandbox.file("there/new", "there");
  const second = await machines.synced(9);
  assertEquals(second.events.filter(({ event }) => event === "sync_conflict").length, 1);
  const [near, far] = await machines.trees();
  assertEquals(near, far);
  const copy = Object.keys(near!).find((name) => name.startsWith("new.conflict-"))!;
  assertEquals([near!["d/three"], near!.new, near![copy], near!.one], ["2", "here", "there", undefined]);
  assertEquals((await machines.synced(0)).events.find(({ event }) => event === "synced")!.beta.changes, 0);

  // The job has noted that nobody was there, and now does its work; a busy machine takes longer than a second to be found.
  assertEquals((await job("add", "--replace", "far", "sync", ...words.slice(0, 2))).code, 0);
  assertEquals((await job("run", "--quiet", "far")).code, 0);
  const runs = (await job("log", "--json", "far")).events.map(({ exit, code }) => [exit, code]);
  assertEquals(runs, [[4, "TIMEOUT"], [0, null]]);

  // Text that both have edited is merged; what Ben has locked at his machine is left alone.
  const lines = (first: string, last: string) => `${first}\n2\n3\n4\n${last}\n`;
  await sandbox.file("here/text", lines("1", "5"));
  const merge = ["--merge", "diff3 -m %A %O %B"];
  await machines.synced(0, merge);
  await sandbox.file("here/text", lines("one", "5"));
  await sandbox.file("there/text", lines("1", "five"));
  const merged = (await machines.synced(0, merge)).events.find(({ event }) => event === "synced")!;
  assertEquals([merged.merged, merged.conflicts], [1, 0]);
  assertEquals((await machines.trees()).map(({ text }) => text), Array(2).fill(lines("one", "five")));
  const locked = await run(["lock", "--json", `${machines.there}/text`], { person: machines.ben });
  await sandbox.file("here/text", "new");
  const left = (await machines.synced(7)).events.find(({ event }) => event === "sync_locked")!;
  assertEquals([left.side, left.name, left.machine], ["beta", "text", "ben"]);
  assertEquals((await machines.trees())[1]!.text, lines("one", "five"));
  await run(["lock", "release", locked.events[0]!.token], { person: machines.ben });
  await machines.synced();
  assertEquals((await machines.trees())[1]!.text, "new");

  // Rights are those of the moment.
  await run(["peers", "rights", "ann", "--none", "--sync", sandbox.path("people")], { person: machines.ben });
  assertEquals((await machines.synced(5)).events.at(-1)!.code, "REFUSED");
});

Deno.test("locks at a known machine, from either side, and rights to one way only", async () => {
  await using machines = await Machines.create();
  const { sandbox, ann, ben } = machines;
  const there = (path: string) => `ben:${machines.there}/${path}`;
  const asAnn = async (args: string[], code = 0): Promise<Ending> => {
    const ended = await run(args, { person: ann });
    assertEquals(ended.code, code, `${args}\n${ended.stderr}`);
    return ended;
  };
  await machines.allow();
  const serving = await machines.serve();
  for (const name of ["report", "free"]) await sandbox.file(`here/${name}`, "1");
  await machines.synced();

  // Ann holds a lock at Ben's, which Ben and every sync see.
  await using holding = start(["lock", "--json", "--hold", "--ttl", "60s", there("report")], { person: ann });
  const { token, path, machine } = await holding.event("lock");
  assertEquals([token.replace(/[0-9a-f]{32}$/, ""), path], ["ben:", there("report")]);
  const seenByBen = async () => (await run(["lock", "list", "--json"], { person: ben })).events[0]!;
  const seen = await seenByBen();
  assertEquals([seen.path, seen.machine], [`${machines.there}/report`, "ann"]);
  const [listed] = (await asAnn(["lock", "list", "--json", "ben:"])).events;
  assertEquals([listed!.path, listed!.machine, listed!.token], [path, machine, null]);
  await asAnn(["lock", there("report")], 10);
  for (const name of ["report", "free"]) await sandbox.file(`here/${name}`, "2");
  const left = (await machines.synced(7)).events.find(({ event }) => event === "sync_locked")!;
  assertEquals([left.name, left.machine], ["report", machine]);
  assertEquals((await machines.trees())[1], { free: "2", report: "1" });

  // Lost connections are made again, and the lock is renewed at once.
  serving.signal("SIGKILL");
  await serving.ending();
  await using _again = await machines.serve();
  const now = () => seenByBen().then((lock) => lock.expires_at as string);
  for (const end = Date.now() + 30_000; await now() <= seen.expires_at && Date.now() < end;);
  assertTrue(await now() > seen.expires_at, "it was not renewed");

  // Ben waits his turn, gets it when she is told to end, and Ann waits for his.
  await using waiting = start(["lock", "--json", "--wait", "60s", `${machines.there}/report`], {
    person: ben,
  });
  await using watching = machines.sync(["--watch", "--interval", "1h"]);
  await watching.event("sync_locked");
  holding.signal("SIGTERM");
  assertEquals((await holding.ending()).code, 143);
  assertTrue((await holding.ending()).events.some(({ released }) => released), "it was given up at once");
  const own = await waiting.event("lock");
  await using queued = start(["lock", "--json", "--wait", "60s", "--ttl", "1h", there("report")], {
    person: ann,
  });
  await watching.event("sync_locked", (event) => event.machine === "ben");
  await run(["lock", "release", own.token], { person: ben });
  const got = (await queued.event("lock")).token;
  await queued.ending();
  const renewed = (await asAnn(["lock", "renew", "--json", "--ttl", "1m", got])).events[0]!;
  assertEquals(renewed.token, got);
  await asAnn(["lock", "release", "--force", there("report")], 2);
  await asAnn(["lock", "release", got]);
  await asAnn(["lock", "renew", got], 6);
  // The watch has heard that the lock is gone, long before its interval.
  await watching.event("sync_change", (event) => event.name === "report");
  watching.signal("SIGTERM");
  await watching.ending();
  assertEquals((await machines.trees())[1], { free: "2", report: "2" });

  // To read and not to change: said before anything is done, with the words that would do.
  const rights = async (...args: string[]) => {
    const ended = await run(["peers", "rights", "--json", "ann", ...args], { person: ben });
    assertEquals(ended.code, 0, ended.stderr);
    return ended.events[0]!;
  };
  assertEquals((await rights("--read-only", machines.there)).sync, []);
  await sandbox.file("here/free", "3");
  const refused = (await machines.synced(5)).events.at(-1)!;
  assertTrue(
    refused.message.includes("--mode one-way-safe") && !/code/.test(refused.advice),
    refused.message,
  );
  const oneWay = async (args: string[]) => await asAnn(["sync", "--mode", "one-way-replica", ...args]);
  await oneWay([`ben:${machines.there}`, machines.here]);
  assertEquals(await machines.trees(), Array(2).fill({ free: "2", report: "2" }));
  await rights("--write-only", machines.there);
  await asAnn(["sync", "--mode", "one-way-replica", `ben:${machines.there}`, machines.here], 5);
  await sandbox.file("here/free", "4");
  await oneWay([machines.here, `ben:${machines.there}`]);
  assertEquals((await machines.trees())[1]!.free, "4");
});

Deno.test("sync with a known machine ends well whoever is killed", async () => {
  await using machines = await Machines.create();
  const { sandbox } = machines;
  await machines.allow();
  let serving = await machines.serve();
  const wanted: Record<string, string> = {};
  for (let round = 0; round < 3; round++) {
    for (let i = 0; i < 20; i++) {
      const name = `${round}-${i}`;
      wanted[name] = name;
      await sandbox.file(`${i % 2 === 0 ? "here" : "there"}/${name}`, name);
    }
    await sandbox.file(`${round % 2 === 0 ? "here" : "there"}/big`, noise(3_000_000, round));
    const running = machines.sync();
    // Once connected, and once changes were made; any moment in between is src/sync/remote/faults_test.ts's.
    await running.event(round < 2 ? "peer" : "sync_change");
    const victim = round % 2 === 0 ? running : serving;
    try {
      victim.signal("SIGKILL");
    } catch {
      // It has ended by itself just now.
    }
    await victim.ending();
    await running.ending();
    if (round % 2 === 1) serving = await machines.serve();
    const [near, far] = await machines.trees();
    for (const [name, text] of Object.entries(wanted)) {
      const there = [near![name], far![name]].filter((each) => each !== undefined);
      assertTrue(there.length > 0 && there.every((each) => each === text), `${name} is lost or broken`);
    }
    await machines.synced();
    const [a, b] = await machines.trees();
    assertEquals(a, b);
    assertEquals(Object.keys(a!).length, Object.keys(wanted).length + 1, "nothing came twice");
  }
});

Deno.test("sync --watch with a known machine sees changes of both and comes back after the other was gone", async () => {
  await using machines = await Machines.create();
  const { sandbox } = machines;
  await machines.allow();
  const serving = await machines.serve();
  await using watching = machines.sync(["--watch", "--interval", "1h"]);
  await watching.event("peer");
  const changed = (name: string) => watching.event("sync_change", (event) => event.name === name);
  await sandbox.file("here/near", "1");
  await changed("near");
  await sandbox.file("there/far", "2");
  await changed("far");
  serving.signal("SIGKILL");
  await serving.ending();
  await watching.event("warning");
  await sandbox.file("there/meanwhile", "3");
  await using again = await machines.serve();
  await changed("meanwhile");
  const [near, far] = await machines.trees();
  assertEquals([near, far], Array(2).fill({ far: "2", meanwhile: "3", near: "1" }));

  // A right that is taken back ends what goes on in its folder, though there is one to another folder. Who is stopped asks nothing.
  watching.signal("SIGSTOP");
  const rights = ["peers", "rights", "ann", "--none", "--sync", await sandbox.folder("another")];
  assertEquals((await run(rights, { person: machines.ben })).code, 0);
  const left = await again.event("sync_session", ({ state }) => state === "left");
  assertTrue(left.message.includes("the right was taken back"), left.message);
});
