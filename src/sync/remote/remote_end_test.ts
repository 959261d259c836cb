import { concat } from "../../base/bytes.ts";
import { systemClock } from "../../base/clock.ts";
import { encodeName } from "../../base/names.ts";
import { assertEquals, assertRejects, assertTrue } from "../../base/testing.ts";
import { type FarPair, farPair, runPair } from "../../../tests/compliance/sync_remote.ts";
import { noise } from "../../../tests/e2e/trees.ts";
import type { Staged, Step } from "../end.ts";
import { firstFew } from "../synchronize.ts";
import { MAX_STAGED_PATH_BYTES, MAX_STEPS } from "../../wire/mod.ts";
import { hashBuffer } from "../../native/hash.ts";
import { NativeQueue } from "../../native/queue.ts";
import { memoryPair } from "../../transport/memory.ts";
import { pagesOf } from "../pages.ts";
import { Snapshot, SnapshotBuilder, STAMP_BYTES } from "../snapshot.ts";
import { ALL_ABILITIES } from "../policy.ts";
import { isFailure } from "../end.ts";
import { SyncChannel } from "./channel.ts";
import { PageCache } from "./page_cache.ts";
import { RemoteEnd } from "./remote_end.ts";

const MIB = 1024 * 1024;

Deno.test("a run over a session carries files, folders, symlinks and permissions both ways, and then nothing", async () => {
  await using pair = await farPair();
  const { sandbox, roots } = pair;
  await sandbox.file("local/one", "1");
  await sandbox.file("local/same-too", "1");
  await sandbox.file("remote/d/two", "2");
  await Deno.symlink("/nowhere", `${roots.local}/link`);
  await Deno.symlink("one", `${roots.remote}/d/back`);
  await Deno.chmod(`${roots.local}/one`, 0o600);
  const first = await runPair(pair);
  assertEquals([first.outcome.problems, first.outcome.postponed, first.outcome.conflicts], [0, 0, 0]);
  for (const root of [roots.local, roots.remote]) {
    assertEquals(await Deno.readTextFile(`${root}/one`), "1");
    assertEquals(await Deno.readTextFile(`${root}/same-too`), "1");
    assertEquals(await Deno.readTextFile(`${root}/d/two`), "2");
    assertEquals([await Deno.readLink(`${root}/link`), await Deno.readLink(`${root}/d/back`)], [
      "/nowhere",
      "one",
    ]);
    assertEquals((await Deno.stat(`${root}/one`)).mode! & 0o777, 0o600);
  }
  const before = await pair.bytesSent();
  const again = await runPair(pair, { ancestor: first.agreed });
  assertEquals(again.outcome.changes, [0, 0]);
  assertTrue(await pair.bytesSent() - before < 1000, "a snapshot that is known does not travel again");
});

Deno.test("an edited file of many chunks moves what changed, in either direction", async () => {
  for (const [from, to] of [["local", "remote"], ["remote", "local"]] as const) {
    await using pair = await farPair();
    const big = noise(12 * MIB, 5);
    await pair.sandbox.file(`${from}/big`, big);
    const { agreed } = await runPair(pair);
    assertEquals(await Deno.readFile(`${pair.roots[to]}/big`), big);
    const first = await pair.bytesSent();
    assertTrue(first > 12 * MIB, `${first} bytes were counted`);
    const before = await pair.bytesSent();
    const edited = new Uint8Array(big.length + 1000);
    edited.set(big.subarray(0, 5 * MIB));
    edited.set(noise(1000, 6), 5 * MIB);
    edited.set(big.subarray(5 * MIB), 5 * MIB + 1000);
    await Deno.writeFile(`${pair.roots[from]}/big`, edited);
    await runPair(pair, { ancestor: agreed });
    assertEquals(await Deno.readFile(`${pair.roots[to]}/big`), edited);
    const moved = await pair.bytesSent() - before;
    assertTrue(moved < 5 * MIB, `${from}: ${moved} bytes moved of ${edited.length}`);
  }
});

Deno.test("what arrived in a run that was cut off does not travel again", async () => {
  await using pair = await farPair();
  const { local, remote, roots } = pair;
  const big = noise(3 * MIB, 7);
  await pair.sandbox.file("local/big", big);
  await pair.sandbox.file("remote/small", "s");
  const [near, far] = [await scan(local), await scan(remote)];
  assertEquals((await remote.stage([staged(near, "big", 0)], local)).size, 0);
  assertEquals((await local.stage([staged(far, "small", 0)], remote)).size, 0);
  // As after the end of the program: nothing was put.
  const before = await pair.bytesSent();
  const { outcome } = await runPair(pair);
  assertEquals([outcome.changes, outcome.postponed], [[1, 1], 0]);
  assertEquals(await Deno.readFile(`${roots.remote}/big`), big);
  assertTrue(await pair.bytesSent() - before < MIB);
});

