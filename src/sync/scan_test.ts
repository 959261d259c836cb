import { assertEquals, assertRejects, assertTrue } from "../base/testing.ts";
import { Sandbox } from "../../tests/e2e/sandbox.ts";
import { NativeQueue } from "../native/queue.ts";
import { openWalk } from "./open_walk.ts";
import { OWN_FOLDER } from "./places.ts";
import { scanFolder } from "./scan.ts";
import { Snapshot, SnapshotBuilder } from "./snapshot.ts";

Deno.test("scanFolder() takes contents of what is as it was from what is known, and sees for itself what is there", async () => {
  await using sandbox = await Sandbox.create();
  await using queue = NativeQueue.open();
  const names = Array.from({ length: 40 }, (_, i) => `d${i % 4}/f${i}`);
  for (const name of [...names, "a", "z", `${OWN_FOLDER}/own`]) await sandbox.file(`root/${name}`, name);
  await Deno.symlink("a", sandbox.path("root", "link"));
  const root = sandbox.path("root");
  // What is written now is older than two seconds, so that its stamp is proof.
  const options = { queue, exclude: [], oneFileSystem: false, now: () => Date.now() + 10_000 };
  const scan = async (snapshot: Snapshot, side: 0 | 1 = 0) =>
    await scanFolder(root, { snapshot, side }, options);
  const first = await scan(Snapshot.empty(1));
  assertEquals(first.isKnown, false);
  const paths = [...first.snapshot.paths()].map(({ path }) => path);
  assertEquals(paths.length, 40 + 4 + 3);
  const again = await scan(first.snapshot);
  assertEquals(again.isKnown, true);
  assertEquals(again.snapshot.columns, first.snapshot.columns);

  // As an ancestor: this folder is its second end, whose times and permissions are none of its own.
  const ancestor = ancestorOf(first.snapshot);
  const asSecond = await scan(ancestor, 1);
  assertEquals(asSecond.isKnown, true);
  assertEquals(asSecond.snapshot.columns, first.snapshot.columns);

  await sandbox.file("root/d1/f13", "another");
  await sandbox.file("root/d1/f130", "new");
  await Deno.remove(sandbox.path("root", "d2", "f2"));
  await Deno.chmod(sandbox.path("root", "z"), 0o600);
  await Deno.remove(sandbox.path("root", "d3"), { recursive: true });
  await sandbox.file("root/d3", "a file now");
  const changed = await scan(first.snapshot);
  const fresh = await scan(Snapshot.empty(1));
  assertEquals(changed.snapshot.columns, fresh.snapshot.columns);
  assertEquals(changed.isKnown, false);
  assertEquals((await scan(changed.snapshot)).isKnown, true);
  const at = changed.snapshot.find("d1/f13");
  assertTrue(
    changed.snapshot.content(at).toHex() !== first.snapshot.content(first.snapshot.find("d1/f13")).toHex(),
  );
});

Deno.test("scanFolder() fails where the root cannot be read, which is not empty then", async () => {
  await using sandbox = await Sandbox.create();
  await using queue = NativeQueue.open();
  const root = await sandbox.folder("root");
  const options = { queue, exclude: [], oneFileSystem: false, now: Date.now };
  const ahead = await openWalk(root, [], options);
  await Deno.remove(root);
  const known = { snapshot: Snapshot.empty(1), side: 0 } as const;
  await assertRejects(() => scanFolder(root, known, { ...options, ahead }), "NOT_FOUND", root);
});

/** Gives the same with another end before it, whose times and permissions the rows have. */
function ancestorOf(snapshot: Snapshot): Snapshot {
  const builder = new SnapshotBuilder({ ends: 2 });
  for (let row = 0; row < snapshot.count; row++) {
    builder.add({
      kind: snapshot.kind(row),
      depth: snapshot.depth(row),
      name: snapshot.nameBytes(row),
      mode: row % 3 === 0 ? snapshot.mode(row) : 0o640,
      size: snapshot.size(row),
      mtime: row % 5 === 0 ? 1n : snapshot.mtime(row),
      content: snapshot.content(row),
      stamps: [new Uint8Array(40).fill(9), snapshot.stamp(row)],
      settled: 3 & -(snapshot.columns.settled[row]!),
    });
  }
  return builder.finish();
}
