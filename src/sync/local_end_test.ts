import { assertEquals, assertRejects } from "../base/testing.ts";
import { Sandbox } from "../../tests/e2e/sandbox.ts";
import { NativeQueue } from "../native/queue.ts";
import { LocalEnd, roomIn } from "./local_end.ts";
import { openOwnFolder } from "./own_folder.ts";
import { ALL_ABILITIES } from "./policy.ts";
import { Snapshot } from "./snapshot.ts";
import { synchronize } from "./synchronize.ts";
import { POLICY } from "./testing.ts";

/** Two folders whose disks may go, and runs of both. */
async function twoFolders() {
  await using stack = new AsyncDisposableStack();
  const sandbox = stack.use(await Sandbox.create());
  const queue = stack.use(NativeQueue.open());
  const roots = [await sandbox.folder("a"), await sandbox.folder("b")] as const;
  const ends: LocalEnd[] = [];
  for (const root of roots) {
    const { assertThere } = stack.use(await openOwnFolder(root));
    const fixed = { exclude: [], oneFileSystem: false, abilities: ALL_ABILITIES, now: Date.now };
    ends.push(new LocalEnd(root, { queue, assertThere, ...fixed }));
  }
  const held = stack.move();
  let ancestor = Snapshot.empty(2);
  return {
    sandbox,
    roots,
    /** `conflicted` is called between the scans and the changes when there is a conflict. */
    run: (conflicted?: () => void) =>
      synchronize({
        ends: [ends[0]!, ends[1]!],
        names: ["a", "b"],
        policy: POLICY,
        maxDelete: { share: 1 },
        ancestor,
        save: (agreed) => void (ancestor = agreed),
        onEvent: (event) => event.kind === "conflict" && conflicted?.(),
        now: Date.now,
      }),
    [Symbol.asyncDispose]: () => held.disposeAsync(),
  };
}

Deno.test("LocalEnd takes nothing for agreed that came to the place of a disk which went away meanwhile", async () => {
  await using two = await twoFolders();
  const { roots: [, beta], sandbox } = two;
  await sandbox.file("a/x", "1");
  await sandbox.file("b/x", "2");
  await sandbox.file("a/new", "3");
  const unmount = () => {
    Deno.renameSync(beta, `${beta}-disk`);
    Deno.mkdirSync(beta);
  };
  await assertRejects(() => two.run(unmount), "BRAKED", "mounted");
  await Deno.remove(beta, { recursive: true });
  await Deno.rename(`${beta}-disk`, beta);
  await two.run();
  assertEquals(await Deno.readTextFile(sandbox.path("a", "new")), "3", "nobody has deleted it");
  assertEquals(await Deno.readTextFile(sandbox.path("b", "new")), "3");
});

Deno.test("LocalEnd takes nothing for deleted that went away with its disk", async () => {
  await using two = await twoFolders();
  const { roots: [alpha], sandbox } = two;
  await sandbox.file("a/x", "1");
  await sandbox.file("a/y", "2");
  await two.run();
  await Deno.rename(alpha, `${alpha}-disk`);
  // What lies where the disk is mounted.
  await sandbox.file("a/y", "2");
  await assertRejects(() => two.run(), "BRAKED", "mounted");
  assertEquals(await Deno.readTextFile(sandbox.path("b", "x")), "1");
});

Deno.test("LocalEnd changes all names of one file in one round", async () => {
  await using two = await twoFolders();
  const { roots: [alpha, beta], sandbox } = two;
  await sandbox.file("a/0", "text");
  for (let name = 1; name < 9; name++) await Deno.link(`${alpha}/0`, `${alpha}/${name}`);
  await two.run();
  for (let name = 0; name < 6; name++) await Deno.remove(`${beta}/${name}`);
  await sandbox.file("b/6", "another text");
  await Deno.chmod(`${beta}/7`, 0o600);
  await Deno.rename(`${beta}/8`, `${beta}/moved`);
  const { postponed, rounds } = await two.run();
  assertEquals({ postponed, rounds }, { postponed: 0, rounds: 1 });
  const names = await Array.fromAsync(Deno.readDir(alpha), ({ name }) => name);
  assertEquals(names.sort(), [".wormhole-sync", "6", "7", "moved"]);
  assertEquals(await Deno.readTextFile(sandbox.path("a", "6")), "another text");
});

Deno.test("roomIn() leaves something free on every disk, and lets small ones be used", () => {
  const mib = 1024 * 1024;
  const rows: [what: string, available: number, total: number, room: number][] = [
    ["a large disk", 500_000 * mib, 1_000_000 * mib, 499_936 * mib],
    ["a large one that is nearly full", 60 * mib, 1_000_000 * mib, 0],
    ["a stick", 62 * mib, 64 * mib, 60 * mib],
    ["a stick that is full", mib, 64 * mib, 0],
  ];
  for (const [what, available, total, room] of rows) assertEquals(roomIn({ available, total }), room, what);
});