Deno.test("a number names what was staged last under it, where no scan is between", async () => {
  await using pair = await farPair();
  const { local, remote, roots, sandbox } = pair;
  for (const [name, text] of [["a", "1"], ["b", "2"], ["c", "3"], ["d", "3"]] as const) {
    await sandbox.file(`remote/${name}`, text);
  }
  const far = await scan(remote);
  for (const [names, texts] of [[["a", "b"], ["1", "2"]], [["c", "d"], ["3", "3"]]] as const) {
    const failed = await local.stage(names.map((name, slot) => staged(far, name, slot)), remote);
    assertEquals(failed.size, 0);
    for (const [slot, text] of texts.entries()) {
      const path = `${roots.local}/${local.stagedAt(slot)}`;
      assertEquals(await Deno.readTextFile(path), text);
      await Deno.remove(path);
    }
  }
});

Deno.test("what arrived and was damaged on the disk since is not used", async () => {
  await using pair = await farPair();
  const { local, remote, roots } = pair;
  await pair.sandbox.file("local/a", "right");
  const near = await scan(local);
  await remote.stage([staged(near, "a", 0)], local);
  const hex = near.content(0).toHex();
  await Deno.writeTextFile(`${roots.remote}/.wormhole-sync/arrived/${hex}`, "wrong");
  await runPair(pair);
  assertEquals(await Deno.readTextFile(`${roots.remote}/a`), "right");
});

Deno.test("a peer gets no file but those of the folder, whatever it asks for", async () => {
  await using pair = await farPair();
  const { local, remote, roots, sandbox } = pair;
  await sandbox.file("secret/passwd", "secret");
  await sandbox.file("remote/d/passwd", "secret");
  await sandbox.file("local/x", "x");
  const far = await scan(remote);
  const wanted = staged(far, "d/passwd", 1);
  // With its right to change the folder it puts a symlink where a folder was, and asks for what it saw there.
  const link: Staged = {
    ...wanted,
    slot: 5,
    path: "to-secrets",
    isSymlink: true,
    size: 0,
    content: (await import("../../native/hash.ts")).hashBuffer(encodeName(sandbox.path("secret"))),
  };
  await Deno.symlink(sandbox.path("secret"), `${roots.local}/to-secrets`);
  await scan(local);
  assertEquals((await remote.stage([link], local)).size, 0);
  const done = await remote.change([
    { do: "move", path: "e", from: "d", was: far.stamp(0) },
    { do: "put", path: "d", slot: 5 },
  ]);
  assertEquals(done.map(isFailure), [false, false]);
  assertEquals(await Deno.readLink(`${roots.remote}/d`), sandbox.path("secret"));
  const failed = await local.stage([wanted], remote);
  assertEquals([...failed].map(([slot, { code }]) => [slot, code]), [[1, "SOURCE_CHANGED"]]);
});

Deno.test("a peer does not learn by how much it sends what lies outside of the folder", async () => {
  await using pair = await farPair();
  const { local, remote, roots, sandbox } = pair;
  const secret = noise(8 * MIB, 11);
  await sandbox.file("secret/big", secret);
  await Deno.symlink(sandbox.path("secret"), `${roots.remote}/d`);
  const guessed = secret.slice();
  guessed[4 * MIB] = guessed[4 * MIB]! ^ 1;
  await sandbox.file("local/d/big", guessed);
  const near = await scan(local);
  await scan(remote);
  const before = await pair.bytesSent();
  assertEquals((await remote.stage([staged(near, "d/big", 0)], local)).size, 0);
  const moved = await pair.bytesSent() - before;
  assertTrue(moved > 8 * MIB, `${moved} bytes moved`);
});

Deno.test("steps that lead out of the folder, or into sync's own, end the session and change nothing", async () => {
  const stamp = new Uint8Array(40);
  const bad: Step[] = [
    { do: "make", path: "../out", mode: 0o755 },
    { do: "make", path: "/tmp/out", mode: 0o755 },
    { do: "make", path: ".wormhole-sync/out", mode: 0o755 },
    { do: "make", path: "sub/.wormhole-sync", mode: 0o755 },
    { do: "move", path: "a", from: ".wormhole-sync/root", was: stamp },
    { do: "move", path: "../a", from: "a", was: stamp },
    { do: "put", path: "a", slot: 0, was: stamp, keep: "../kept" },
    { do: "take", path: "a/../../b", was: stamp },
  ];
  for (const step of bad) {
    await using pair = await farPair();
    await scan(pair.remote);
    await assertRejects(() => pair.remote.change([step]), "HOSTILE_NAME");
    const error = await pair.served;
    assertTrue(error instanceof Error && "code" in error && error.code === "HOSTILE_NAME", `${error}`);
    const names = await Array.fromAsync(Deno.readDir(pair.sandbox.path("remote")), ({ name }) => name);
    assertEquals(names, [".wormhole-sync"]);
  }
});

