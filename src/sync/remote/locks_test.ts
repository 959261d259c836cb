/** Locks at another machine: taken over a session, heeded by both ends of a run, and never more than there is a right to. */
import fc from "fast-check";
import { isWormholeError } from "../../base/errors.ts";
import { encodeName } from "../../base/names.ts";
import { assertEquals, assertRejects, assertTrue } from "../../base/testing.ts";
import { systemClock } from "../../base/clock.ts";
import { newToken } from "../../locks/mod.ts";
import { NativeQueue } from "../../native/queue.ts";
import { memoryPair } from "../../transport/memory.ts";
import { decodeSyncMessage, encodeSyncMessage, MAX_TOLD_LOCK_BYTES } from "../../wire/mod.ts";
import { type FarOptions, type FarPair, farPair, runPair } from "../../../tests/compliance/sync_remote.ts";
import { Sandbox } from "../../../tests/e2e/sandbox.ts";
import { SyncChannel } from "./channel.ts";
import { FarLocks } from "./far_locks.ts";

const MINUTE_MS = 60_000;

async function withLocks(
  run: (
    pair: FarPair,
    locks: FarLocks,
    wanted: (path: string, waits?: boolean) => ReturnType<typeof request>,
  ) => Promise<void>,
  options: FarOptions = {},
): Promise<void> {
  await using pair = await farPair(options);
  await run(pair, new FarLocks(pair.channel), (path, waits = false) => request(path, waits));
}

function request(path: string, waits: boolean) {
  return { token: newToken(), path, isShared: false, owner: "ann@far", ttlMs: MINUTE_MS, waits };
}

Deno.test("FarLocks takes, renews, lists and gives up a lock at the other machine", () =>
  withLocks(async ({ roots, book }, locks, wanted) => {
    const place = `${roots.remote}/d/new`;
    const asked = wanted(place);
    const held = await locks.ask(asked);
    assertEquals([held.is, held.lock.path, held.lock.holder], ["held", place, "here"]);
    assertTrue(held.lock.leftMs! > MINUTE_MS - 5000 && held.lock.leftMs! <= MINUTE_MS);
    // The answer was lost: asking again is no second lock.
    assertEquals((await locks.ask(asked)).is, "held");
    const [kept] = book.list();
    assertEquals([book.list().length, kept!.machine, kept!.owner], [1, "cc".repeat(32), "ann@far"]);
    await assertRejects(() => locks.ask({ ...asked, path: `${place}-2` }), "INVALID_ARGUMENT");
    const renewed = await locks.renew(asked.token, 2 * MINUTE_MS);
    assertTrue(renewed.leftMs! > MINUTE_MS);

    await book.acquire(
      { path: `${roots.remote}/e`, isShared: true, owner: "ben", ttlMs: MINUTE_MS },
      { waitMs: 0 },
    );
    await book.acquire({ path: "/elsewhere", isShared: true, owner: "ben", ttlMs: MINUTE_MS }, { waitMs: 0 });
    const { locks: all, more } = await locks.list("");
    assertEquals(all.map(({ path, holder }) => [path.slice(roots.remote.length), holder]), [
      ["/d/new", "here"],
      ["/e", "there"],
    ]);
    assertEquals(more, 0);
    assertEquals((await locks.list(`${roots.remote}/d`)).locks.length, 1);

    const busy = await locks.ask(wanted(`${roots.remote}/e`));
    assertEquals([busy.is, busy.lock.owner, busy.lock.holder], ["busy", "ben", "there"]);
    assertEquals((await locks.release(asked.token)).path, place);
    await assertRejects(() => locks.release(asked.token), "NOT_FOUND", "it has ended");
    await assertRejects(() => locks.renew(asked.token, MINUTE_MS), "NOT_FOUND");
  }));

Deno.test("FarLocks waits its turn among those of the other machine, and loses it when it gives up", () =>
  withLocks(async ({ roots, book }, locks, wanted) => {
    const path = `${roots.remote}/x`;
    const mine = (waitMs: number) =>
      book.acquire({ path, isShared: false, owner: "ben", ttlMs: MINUTE_MS }, { waitMs });
    const first = await mine(0);
    const waiting = wanted(path, true);
    assertEquals((await locks.ask(waiting)).is, "waiting");
    await assertRejects(() => mine(0), "BUSY", "ben has locked it");
    book.release(first.token);
    await assertRejects(() => mine(0), "BUSY", "ann@far");
    assertEquals((await locks.ask(waiting)).is, "held");
    await locks.release(waiting.token);
    const second = await mine(0);
    assertEquals((await locks.ask(waiting)).is, "waiting", "it was given up, and so is asked for anew");
    assertEquals((await locks.ask({ ...waiting, waits: false })).is, "busy");
    book.release(second.token);
    book.release((await mine(0)).token);
  }));

