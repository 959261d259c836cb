import { assertEquals } from "../../base/testing.ts";
import type { KnownFile } from "../../store/mod.ts";
import { CHUNK_BYTES, MAX_LIST_CHUNKS } from "../../wire/mod.ts";
import { type Clues, judge, type OldFile } from "./candidates.ts";

const MIB = 1024 * 1024;
const encoder = new TextEncoder();

function stamp(fill: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(40).fill(fill);
}

function clues(size: number, rest: Partial<Omit<Clues, "file">> = {}): Clues {
  return { file: { entry: 1, size, path: ["a"] }, sizeKnown: false, ...rest };
}

function match(path: string, { fill = 1, settled = true } = {}): KnownFile {
  const chunks = { chunking: CHUNK_BYTES, size: MIB, ids: new Uint8Array(32) };
  return { path: encoder.encode(path), stamp: stamp(fill), settled, chunks };
}

function old(path: string, size: number, fill = 1): OldFile {
  return { path: encoder.encode(path), size, stamp: stamp(fill) };
}

Deno.test("judge() decides by what is known of a file", () => {
  const kept = { type: "keep", stamp: stamp(1) };
  const [placed, fixed, content] = [undefined, "fixed", "content"].map((question) => ({
    type: "hold",
    question,
  }));
  const ask = { type: "ask" };
  const cases: [string, unknown, Clues][] = [
    ["nothing", ask, clues(MIB)],
    ["the same version at its place", kept, clues(MIB, { match: match("/a"), old: old("/a", MIB) })],
    ["the same version elsewhere", placed, clues(MIB, { match: match("/b") })],
    [
      "elsewhere, and something at its place",
      placed,
      clues(MIB, { match: match("/b"), old: old("/a", MIB) }),
    ],
    ["at its place, but changed", placed, clues(MIB, { match: match("/a"), old: old("/a", MIB, 2) })],
    [
      "at its place, but in doubt",
      placed,
      clues(MIB, { match: match("/a", { settled: false }), old: old("/a", MIB) }),
    ],
    ["the size", fixed, clues(MIB, { sizeKnown: true })],
    ["the size, at its place", fixed, clues(MIB, { old: old("/a", MIB) })],
    ["another size at its place", content, clues(MIB, { old: old("/a", MIB + 1) })],
    [
      "another size at its place, and the size elsewhere",
      fixed,
      clues(MIB, { old: old("/a", 2 * MIB), sizeKnown: true }),
    ],
    ["something small at its place", ask, clues(MIB, { old: old("/a", 100) })],
    ["the size, too large for a list", ask, clues(MAX_LIST_CHUNKS * CHUNK_BYTES + 1, { sizeKnown: true })],
    [
      "too large to be cut by content",
      ask,
      clues(MAX_LIST_CHUNKS * CHUNK_BYTES / 8, { old: old("/a", MIB) }),
    ],
  ];
  for (const [known, verdict, of] of cases) assertEquals<unknown>(judge(of), verdict, known);
});