Deno.test("a folder without a right is refused, whether it is there or not", async () => {
  await using pair = await farPair();
  const { channel, sandbox, roots } = pair;
  await sandbox.folder("other");
  await Deno.symlink(sandbox.path("other"), `${roots.remote}/way-out`);
  await Deno.symlink(sandbox.path("nowhere"), `${roots.remote}/way-to-nothing`);
  await channel.send({ type: "end", done: true });
  await channel.expect("ended");
  const rows: [string, string][] = [
    [sandbox.path("other"), "REFUSED"],
    [sandbox.path("nowhere"), "REFUSED"],
    [`${roots.remote}/../other`, "REFUSED"],
    [`${roots.remote}/way-out`, "REFUSED"],
    [`${roots.remote}/way-out/nothing`, "REFUSED"],
    [`${roots.remote}/way-to-nothing`, "REFUSED"],
    [`${roots.remote}/way-to-nothing/x`, "REFUSED"],
    [`${roots.remote}-2`, "REFUSED"],
    ["/", "REFUSED"],
    ["~", "REFUSED"],
    [`${roots.remote}/nothing`, "NOT_FOUND"],
    [`${roots.remote}/nothing/x`, "NOT_FOUND"],
  ];
  for (const [path, code] of rows) {
    await channel.send({ type: "look", path: encodeName(path) });
    await assertRejects(() => channel.expect("looked"), code as "REFUSED");
  }
  await channel.send({ type: "look", path: encodeName(roots.remote) });
  assertEquals(new TextDecoder().decode((await channel.expect("looked")).place), roots.remote);
});

Deno.test("the own folder of a root within another one stays there and is nobody else's", async () => {
  await using pair = await farPair();
  const { sandbox, roots } = pair;
  await sandbox.file("local/near/.wormhole-sync/root", "1");
  await sandbox.file("local/near/x", "x");
  await sandbox.file("remote/far/.wormhole-sync/trash/y", "old");
  await sandbox.file("remote/far/y", "y");
  const { agreed, outcome } = await runPair(pair);
  assertEquals([outcome.problems, outcome.postponed, outcome.changes], [0, 0, [2, 2]]);
  const names = async (path: string) =>
    (await Array.fromAsync(Deno.readDir(path), ({ name }) => name)).sort();
  assertEquals([await names(`${roots.remote}/near`), await names(`${roots.local}/far`)], [["x"], ["y"]]);
  // What is deleted around it leaves it alone.
  await Deno.remove(`${roots.local}/far`, { recursive: true });
  assertEquals((await runPair(pair, { ancestor: agreed })).outcome.postponed, 0);
  assertEquals(await names(`${roots.remote}/far`), [".wormhole-sync"]);
  assertEquals(await Deno.readTextFile(`${roots.remote}/far/.wormhole-sync/trash/y`), "old");
});

Deno.test("what the disk of the serving side says is told as a refusal and ends nothing", async () => {
  await using pair = await farPair();
  const { local, remote, roots, sandbox } = pair;
  await sandbox.file("local/a", "1");
  const near = await scan(local);
  const inTheWay = `${roots.remote}/.wormhole-sync/arrived`;
  await Deno.writeTextFile(inTheWay, "");
  await assertRejects(() => remote.stage([staged(near, "a", 0)], local), "IO");
  await Deno.remove(inTheWay);
  await runPair(pair);
  assertEquals(await Deno.readTextFile(`${roots.remote}/a`), "1");
});

Deno.test("RemoteEnd takes no more pages than the entries that were announced fill", async () => {
  await using stack = new AsyncDisposableStack();
  const { end, other: liar } = await toldEnd(stack);
  const pages = Array.from({ length: 3 }, (_, at) => {
    const builder = new SnapshotBuilder({ ends: 1 });
    const [name, mode] = [encodeName(`${at}`), 0o644];
    builder.add({ kind: 1, depth: 0, mode, size: 1, mtime: 1n, name });
    return [...pagesOf(builder.finish())][0]!;
  });
  const ids = concat(...pages.map(({ id }) => id));
  const lying = async () => {
    await liar.expect("scan");
    const [digest, entries] = [hashBuffer(ids), 1];
    const rest = { is_empty: false, problems: [], more: 0 };
    await liar.send({ type: "scanned", entries, pages: pages.length, digest, ...rest });
    await liar.expect("ask_ids");
    await liar.send({ type: "ids", ids, last: true });
    await liar.expect("ask_pages");
    for (const { bytes } of pages.slice(0, 2)) {
      await liar.send({ type: "page", bytes, size: bytes.length, form: "plain" });
    }
    // Whoever waits for the third page gets this instead.
    await liar.send({ type: "refused", code: "NO_SPACE" });
  };
  const lied = lying();
  await assertRejects(() => end.scan({ snapshot: Snapshot.empty(2), side: 0 }), "PROTOCOL");
  await lied;
});