Deno.test("a lock outlives its session, until its TTL and no longer", async () => {
  await using sandbox = await Sandbox.create();
  const asked = { ...request("", false), ttlMs: MINUTE_MS };
  let path = "";
  await withLocks(async (_pair, locks) => {
    path = (await locks.ask(asked)).lock.path;
  }, { sandbox });
  await withLocks(async ({ book }, locks) => {
    assertEquals((await locks.ask(asked)).is, "held", "it is asked for again over another session");
    await locks.renew(asked.token, 1000);
    const mine = { path, isShared: false, owner: "ben", ttlMs: MINUTE_MS };
    await assertRejects(() => book.acquire(mine, { waitMs: 0 }), "BUSY", "ann@far");
    // Nobody renews it: whoever waits gets it.
    book.release((await book.acquire(mine, { waitMs: MINUTE_MS })).token);
    await assertRejects(() => locks.renew(asked.token, 1000), "NOT_FOUND");
  }, { sandbox });
});

Deno.test("FarLocks sends nothing of locks to a program that does not know them", async () => {
  await using queue = NativeQueue.open();
  const [near, far] = await memoryPair(queue);
  const agent = "wormhole-test/0";
  const hello = { type: "hello", version: { major: 1, minor: 0 }, agent, nonce: new Uint8Array(16) } as const;
  await far.send(encodeSyncMessage(hello));
  {
    await using channel = await SyncChannel.open(near, { agent, clock: systemClock });
    await assertRejects(() => new FarLocks(channel).list(""), "VERSION_UNSUPPORTED", "an older Wormhole");
  }
  assertEquals(decodeSyncMessage((await far.recv())!).type, "hello");
  assertEquals(await far.recv(), undefined);
  await far.close();
});

Deno.test("a machine gets no lock outside of its folders, and does not learn what is there", () =>
  withLocks(async ({ roots, sandbox, book }, locks, wanted) => {
    await sandbox.folder("other");
    await Deno.symlink(sandbox.path("other"), `${roots.remote}/way-out`);
    await Deno.symlink(sandbox.path("nowhere"), `${roots.remote}/way-to-nothing`);
    await book.acquire(
      { path: sandbox.path("other"), isShared: true, owner: "ben", ttlMs: MINUTE_MS },
      { waitMs: 0 },
    );
    const rows = [
      "/",
      "~",
      sandbox.path("other"),
      sandbox.path("nowhere"),
      `${roots.remote}/../other`,
      `${roots.remote}/nothing/../../other/x`,
      `${roots.remote}/way-out`,
      `${roots.remote}/way-out/x`,
      `${roots.remote}/way-to-nothing`,
      `${roots.remote}/way-to-nothing/x`,
      `${roots.remote}-2`,
      `/nowhere/x\0y`,
    ];
    for (const path of rows) {
      await assertRejects(() => locks.ask(wanted(path)), "REFUSED", "no right");
      await assertRejects(() => locks.list(path), "REFUSED");
    }
    await assertRejects(() => locks.ask(wanted(`${roots.remote}/a\udc80`)), "INVALID_ARGUMENT");
    assertEquals((await locks.list("")).locks, [], "the one beside is nobody's business");
    assertEquals(book.list().length, 1);
    // The session goes on.
    assertEquals((await locks.ask(wanted(""))).lock.path, roots.remote);
  }));

Deno.test("whatever path a machine asks for, what it has locked is in its folder", () =>
  withLocks(async ({ roots, sandbox, book }, locks, wanted) => {
    await sandbox.file("remote/d/file", "1");
    await Deno.symlink(sandbox.dir, `${roots.remote}/out`);
    await Deno.symlink("../d", `${roots.remote}/d/around`);
    await Deno.symlink("loop", `${roots.remote}/loop`);
    const name = fc.constantFrom(
      "d",
      "file",
      "out",
      "around",
      "loop",
      "..",
      ".",
      "",
      "new",
      "\u{1f600}",
      "a\nb",
      "~",
    );
    const path = fc.record({
      isAbsolute: fc.boolean(),
      names: fc.array(name, { maxLength: 6 }),
    }).map(({ isAbsolute, names }) => [...isAbsolute ? [roots.remote] : [], ...names].join("/"));
    let held = 0;
    await fc.assert(
      fc.asyncProperty(path, async (path) => {
        const asked = wanted(path);
        try {
          if ((await locks.ask(asked)).is !== "held") throw new Error("nobody is in its way");
          held++;
        } catch (error) {
          if (!isWormholeError(error, "REFUSED", "IO", "INVALID_ARGUMENT")) throw error;
        }
        for (const { path } of book.list()) {
          assertTrue(path === roots.remote || path.startsWith(`${roots.remote}/`), path);
          assertTrue(!path.split("/").includes(".."), path);
        }
        await locks.release(asked.token).catch((error) => {
          if (!isWormholeError(error, "NOT_FOUND")) throw error;
        });
      }),
      { numRuns: 200 },
    );
    assertTrue(held > 20, `${held} were in it`);
  }));

