/** Several receivers at once: into one folder, and with one journal. */
import { assertEquals, assertTrue } from "../../../src/base/testing.ts";
import { Dice } from "../hostile_manifests.ts";
import { Sandbox } from "../sandbox.ts";
import { assertSameTree, stagingFolders } from "../trees.ts";
import { OneProcess, type Task } from "./one_process.ts";
import { assertWhole, SLOW_LEVEL, someFiles, writeFiles } from "./small_tree.ts";

const MIB = 1024 * 1024;
const AT_ONCE = 3;

async function family() {
  const sandbox = await Sandbox.create();
  const files = someFiles(new Dice(5), 2 * MIB);
  const source = await writeFiles(sandbox, "from/album", files);
  const journal = `${await sandbox.folder("state")}/transfers.db`;
  return { sandbox, files, source, journal, [Symbol.asyncDispose]: () => sandbox[Symbol.asyncDispose]() };
}

async function together(tasks: readonly Task[]) {
  return await Promise.all(tasks.map(async (task) => {
    await using process = new OneProcess();
    return await process.run(task);
  }));
}

Deno.test("several receive the same into one folder at once, and all of it is there", async () => {
  await using it = await family();
  const into = await it.sandbox.folder("into");
  const { source, journal } = it;
  const task: Task = { source, into, journal, existing: "overwrite", level: SLOW_LEVEL };
  const ended = await together(new Array(AT_ONCE).fill(task));
  const told = ended.map((each) => [each?.code, each?.failed, each?.message]);
  assertEquals(told, new Array(AT_ONCE).fill([undefined, 0, undefined]));
  // A folder that was merged into keeps the time of the merging.
  assertEquals(await assertWhole(`${into}/album`, { now: it.files }), "new");
  assertEquals(await stagingFolders(into), []);
});

Deno.test("of several that receive a new folder of one name, one places it and the others say that it exists", async () => {
  await using it = await family();
  const into = await it.sandbox.folder("into");
  const { source, journal } = it;
  const ended = await together(new Array(AT_ONCE).fill({ source, into, journal, level: SLOW_LEVEL }));
  const well = ended.filter((each) => each?.code === undefined && each?.failed === 0);
  assertEquals(well.length, 1, JSON.stringify(ended));
  await assertSameTree(`${into}/album`, source);
});

Deno.test("several with one journal receive into folders of their own", async () => {
  await using it = await family();
  const { source, journal, sandbox } = it;
  const folders = await Promise.all(Array.from({ length: 4 }, (_, index) => sandbox.folder(`into-${index}`)));
  const ended = await together(
    folders.map((into) => ({ source, into, journal, level: SLOW_LEVEL, hurry: 100 })),
  );
  assertEquals(ended.map((each) => each?.code), new Array(4).fill(undefined));
  for (const into of folders) {
    await assertSameTree(`${into}/album`, source);
    assertEquals(await stagingFolders(into), []);
  }
});

Deno.test("parts of the same that several received before they were killed are not mixed", async () => {
  await using it = await family();
  const into = await it.sandbox.folder("into");
  const { source, journal, files } = it;
  const task: Task = { source, into, journal, existing: "overwrite", level: SLOW_LEVEL };
  for (let round = 0; round < 3; round++) {
    const kept = await Promise.all(Array.from({ length: AT_ONCE }, async (_, index) => {
      await using process = new OneProcess();
      let bytes = 0;
      await process.run(task, (told) => {
        if (told.event !== "progress") return;
        bytes = told.bytes;
        if (bytes > (index + 1) * (round + 1) * 100_000) process.kill();
      });
      return bytes;
    }));
    assertTrue(kept.some((bytes) => bytes > 0), "they were killed too early");
    if (await Deno.stat(`${into}/album`).then(() => true, () => false)) break;
  }
  await using process = new OneProcess();
  const ended = await process.run(task);
  assertEquals([ended?.code, ended?.failed], [undefined, 0]);
  assertEquals(await assertWhole(`${into}/album`, { now: files }), "new");
  const again = await process.run(task);
  assertEquals([again?.code, again?.failed], [undefined, 0]);
  assertEquals(await assertWhole(`${into}/album`, { now: files }), "new");
});
