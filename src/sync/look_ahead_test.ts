import { SimulatedClock } from "../base/clock.ts";
import { assertEquals, assertTrue } from "../base/testing.ts";
import { Sandbox } from "../../tests/e2e/sandbox.ts";
import { NativeQueue } from "../native/queue.ts";
import { LookAhead } from "./look_ahead.ts";
import { sumWalk } from "./open_walk.ts";
import { openOwnFolder } from "./own_folder.ts";

/** A folder that was synchronized before, and what a run of it needs of a look. */
async function synchronized(sandbox: Sandbox) {
  const root = await Deno.realPath(sandbox.path("."));
  await Deno.writeTextFile(`${root}/file`, "content");
  using _own = await openOwnFolder(root);
  return { root, look: { root, rules: [] as string[], exclude: ["*.tmp"], oneFileSystem: false } };
}

Deno.test("LookAhead gives the walk that a run would make, once", async () => {
  await using sandbox = await Sandbox.create();
  const { root, look } = await synchronized(sandbox);
  await using queue = NativeQueue.open();
  await using ahead = (await LookAhead.begin({ ...look, clock: new SimulatedClock() }))!;
  using own = await openOwnFolder(root);
  const walk = ahead.take(look, own.found)!;
  const { exclude, oneFileSystem } = look;
  const other = sumWalk(root, [], { queue, exclude, oneFileSystem });
  const sum = await walk.sum;
  assertEquals(sum?.toHex(), (await other.sum)?.toHex());
  assertTrue(sum !== undefined);
  for (const each of [walk, other]) {
    await using taken = await each.walk;
    assertEquals((await taken.next()).columns.count, 3, "the root, its own folder and the file");
  }
  assertEquals(ahead.take(look, own.found), undefined);
});

Deno.test("LookAhead gives nothing for another look, or where another run was at work since", async () => {
  await using sandbox = await Sandbox.create();
  const { root, look } = await synchronized(sandbox);
  await using ahead = (await LookAhead.begin({ ...look, clock: new SimulatedClock() }))!;
  let found: string | undefined;
  {
    using own = await openOwnFolder(root);
    found = own.found;
  }
  for (
    const other of [
      { ...look, root: `${root}/other` },
      { ...look, rules: ["a"] },
      { ...look, exclude: [] },
      { ...look, oneFileSystem: true },
    ]
  ) assertEquals(ahead.take(other, found), undefined);
  using own = await openOwnFolder(root);
  assertTrue(own.found !== found);
  assertEquals(ahead.take(look, own.found), undefined, "that run has changed who knows what");
});

Deno.test("LookAhead does not begin while a run is at work, or where there was none", async () => {
  await using sandbox = await Sandbox.create();
  const { root, look } = await synchronized(sandbox);
  const clock = new SimulatedClock();
  {
    using _own = await openOwnFolder(root);
    assertEquals(await LookAhead.begin({ ...look, clock }), undefined);
  }
  const never = sandbox.path("never");
  await Deno.mkdir(never);
  assertEquals(await LookAhead.begin({ ...look, root: never, clock }), undefined);
  assertEquals(await LookAhead.begin({ ...look, root: sandbox.path("missing"), clock }), undefined);
});

Deno.test("LookAhead forgets a look that nobody takes in time, and ends one whose taker does not want it", async () => {
  await using sandbox = await Sandbox.create();
  const { root, look } = await synchronized(sandbox);
  const clock = new SimulatedClock();
  await using late = (await LookAhead.begin({ ...look, clock }))!;
  await using wanted = (await LookAhead.begin({ ...look, clock: new SimulatedClock() }))!;
  await clock.advance(10_000);
  using own = await openOwnFolder(root);
  assertEquals(late.take(look, own.found), undefined);
  const stop = new AbortController();
  const walk = wanted.take(look, own.found, stop.signal)!;
  stop.abort(new Error("stopped"));
  const outcome = await walk.sum.then((sum) => sum?.length, (error) => error.message);
  assertTrue(outcome === 32 || outcome === "stopped", `${outcome}`);
  await (await walk.walk.catch(() => undefined))?.[Symbol.asyncDispose]();
});
