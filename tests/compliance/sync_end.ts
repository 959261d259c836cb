/** What every end of src/sync must do: the machine relies on nothing else. */
import { assertEquals, assertTrue } from "../../src/base/testing.ts";
import { type Done, type End, isFailure, type Staged, type Step } from "../../src/sync/end.ts";
import { Snapshot } from "../../src/sync/snapshot.ts";

/** Two ends of one kind, and hands that work in their folders behind their backs. Texts are numbers. */
export interface TwoEnds extends AsyncDisposable {
  readonly ends: readonly [End, End];
  /** Writes a file, making folders above. */
  write(side: 0 | 1, path: string, text: string): Promise<void>;
  remove(side: 0 | 1, path: string): Promise<void>;
  read(side: 0 | 1, path: string): Promise<string | undefined>;
  /** Texts of what was displaced. */
  trash(side: 0 | 1): Promise<string[]>;
}

/** Registers the suite for one kind of end. */
export function testSyncEnd(name: string, create: () => Promise<TwoEnds>): void {
  const test = (what: string, run: (two: TwoEnds) => Promise<void>) =>
    Deno.test(`${name}: ${what}`, async () => {
      await using two = await create();
      await run(two);
    });

  test("a scan gives everything in order, and the same content for the same bytes", async (two) => {
    for (const [path, text] of [["b", "2"], ["a", "1"], ["a.b", "3"], ["d/e/f", "1"]] as const) {
      await two.write(0, path, text);
    }
    await two.write(1, "a", "1");
    const [alpha, beta] = [await look(two, 0), await look(two, 1)];
    assertEquals([...alpha.paths()].map(({ path }) => path), ["a", "a.b", "b", "d", "d/e", "d/e/f"]);
    assertTrue(alpha.same(0, beta, 0) && alpha.same(0, alpha, 5) && !alpha.same(0, alpha, 1));
    assertEquals(beta.count, 1);
  });

  test("an empty folder is empty, its own things notwithstanding", async (two) => {
    assertTrue((await two.ends[0].scan(UNKNOWN)).isEmpty);
    await two.write(0, "a", "1");
    assertTrue(!(await two.ends[0].scan(UNKNOWN)).isEmpty);
  });

  test("a staged file is seen by nobody before it is put", async (two) => {
    await two.write(0, "a", "1");
    const staged = stagedFrom(await look(two, 0), "a", 7);
    assertEquals((await two.ends[1].stage([staged], two.ends[0])).size, 0);
    assertEquals(await two.read(1, "a"), undefined);
    const [done] = await two.ends[1].change([{ do: "put", path: "a", slot: 7 }]);
    assertTrue(done !== undefined && !isFailure(done) && done.stamp !== undefined);
    assertEquals(await two.read(1, "a"), "1");
    await two.ends[1].flush();
    assertEquals(
      (await look(two, 1)).stamp(0).toHex(),
      done.stamp.toHex(),
      "the stamp is that of the next scan",
    );
  });

  test("what is not as it was scanned is not staged", async (two) => {
    await two.write(0, "a", "1");
    await two.write(0, "b", "2");
    const alpha = await look(two, 0);
    await two.write(0, "a", "3");
    await two.remove(0, "b");
    const failed = await two.ends[1].stage(
      [stagedFrom(alpha, "a", 0), stagedFrom(alpha, "b", 1)],
      two.ends[0],
    );
    assertEquals([...failed].map(([slot, { code }]) => [slot, code]), [[0, "SOURCE_CHANGED"], [
      1,
      "SOURCE_CHANGED",
    ]]);
  });

  test("a replacement keeps what it displaces, in the trash or where it is told", async (two) => {
    for (const path of ["a", "b"]) {
      await two.write(0, path, "1");
      await two.write(1, path, "2");
    }
    const [alpha, beta] = [await look(two, 0), await look(two, 1)];
    await two.ends[1].stage([stagedFrom(alpha, "a", 0), stagedFrom(alpha, "b", 1)], two.ends[0]);
    const done = await two.ends[1].change([
      { do: "put", path: "a", slot: 0, was: beta.stamp(0) },
      { do: "put", path: "b", slot: 1, was: beta.stamp(1), keep: "b.conflict" },
    ]);
    assertEquals(codes(done), ["", ""]);
    assertEquals([await two.read(1, "a"), await two.read(1, "b"), await two.read(1, "b.conflict")], [
      "1",
      "1",
      "2",
    ]);
    assertEquals(await two.trash(1), ["2"]);
  });

  test("nothing is changed that somebody has changed since the scan", async (two) => {
    for (const path of ["a", "b", "c", "d"]) {
      await two.write(0, path, "1");
      await two.write(1, path, "2");
    }
    const [alpha, beta] = [await look(two, 0), await look(two, 1)];
    await two.ends[1].stage([stagedFrom(alpha, "a", 0), stagedFrom(alpha, "b", 1)], two.ends[0]);
    for (const path of ["a", "b", "c", "d"]) await two.write(1, path, "33");
    await two.remove(1, "b");
    const done = await two.ends[1].change([
      { do: "put", path: "a", slot: 0, was: beta.stamp(0) },
      { do: "put", path: "b", slot: 1, was: beta.stamp(1) },
      { do: "take", path: "c", was: beta.stamp(2) },
      { do: "move", path: "e", from: "d", was: beta.stamp(3) },
      { do: "mode", path: "d", was: beta.stamp(3), mode: 0o600 },
    ]);
    assertEquals(codes(done), Array(5).fill("SOURCE_CHANGED"));
    assertEquals(await Promise.all(["a", "c", "d", "e"].map((path) => two.read(1, path))), [
      "33",
      "33",
      "33",
      undefined,
    ]);
    assertEquals(await two.trash(1), []);
  });

  test("where nothing should be, something is: it stays", async (two) => {
    await two.write(0, "a", "1");
    const alpha = await look(two, 0);
    await two.write(1, "b", "3");
    const stamp = (await look(two, 1)).stamp(0);
    await two.ends[1].stage([stagedFrom(alpha, "a", 0)], two.ends[0]);
    await two.write(1, "a", "2");
    const done = await two.ends[1].change([
      { do: "put", path: "a", slot: 0 },
      { do: "move", path: "a", from: "b", was: stamp },
      { do: "make", path: "a", mode: 0o755 },
    ]);
    assertTrue(
      codes(done).every((code) => code === "SOURCE_CHANGED" || code === "ALREADY_EXISTS"),
      `${codes(done)}`,
    );
    assertEquals([await two.read(1, "a"), await two.read(1, "b")], ["2", "3"]);
  });

  test("folders are made, moved whole, and dropped only when they are empty", async (two) => {
    await two.write(0, "d/a", "1");
    const steps: Step[] = [
      { do: "make", path: "d", mode: 0o755 },
      { do: "make", path: "e", mode: 0o755 },
      { do: "drop", path: "d" },
      { do: "drop", path: "e" },
      { do: "drop", path: "nowhere" },
    ];
    assertEquals(codes(await two.ends[0].change(steps)), ["", "", "SOURCE_CHANGED", "", ""]);
    const before = await look(two, 0);
    assertEquals(
      codes(await two.ends[0].change([{ do: "move", path: "f", from: "d", was: before.stamp(0) }])),
      [""],
    );
    assertEquals([await two.read(0, "f/a"), await two.read(0, "d/a")], ["1", undefined]);
  });

  test("what is taken goes to the trash; permissions are set", async (two) => {
    await two.write(0, "a", "1");
    await two.write(0, "b", "2");
    const before = await look(two, 0);
    const done = await two.ends[0].change([
      { do: "take", path: "a", was: before.stamp(0) },
      { do: "mode", path: "b", was: before.stamp(1), mode: 0o640 },
    ]);
    assertEquals(codes(done), ["", ""]);
    const after = await look(two, 0);
    assertEquals([after.count, after.mode(0), await two.trash(0)] as unknown, [1, 0o640, ["1"]]);
  });
}

const UNKNOWN = { snapshot: Snapshot.empty(2), side: 0 } as const;

async function look(two: TwoEnds, side: 0 | 1): Promise<Snapshot> {
  return (await two.ends[side].scan(UNKNOWN)).snapshot;
}

function codes(done: readonly Done[]): string[] {
  return done.map((one) => isFailure(one) ? one.code : "");
}

function stagedFrom(snapshot: Snapshot, path: string, slot: number): Staged {
  const row = snapshot.find(path);
  const [size, mtime, mode] = [snapshot.size(row), snapshot.mtime(row), snapshot.mode(row)];
  return { slot, path, isSymlink: false, size, mtime, mode, content: snapshot.content(row) };
}
