/** Power cuts in the middle of a receive: what was not on the disk is gone, what was said to be there is there. */
import { encodeName } from "../../../src/base/names.ts";
import { assertEquals, assertTrue } from "../../../src/base/testing.ts";
import { Journal } from "../../../src/store/mod.ts";
import { Dice } from "../hostile_manifests.ts";
import { Sandbox, succeeds } from "../sandbox.ts";
import { stagingFolders } from "../trees.ts";
import { OneProcess, type Task, type Told, transferHere } from "./one_process.ts";
import type { Scenario } from "./scenario.ts";
import { assertWhole, CHUNK_BYTES, sizeOf, SLOW_LEVEL, someFiles, writeFiles } from "./small_tree.ts";

const MIB = 1024 * 1024;
const IMAGE_BYTES = 64 * MIB;

/** As xfstests' godown: FS_IOC_SHUTDOWN without flushing the log, so that ext4 forgets all that is not on the disk. */
const GO_DOWN =
  "import fcntl,os,struct,sys;d=os.open(sys.argv[1],0);sys.stdin.read(1);fcntl.ioctl(d,0x8004587d,struct.pack('I',2))";

/** A file system of its own, in a file, whose power can be cut. */
export class CuttableDisk {
  private constructor(readonly image: string, readonly path: string) {}

  /** Makes and mounts it; undefined where this user cannot. */
  static async make(sandbox: Sandbox): Promise<CuttableDisk | undefined> {
    const image = sandbox.path("image");
    await Deno.writeFile(image, new Uint8Array());
    await Deno.truncate(image, IMAGE_BYTES);
    if (!await succeeds("mkfs.ext4", ["-q", "-F", "-b", "4096", image])) return undefined;
    const disk = new CuttableDisk(image, await sandbox.folder("disk"));
    sandbox.defer(() => succeeds("umount", ["-l", disk.path]));
    return await disk.mount() ? disk : undefined;
  }

  /** What mounting replays of the file system's own journal is what a machine finds that starts again. */
  mount(): Promise<boolean> {
    return succeeds("mount", ["-o", "loop", this.image, this.path]);
  }

  async unmount(): Promise<void> {
    assertTrue(await succeeds("umount", [this.path]), "the disk is busy");
  }

  /** Makes ready to cut the power at once; what is not on the disk when that resolves never gets there. */
  armed(): () => Promise<void> {
    const child = new Deno.Command("python3", { args: ["-c", GO_DOWN, this.path], stdin: "piped" }).spawn();
    return async () => {
      const writer = child.stdin.getWriter();
      await writer.write(new Uint8Array([1]));
      await writer.close();
      assertTrue((await child.status).success, "the power cannot be cut");
    };
  }

  /** Fails unless the file system is sound; it must not be mounted. */
  async assertSound(): Promise<void> {
    assertTrue(await succeeds("e2fsck", ["-fn", this.image]), "e2fsck complains");
  }
}

/** See {@linkcode Scenario.about}. */
export const POWER: Scenario = {
  name: "power",
  about:
    "one power cut per run: each file is old, new or absent, what the journal knows is there, and it converges",
  lanes: 2,
  async unable() {
    if (Deno.uid() !== 0) return "mounting a file system needs root";
    await using sandbox = await Sandbox.create();
    const disk = await CuttableDisk.make(sandbox);
    if (disk === undefined) return "there is no ext4 or no loop device to mount it with";
    const can = await disk.armed()().then(() => true, () => false);
    await disk.unmount();
    return can ? undefined : "this kernel cannot shut ext4 down";
  },
  async run(seed, tally) {
    const dice = new Dice(seed);
    await using sandbox = await Sandbox.create();
    const disk = await CuttableDisk.make(sandbox);
    if (disk === undefined) throw new Error("the disk cannot be made");
    const files = someFiles(dice, (1 + dice.below(6)) * MIB);
    const source = await writeFiles(sandbox, "from/album", files);
    const into = await sandbox.folder("disk/into");
    const before = dice.once(2) ? new Map([["large", new Uint8Array(70_000).fill(1)]]) : undefined;
    if (before) await writeFiles(sandbox, "disk/into/album", before);
    const state = await sandbox.folder(dice.once(2) ? "disk/state" : "state");
    assertTrue(await succeeds("sync", ["-f", disk.path]));
    const task: Task = {
      source,
      into,
      journal: `${state}/transfers.db`,
      ...before && { existing: "overwrite" },
      hurry: 100,
    };
    const done = await receiveUntilCut(dice, { task, disk, size: sizeOf(files) });
    await disk.unmount();
    assertTrue(await disk.mount(), "the disk cannot be mounted any more");
    const found = await assertWhole(`${into}/album`, { now: files, before });
    if (done) assertEquals(found, "new", "recv said that all was there");
    tally.add(done ? `cut after the end, then ${found}` : `cut in the middle, then ${found}`);
    const known = acknowledged(task);
    if (known > 0) tally.add("cuts with something acknowledged");
    await goOn({ ...task, bootId: "second", existing: "overwrite" }, {
      known: found === "new" || found === "mixed" ? 0 : known,
      size: sizeOf(files),
    });
    assertEquals(await assertWhole(`${into}/album`, { now: files, before }), "new");
    assertEquals(await stagingFolders(into), []);
    await disk.unmount();
    await disk.assertSound();
  },
};

/** Begins to receive, and cuts the power at some moment; tells whether the end was told before. */
async function receiveUntilCut(
  dice: Dice,
  { task, disk, size }: { task: Task; disk: CuttableDisk; size: number },
): Promise<boolean> {
  const when = dice.pick(["receiving", "receiving", "receiving", "placing", "ended"]);
  const bytes = dice.below(size);
  const delayMs = dice.below(when === "receiving" ? 60 : 12);
  await using process = new OneProcess();
  const cut = disk.armed();
  const due = Promise.withResolvers<void>();
  let done = false;
  const onTold = (told: Told) => {
    if (told.event === "ended") done = told.code === undefined && told.failed === 0;
    const isDue = told.event === "ended" || when === "placing" && told.phase === "placing" ||
      when === "receiving" && told.bytes >= bytes;
    if (isDue) due.resolve();
  };
  const running = process.run({ ...task, level: SLOW_LEVEL }, onTold);
  await Promise.race([due.promise, running]);
  if (when !== "ended") await new Promise((resolve) => setTimeout(resolve, delayMs));
  // What is told from now on comes too late to count.
  const told = done;
  await cut();
  process.kill();
  await running;
  return told;
}

/** Bytes of which the journal says, after the system has started again, that they are on the disk. */
function acknowledged({ journal: path, into }: Task): number {
  using journal = Journal.open(path!, { bootId: "second" });
  let bytes = 0;
  for (const { id } of journal.list(new Uint8Array(encodeName(into)))) {
    for (const blob of journal.verified(id)) {
      const view = new DataView(blob.buffer, blob.byteOffset, blob.length);
      for (let at = 0; at < blob.length; at += 48) bytes += view.getUint32(at + 4, true);
    }
  }
  return bytes;
}

/** Receives the rest, of which no more may come than was not acknowledged. */
async function goOn(task: Task, { known, size }: { known: number; size: number }): Promise<void> {
  let ended: Told & { event: "ended" } | undefined;
  await transferHere(task, (told) => void (told.event === "ended" && (ended = told)));
  assertEquals([ended?.code, ended?.message, ended?.failed], [undefined, undefined, 0]);
  const most = (size - known) * 1.1 + CHUNK_BYTES;
  assertTrue(ended!.wire! <= most, `${known} of ${size} bytes were acknowledged, yet ${ended!.wire} came`);
}