Deno.test("paths of files to be copied are held up to a limit, which a run keeps to", async () => {
  await using pair = await farPair();
  const path = Array.from({ length: 256 }, () => "x".repeat(254)).join("/");
  const about = { isSymlink: false, size: 1, mtime: 1n, mode: 0o644, content: new Uint8Array(32) };
  const files = Array.from({ length: 600 }, (_, slot): Staged => ({ slot, path, ...about }));
  let most = 0;
  for (let at = 0; at < files.length;) {
    const { length } = firstFew(files, { at, most: 8192 });
    assertTrue(length > 50 && length * path.length <= MAX_STAGED_PATH_BYTES, `${length} files`);
    [at, most] = [at + length, Math.max(most, length)];
  }
  assertTrue(most < files.length, "they fit at once");
  await scan(pair.remote);
  await assertRejects(() => pair.remote.stage(files, pair.local), "LIMIT_EXCEEDED");
});

Deno.test("changes in more than one message are made in their order", async () => {
  await using pair = await farPair();
  await scan(pair.remote);
  const paths = Array.from(
    { length: 2 * MAX_STEPS + 1 },
    (_, at) => at % 2 === 0 ? `d${at}` : `d${at - 1}/in`,
  );
  const done = await pair.remote.change([
    ...paths.map((path): Step => ({ do: "make", path, mode: 0o755 })),
    { do: "make", path: "nowhere/in", mode: 0o755 },
  ]);
  assertEquals(done.length, paths.length + 1);
  for (const [at, path] of paths.entries()) {
    const { ino } = await Deno.stat(`${pair.roots.remote}/${path}`);
    const { stamp } = done[at] as { stamp: Uint8Array };
    assertEquals(new DataView(stamp.buffer, stamp.byteOffset).getBigUint64(8, true), BigInt(ino!), path);
  }
  assertTrue(isFailure(done.at(-1)!));
});

Deno.test("RemoteEnd asks on after a change was refused, whatever it had asked for in advance", async () => {
  for (const refused of [0, 1, 2]) {
    await using stack = new AsyncDisposableStack();
    const { end, other } = await toldEnd(stack);
    const answering = async () => {
      for (let at = 0;; at++) {
        const message = await other.next();
        if (message.type === "ask_space") return await other.send({ type: "space", bytes: 7 });
        if (message.type !== "change") throw new Error(message.type);
        if (at === refused) await other.send({ type: "refused", code: "NO_SPACE" });
        else {
          const stamps = new Uint8Array(STAMP_BYTES * message.steps.length);
          await other.send({ type: "changed", stamps, failed: NONE, codes: NONE });
        }
      }
    };
    const answered = answering();
    const steps = Array.from({ length: 3 * MAX_STEPS }, (_, at): Step => ({ do: "drop", path: `d${at}` }));
    await assertRejects(() => end.change(steps), "NO_SPACE");
    assertEquals(await end.space(), 7);
    await answered;
  }
});

/** Gives an end, and the channel of whoever answers it. */
async function toldEnd(stack: AsyncDisposableStack): Promise<{ end: RemoteEnd; other: SyncChannel }> {
  const queue = stack.use(NativeQueue.open());
  const [near, far] = await memoryPair(queue);
  stack.defer(async () => void await Promise.all([near.close(), far.close()]));
  const open = { agent: "test", clock: systemClock };
  const [channel, other] = await Promise.all([SyncChannel.open(near, open), SyncChannel.open(far, open)]);
  const unused = () => Promise.reject(new Error("no transfer is wanted"));
  const end = new RemoteEnd({
    channel,
    nextLink: unused,
    queue,
    settings: unused,
    cache: stack.use(PageCache.open(":memory:")),
    abilities: ALL_ABILITIES,
    exclude: [],
    now: Date.now,
  });
  return { end, other };
}

const NONE = new Uint8Array(0);

async function scan(end: FarPair["local"] | FarPair["remote"]): Promise<Snapshot> {
  return (await end.scan({ snapshot: Snapshot.empty(2), side: 0 })).snapshot;
}

function staged(snapshot: Snapshot, path: string, slot: number): Staged {
  const row = snapshot.find(path);
  const [size, mtime, mode] = [snapshot.size(row), snapshot.mtime(row), snapshot.mode(row)];
  return { slot, path, isSymlink: false, size, mtime, mode, content: snapshot.content(row) };
}
