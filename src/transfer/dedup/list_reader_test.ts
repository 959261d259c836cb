import { assertEquals, assertThrows } from "../../base/testing.ts";
import { CHUNK_BYTES, MAX_LIST_CHUNKS, type MessageOf } from "../../wire/mod.ts";
import { type Cut, isListable, ListReader } from "./list_reader.ts";

const KIB = 1024;

/** Makes a part of a list of chunks of these sizes, the first of which begins at `at`. */
function part(
  sizes: number[],
  { size, at = 0, last = true, ...rest }:
    & { size: number; at?: number; last?: boolean }
    & Partial<
      MessageOf<"manifest_response">
    >,
): MessageOf<"manifest_response"> {
  const offsets = sizes.map((_, i) => BigInt(at + sizes.slice(0, i).reduce((sum, each) => sum + each, 0)));
  return {
    type: "manifest_response",
    entry: 3,
    size,
    offsets: new Uint8Array(new BigUint64Array(offsets).buffer),
    sizes: new Uint8Array(new Uint32Array(sizes).buffer),
    hashes: new Uint8Array(32 * sizes.length).fill(at / KIB % 251 + 1),
    last,
    ...rest,
  };
}

function read(size: number, cut: Cut, ...parts: MessageOf<"manifest_response">[]) {
  const reader = new ListReader({ entry: 3, size, cut });
  return parts.map((each) => reader.read(each)).at(-1);
}

Deno.test("ListReader gives a list that comes in parts", () => {
  const size = 2 * CHUNK_BYTES + 5;
  const first = part([CHUNK_BYTES], { size, last: false });
  const list = read(size, "fixed", first, part([CHUNK_BYTES, 5], { size, at: CHUNK_BYTES }))!;
  assertEquals([...list.sizes], [CHUNK_BYTES, CHUNK_BYTES, 5]);
  assertEquals([list.ids[0], list.ids.length], [1, 96]);
  assertEquals([...read(0, "fixed", part([], { size: 0 }))!.sizes], []);
  const cut = [256 * KIB, 300 * KIB, CHUNK_BYTES, 1];
  const sum = cut.reduce((all, each) => all + each, 0);
  assertEquals([...read(sum, "content", part(cut, { size: sum }))!.sizes], cut);
});

Deno.test("ListReader refuses what no honest sender says", () => {
  const MIB = 1024 * KIB;
  const size = 8 * MIB;
  const whole = [CHUNK_BYTES, CHUNK_BYTES];
  const columns = part(whole, { size });
  const lies: [words: string, Cut, ...MessageOf<"manifest_response">[]][] = [
    ["is of a file of", "fixed", part(whole, { size: size + 1 })],
    ["is longer", "fixed", part([...whole, 1], { size })],
    ["does not end", "fixed", part(whole, { size, last: false })],
    ["does not end", "fixed", part([CHUNK_BYTES], { size })],
    ["a part without chunks", "fixed", part([], { size, last: false })],
    ["does not end", "fixed", part([], { size })],
    ["is longer", "fixed", part([CHUNK_BYTES, 0, CHUNK_BYTES], { size })],
    ["too short", "fixed", part([MIB, MIB, 2 * MIB, CHUNK_BYTES], { size })],
    ["too short", "content", part([255 * KIB, size - 255 * KIB], { size })],
    ["too long", "content", part([5 * MIB, 3 * MIB], { size })],
    ["a gap", "fixed", part([CHUNK_BYTES], { size, at: CHUNK_BYTES })],
    ["a gap", "fixed", part([CHUNK_BYTES], { size, last: false }), part([CHUNK_BYTES], { size })],
    ["different lengths", "fixed", { ...columns, hashes: new Uint8Array(32) }],
    ["different lengths", "fixed", { ...columns, hashes: new Uint8Array(96) }],
    ["different lengths", "fixed", { ...columns, offsets: new Uint8Array(8) }],
  ];
  for (const [words, cut, ...parts] of lies) assertThrows(() => read(size, cut, ...parts), "PROTOCOL", words);
});

Deno.test("isListable() caps what a list may take", () => {
  assertEquals(isListable(MAX_LIST_CHUNKS * CHUNK_BYTES, "fixed"), true);
  assertEquals(isListable(MAX_LIST_CHUNKS * CHUNK_BYTES + 1, "fixed"), false);
  assertEquals([32, 33].map((gib) => isListable(gib * 1024 * 1024 * KIB, "content")), [true, false]);
});
