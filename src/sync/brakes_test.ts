import { assertEquals } from "../base/testing.ts";
import { brake, DEFAULT_MAX_DELETE } from "./brakes.ts";
import { reconcile } from "./reconcile.ts";
import { type Snapshot, STAMP_BYTES } from "./snapshot.ts";
import { POLICY, snapshotOf } from "./testing.ts";
import type { Policy } from "./policy.ts";

/** Gives what speaks against a run of these folders. */
function reasonOf(
  { before, alpha, beta, policy = POLICY }: {
    before: Snapshot;
    alpha: Snapshot;
    beta: Snapshot;
    policy?: Policy;
  },
): string | undefined {
  const plan = reconcile({ ancestor: before, alpha, beta, policy });
  const scanned = [alpha, beta].map((snapshot) => ({
    snapshot,
    problems: [],
    isEmpty: snapshot.count === 0,
  }));
  const [a, b] = scanned as [typeof scanned[0], typeof scanned[0]];
  const names = ["A", "B"] as const;
  return brake({ ancestor: before, scanned: [a, b], plan, maxDelete: DEFAULT_MAX_DELETE, names });
}

/** Says that what is below a folder is on another disk. */
function mounted(snapshot: Snapshot, folder: string, disk: number): Snapshot {
  for (const { row, path } of snapshot.paths()) {
    if (!path.startsWith(`${folder}/`)) continue;
    for (const stamps of snapshot.columns.stamps) stamps[STAMP_BYTES * row] = disk;
  }
  return snapshot;
}

Deno.test("brake() stops before an empty end empties the other, whatever is known of them", () => {
  const [nothing, unknown] = [snapshotOf(""), snapshotOf("", { ends: 2 })];
  const replica = { ...POLICY, mode: "one-way-replica" } as const;
  const both = snapshotOf("a=1 b=2", { ends: 2 });
  const beta = snapshotOf("a=1 b=2");
  const all = '"A" is empty, and all 2 files of "B" would be deleted';
  assertEquals(reasonOf({ before: both, alpha: nothing, beta }), all);
  assertEquals(reasonOf({ before: unknown, alpha: nothing, beta, policy: replica }), all);
  assertEquals(reasonOf({ before: unknown, alpha: nothing, beta }), undefined, "nothing would be deleted");
});

Deno.test("brake() stops where a disk within an end is gone with all that was on it", () => {
  const text = "a=1 b=2 c=3 d=4 e=5 m/x=6 m/y=7";
  const before = mounted(snapshotOf(text, { ends: 2 }), "m", 9);
  const beta = snapshotOf(text);
  assertEquals(
    reasonOf({ before, alpha: snapshotOf("a=1 b=2 c=3 d=4 e=5 m/"), beta }),
    'all 2 files of another disk within "A" went with it (is it mounted?), and would be deleted in "B"',
  );
  const one = mounted(snapshotOf("a=1 b=2 c=3 d=4 e=5 m/x=6"), "m", 9);
  assertEquals(reasonOf({ before, alpha: one, beta }), undefined, "the disk is there");
  // Where disks get other numbers with each start, nothing is told by them.
  const renumbered = mounted(snapshotOf("a=1 b=2 c=3 d=4 m/x=6 m/y=7"), "m", 8);
  assertEquals(reasonOf({ before, alpha: renumbered, beta }), undefined);
  const moved = snapshotOf("a=1 b=2 c=3 d=4 e=5 n/x=6 n/y=7");
  assertEquals(reasonOf({ before, alpha: moved, beta }), undefined, "moved to this one");
});
