import { hashBuffer, hashChunks, Hasher, hashFile, hashFiles } from "./hash.ts";
import { NativeQueue } from "./queue.ts";
import { assertEquals, assertRejects, assertThrows } from "../base/testing.ts";

const EMPTY = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262";

function hex(bytes: Uint8Array): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

Deno.test("hashBuffer() gives BLAKE3", () => {
  assertEquals(hex(hashBuffer(new Uint8Array())), EMPTY);
  assertEquals(
    hex(hashBuffer(new Uint8Array([0]))),
    "2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213",
  );
});

Deno.test("Hasher.finish() gives the hash of all parts, once", () => {
  const bytes = crypto.getRandomValues(new Uint8Array(5000));
  using hasher = new Hasher();
  hasher.update(bytes.subarray(0, 17)).update(new Uint8Array()).update(bytes.subarray(17));
  assertEquals(hasher.finish(), hashBuffer(bytes));
  assertThrows(() => hasher.update(bytes), "CLOSED");
  assertThrows(() => hasher.finish(), "CLOSED");
});

Deno.test("hashFile() and hashChunks() hash ranges of a file", async () => {
  await using queue = NativeQueue.open();
  const folder = await Deno.makeTempDir();
  try {
    const [path, bytes] = [`${folder}/é`, crypto.getRandomValues(new Uint8Array(50_000))];
    await Deno.writeFile(path, bytes);
    assertEquals(await hashFile(queue, path), { hash: hashBuffer(bytes), bytes: 50_000 });
    const part = await hashFile(queue, path, { offset: 10, length: 100 });
    assertEquals(part, { hash: hashBuffer(bytes.subarray(10, 110)), bytes: 100 });
    const { hashes, size } = await hashChunks(queue, path, { chunkBytes: 40_000 });
    assertEquals(size, 50_000);
    assertEquals(hashes.subarray(0, 32), hashBuffer(bytes.subarray(0, 40_000)));
    assertEquals(hashes.subarray(32), hashBuffer(bytes.subarray(40_000)));
    await assertRejects(() => hashFile(queue, `${folder}/no`), "NOT_FOUND", "Cannot open");
    await assertRejects(() => hashFile(queue, folder), "IS_DIRECTORY", folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("hashChunks() cuts by content, and stamps what it read", async () => {
  await using queue = NativeQueue.open();
  const folder = await Deno.makeTempDir();
  try {
    const path = `${folder}/file`;
    const bytes = new Uint8Array(3 << 20);
    for (let at = 0; at < bytes.length; at += 65_536) crypto.getRandomValues(bytes.subarray(at, at + 65_536));
    await Deno.writeFile(path, bytes);
    const { hashes, sizes, size, stamp } = await hashChunks(queue, path, { chunkBytes: "cdc" });
    assertEquals([size, sizes!.reduce((sum, length) => sum + length, 0)], [bytes.length, bytes.length]);
    assertEquals(hashes.subarray(0, 32), hashBuffer(bytes.subarray(0, sizes![0])));
    assertEquals((await hashChunks(queue, path, { chunkBytes: 1 << 20 })).stamp, stamp);
    await Deno.writeFile(path, bytes.subarray(1));
    const changed = await hashChunks(queue, path, { chunkBytes: "cdc" });
    assertEquals([changed.size, changed.stamp.length], [bytes.length - 1, stamp.length]);
    assertEquals(hex(changed.stamp) === hex(stamp), false);
    await assertRejects(() => hashChunks(queue, folder, { chunkBytes: "cdc" }), "UNSUPPORTED", folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("hashFiles() gives each file's checksum or failure, in order", async () => {
  await using queue = NativeQueue.open();
  const folder = await Deno.makeTempDir();
  try {
    const paths = Array.from({ length: 40 }, (_, i) => `${folder}/${i}`);
    for (const [i, path] of paths.entries()) await Deno.writeFile(path, new Uint8Array(i * 1000).fill(i));
    const sums = await hashFiles(queue, [...paths, `${folder}/no`, folder]);
    for (let i = 0; i < 40; i++) {
      const hash = hashBuffer(new Uint8Array(i * 1000).fill(i)).toHex();
      assertEquals(sums[i], { hash, bytes: i * 1000 });
    }
    assertEquals(sums.slice(40).map((sum) => "code" in sum && sum.code), ["NOT_FOUND", "UNSUPPORTED"]);
    assertEquals(await hashFiles(queue, []), []);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("hashFile() stops when aborted", async () => {
  await using queue = NativeQueue.open();
  const path = await Deno.makeTempFile();
  try {
    await Deno.truncate(path, 2 ** 40);
    const controller = new AbortController();
    const hashing = hashFile(queue, path, { signal: controller.signal });
    controller.abort(new Error("enough"));
    await assertRejects(() => hashing, undefined, "enough");
  } finally {
    await Deno.remove(path);
  }
});
