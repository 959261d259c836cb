import { assertEquals } from "../base/testing.ts";
import { agreedSnapshot } from "./agreed.ts";
import type { Done } from "./end.ts";
import { ALPHA, BETA } from "./plan.ts";
import { reconcile } from "./reconcile.ts";
import { DIRECTORY } from "./snapshot.ts";
import { POLICY, snapshotOf } from "./testing.ts";

Deno.test("agreedSnapshot() takes stamps of either end and permissions of alpha, however many files are the same", () => {
  const ancestor = snapshotOf("a=1 b=1 c=1 d/x=1 d/y=1 d/z=2 e/f=1 g=1 h=1 i=1", { ends: 2 });
  const alpha = snapshotOf("a=1!600 b=1 c=1 d/x=1 d/y=7 d/z=2 e/f=1 g=1 h=1 i=1 k=1 l=1@5");
  const beta = snapshotOf("a=1!640 b=1 c=1 d/x=1 d/y=1 d/z=2 e/f=1 g=1 h=1 k=1 l=1@6");
  beta.columns.stamps[0]!.fill(9);
  alpha.columns.settled[alpha.find("c")] = 0;
  beta.columns.settled[beta.find("g")] = 0;
  const plan = reconcile({ ancestor, alpha, beta, policy: { ...POLICY, permissions: "executable" } });
  const placed = new Uint8Array(40).fill(8);
  const done = (side: 0 | 1): Done[] =>
    plan.changes[side].map((change): Done => change.do === "put" ? { stamp: placed } : {});
  const agreed = agreedSnapshot({ plan, ancestor, alpha, beta, done: [done(ALPHA), done(BETA)], now: 0 });
  const paths = [...agreed.paths()];
  // Beta has deleted "i", which it then is at alpha too.
  assertEquals(paths.map(({ path }) => path).join(" "), "a b c d d/x d/y d/z e e/f g h k l");
  for (const { row, path } of paths) {
    const [a, b] = [alpha.find(path), beta.find(path)];
    const isPlaced = path === "d/y";
    assertEquals(agreed.mode(row), alpha.mode(a), path);
    assertEquals(agreed.mtime(row), alpha.mtime(a), path);
    assertEquals(agreed.content(row), alpha.content(a), path);
    if (agreed.kind(row) === DIRECTORY) continue;
    assertEquals(agreed.stamp(row, ALPHA), alpha.stamp(a), path);
    assertEquals(agreed.stamp(row, BETA), isPlaced ? placed : beta.stamp(b), path);
    assertEquals(agreed.isSettled(row, ALPHA), path !== "c", path);
    assertEquals(agreed.isSettled(row, BETA), path !== "g" && !isPlaced, path);
  }
});

Deno.test("agreedSnapshot() forgets what was moved away, though what shall be in its place did not come", () => {
  const ancestor = snapshotOf("a=2", { ends: 2 });
  const alpha = snapshotOf("a=2"), beta = snapshotOf("a/c=3 b=2");
  const plan = reconcile({ ancestor, alpha, beta, policy: POLICY });
  assertEquals(plan.changes[ALPHA].map((change) => change.do).sort(), ["away", "make", "move", "put"]);
  // Somebody has moved it back meanwhile.
  const failure: Done = { code: "SOURCE_CHANGED", message: "it changed meanwhile" };
  const of = (moved: Done) => {
    const done = plan.changes[ALPHA].map((change): Done => change.do === "move" ? moved : failure);
    const agreed = agreedSnapshot({ plan, ancestor, alpha, beta, done: [done, []], now: 0 });
    return [...agreed.paths()].map(({ path }) => path);
  };
  assertEquals(of({ stamp: new Uint8Array(40).fill(8) }), ["b"]);
  assertEquals(of(failure), ["a"]);
});

Deno.test("agreedSnapshot() takes no stamp for proof that a change within a step of the clock leaves as it is", () => {
  const ancestor = snapshotOf("m=1 p=2!644 q=2!644", { ends: 2 });
  const alpha = snapshotOf("n=1 p=2!600 q=2!600 x=3"), beta = snapshotOf("m=1 p=2!644 q=2!644");
  for (const path of ["m", "p"]) beta.columns.settled[beta.find(path)] = 0;
  const plan = reconcile({ ancestor, alpha, beta, policy: POLICY });
  const settledAt = (mtimeMs: number, now: number) => {
    const stamp = new Uint8Array(40);
    new DataView(stamp.buffer).setBigInt64(24, BigInt(mtimeMs) * 1_000_000n, true);
    const done = plan.changes[BETA].map((): Done => ({ stamp }));
    const agreed = agreedSnapshot({ plan, ancestor, alpha, beta, done: [[], done], now });
    return [...agreed.paths()].filter(({ row }) => agreed.isSettled(row, BETA)).map(({ path }) => path);
  };
  assertEquals(
    settledAt(10_000, 60_000),
    ["q", "x"],
    "what was moved or got permissions is as the scan saw it",
  );
  assertEquals(settledAt(10_000, 11_000), ["q"], "written when the run began, as it may be again");
});