Deno.test("a machine that may only read locks nothing, and sees what is locked", () =>
  withLocks(async ({ roots, book }, locks, wanted) => {
    await assertRejects(() => locks.ask(wanted(`${roots.remote}/x`)), "REFUSED");
    await book.acquire(
      { path: `${roots.remote}/x`, isShared: true, owner: "ben", ttlMs: MINUTE_MS },
      { waitMs: 0 },
    );
    assertEquals((await locks.list("")).locks.length, 1);
  }, { right: "pull", way: "pull" }));

Deno.test("a machine has so many locks and no more, and goes on all the same", () =>
  withLocks(async ({ roots, book }, locks, wanted) => {
    const tokens: string[] = [];
    for (let i = 0; i < 128; i++) {
      const asked = wanted(`${roots.remote}/${i}`);
      assertEquals((await locks.ask(asked)).is, "held");
      tokens.push(asked.token);
    }
    await assertRejects(() => locks.ask(wanted(`${roots.remote}/more`)), "LIMIT_EXCEEDED", "too many");
    await locks.release(tokens[0]!);
    await assertRejects(() => locks.ask(wanted(`${roots.remote}/${"x".repeat(4097)}`)), "LIMIT_EXCEEDED");
    assertEquals(book.list().length, 127);
  }));

Deno.test("a run leaves what is locked at the other machine, and hears whose it is", () =>
  withLocks(async (pair, locks, wanted) => {
    const { sandbox, roots, remote, book } = pair;
    for (const name of ["free", "hers", "mine"]) await sandbox.file(`local/${name}`, name);
    await locks.ask(wanted(`${roots.remote}/hers`));
    const mine = { path: `${roots.remote}/mine`, isShared: true, owner: "ben@there", ttlMs: MINUTE_MS };
    await book.acquire(mine, { waitMs: 0 });
    await runPair(pair);
    const names = await Array.fromAsync(Deno.readDir(roots.remote), ({ name }) => name);
    assertEquals(names.sort(), [".wormhole-sync", "free"]);
    const told = [...remote.locked.locks].map(([path, { holder, owner }]) => [path, holder, owner]);
    assertEquals(told.sort(), [["hers", "here", "ann@far"], ["mine", "there", "ben@there"]]);
    for (const { expiresMs } of remote.locked.locks.values()) {
      assertTrue(Math.abs(expiresMs - Date.now() - MINUTE_MS) < 10_000);
    }
  }));

Deno.test("a lock on the other folder itself ends the run, and says why", () =>
  withLocks(async (pair, _locks) => {
    const { roots, book } = pair;
    const whole = { path: roots.remote, isShared: true, owner: "ben", ttlMs: MINUTE_MS };
    await book.acquire(whole, { waitMs: 0 });
    await assertRejects(() => runPair(pair), "BUSY", "somebody has locked that folder");
  }));

Deno.test("locks that do not fit a message are counted, and their paths are left all the same", () =>
  withLocks(async (pair) => {
    const { sandbox, roots, remote, book } = pair;
    const long = "y".repeat(200);
    const count = Math.ceil(MAX_TOLD_LOCK_BYTES / (200 + 64));
    for (let i = 0; i <= count; i++) {
      const path = `${roots.remote}/${long}${i}`;
      await book.acquire({ path, isShared: false, owner: "ben", ttlMs: MINUTE_MS }, { waitMs: 0 });
    }
    await sandbox.file(`local/${long}${count}`, "locked there");
    await runPair(pair);
    const { locks, more } = remote.locked;
    assertTrue(more > 0 && locks.size + more === count + 1, `${locks.size} and ${more}`);
    const names = await Array.fromAsync(Deno.readDir(roots.remote), ({ name }) => name);
    assertEquals(names, [".wormhole-sync"]);
  }));

Deno.test("whoever watches hears when a lock ends that made a run leave something", () =>
  withLocks(async (pair) => {
    const { channel, sandbox, roots, book } = pair;
    await sandbox.file("local/x", "1");
    const path = `${roots.remote}/x`;
    const { token } = await book.acquire({ path, isShared: false, owner: "ben", ttlMs: MINUTE_MS }, {
      waitMs: 0,
    });
    await runPair(pair);
    await channel.send({ type: "end", done: true });
    await channel.expect("ended");
    await channel.send({ type: "look", path: encodeName(roots.remote) });
    await channel.expect("looked");
    await channel.send({ type: "watch" });
    book.release(token);
    await pair.news;
  }));
