import { SimulatedClock } from "../base/clock.ts";
import { LockBook } from "../locks/mod.ts";
import { lockPattern, LocksBelow } from "./locks_below.ts";
import { assertEquals, assertThrows } from "../base/testing.ts";

Deno.test("LocksBelow gives what is locked in a root, refuses steps there, and the root itself", async () => {
  const dir = await Deno.makeTempDir();
  try {
    const clock = new SimulatedClock();
    using book = new LockBook(dir, { clock });
    const lock = (path: string) =>
      book.acquire({ path, isShared: true, owner: "me", ttlMs: 5000 }, { waitMs: 0 });
    const locks = new LocksBelow("/root/a", book);
    assertEquals(locks.paths(), []);
    await lock("/root/a/d/x");
    await lock("/root/ab/y");
    assertEquals(locks.paths(), ["d/x"]);
    const was = new Uint8Array(40);
    const refused = (path: string) => locks.refusals([{ do: "take", path, was }])[0]?.code;
    assertEquals(["d/x", "d/x/y", "d", "d/xy", "e"].map(refused), [
      "SOURCE_CHANGED",
      "SOURCE_CHANGED",
      "SOURCE_CHANGED",
      undefined,
      undefined,
    ]);
    assertEquals(
      locks.refusals([{ do: "move", path: "e", from: "d/x", was }])[0]?.message,
      'Cannot change "e": me has locked it',
    );
    assertEquals([...locks.seen.keys()], ["d/x"]);
    await clock.advance(5000);
    assertEquals([locks.paths(), refused("d/x")], [[], undefined]);
    await lock("/root");
    assertThrows(() => locks.paths(), "BUSY", "me has locked it");
    assertEquals(locks.keys.size, 2, "the one on the root as well, and none beside it");
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("lockPattern() is the pattern of one path", () => {
  assertEquals(lockPattern("d/x"), "/d/x");
  assertEquals(lockPattern("[a]*?!# \\x \n"), "/\\[a\\]\\*\\?\\!\\#\\ \\\\x\\ ?");
});
