import { assertEquals } from "../base/testing.ts";
import { CHUNK_BYTES } from "../wire/mod.ts";
import { bytesOfChunks, chunkList, wholeChunks } from "./chunk_list.ts";

Deno.test("chunkList() says where each chunk is and when the list is complete", () => {
  const size = 2 * CHUNK_BYTES + 1;
  const first = chunkList({ entry: 3, offset: 0, hashes: new Uint8Array(64), size });
  assertEquals([first.end, first.message.last], [2 * CHUNK_BYTES, false]);
  const second = chunkList({ entry: 3, offset: first.end, hashes: new Uint8Array(32), size });
  assertEquals([second.end, second.message.last], [size, true]);
  assertEquals(new BigUint64Array(second.message.offsets.buffer as ArrayBuffer)[0], BigInt(2 * CHUNK_BYTES));
  assertEquals(new Uint32Array(second.message.sizes.buffer as ArrayBuffer)[0], 1);
  assertEquals(chunkList({ entry: 0, offset: 0, hashes: new Uint8Array(), size: 0 }).message.last, true);
});

Deno.test("bytesOfChunks() counts bits within the file only", () => {
  const cases: [description: string, bitmap: number[], size: number, bytes: number][] = [
    ["nothing", [], 100, 0],
    ["a short file", [1], 100, 100],
    ["the short last chunk", [0b10], CHUNK_BYTES + 5, 5],
    ["bits beyond the end", [255, 255], CHUNK_BYTES + 5, CHUNK_BYTES + 5],
    ["chunk 8", [0, 1], 9 * CHUNK_BYTES, CHUNK_BYTES],
    ["an empty file", [255], 0, 0],
  ];
  for (const [description, bitmap, size, bytes] of cases) {
    assertEquals(bytesOfChunks(Uint8Array.from(bitmap), size), bytes, description);
  }
});

Deno.test("wholeChunks() tells which chunks lie in no gap", () => {
  const size = 9 * CHUNK_BYTES + 1;
  const gaps = [{ offset: CHUNK_BYTES - 1, length: 2 }, { offset: 5 * CHUNK_BYTES, length: CHUNK_BYTES }];
  assertEquals(wholeChunks(size, gaps), new Uint8Array([0b11011100, 0b11]));
  assertEquals(wholeChunks(size, []), new Uint8Array([255, 3]));
  assertEquals(wholeChunks(size, [{ offset: 0, length: size }]), undefined);
  assertEquals(wholeChunks(100, [{ offset: 99, length: 1 }]), undefined);
});
