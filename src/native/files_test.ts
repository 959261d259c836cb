import { diskSpace, existingNames } from "./files.ts";
import { NativeQueue } from "./queue.ts";
import { assertEquals, assertRejects, assertTrue } from "../base/testing.ts";

Deno.test("diskSpace() knows the room of a folder's disk", async () => {
  await using queue = NativeQueue.open();
  const { available, total } = await diskSpace(queue, ".");
  assertTrue(total > 0 && available >= 0 && available <= total);
  await assertRejects(() => diskSpace(queue, "/no/such"), "NOT_FOUND");
});

Deno.test("existingNames() gives what is there, dangling links too", async () => {
  await using queue = NativeQueue.open();
  const folder = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${folder}/été`, "");
    await Deno.symlink("nowhere", `${folder}/link`);
    assertEquals(await existingNames(queue, folder, ["a", "link", "été"]), ["link", "été"]);
    await assertRejects(() => existingNames(queue, folder, ["../x"]), "PATH_ESCAPES");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
