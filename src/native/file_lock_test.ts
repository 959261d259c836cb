import { assertEquals, assertRejects, assertTrue } from "../base/testing.ts";
import { FileLock } from "./file_lock.ts";

Deno.test("FileLock.try() gives an exclusive lock once, and shared ones beside each other", async () => {
  const dir = await Deno.makeTempDir();
  try {
    const path = `${dir}/lock`;
    {
      using lock = FileLock.try(path);
      assertTrue(lock !== undefined);
      assertEquals(FileLock.try(path), undefined);
      assertEquals(FileLock.try(path, { exclusive: false }), undefined);
      assertEquals((await Deno.stat(path)).mode! & 0o777, 0o600);
    }
    using one = FileLock.try(path, { exclusive: false });
    using other = FileLock.try(path, { exclusive: false });
    assertTrue(one !== undefined && other !== undefined);
    assertEquals(FileLock.try(path), undefined);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("FileLock.try() tells what the disk says", async () => {
  await assertRejects(
    () => Promise.resolve().then(() => FileLock.try("/nowhere/lock")),
    "NOT_FOUND",
    'Cannot lock "/nowhere/lock"',
  );
});
