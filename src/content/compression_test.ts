import { assertEquals } from "../base/testing.ts";
import { chooseCodec, type Codec, type CompressionState } from "./compression.ts";

const both = new Set<Codec>(["raw", "zstd", "lz4"]);
const state: CompressionState = { mode: "auto", level: 3, supported: both };

Deno.test("chooseCodec() follows the person's mode", () => {
  assertEquals(chooseCodec({ ...state, mode: "never", blockedShare: 1 }).codec, "raw");
  assertEquals(chooseCodec({ ...state, mode: "always" }), { codec: "zstd", level: 3 });
  assertEquals(chooseCodec({ ...state, mode: "always", supported: new Set<Codec>(["lz4"]) }).codec, "lz4");
  assertEquals(chooseCodec({ ...state, mode: "always", supported: new Set<Codec>() }).codec, "raw");
});

Deno.test("chooseCodec() compresses harder step by step while the link is the bottleneck", () => {
  let current = chooseCodec(state);
  const codecs = [current.codec];
  for (const blockedShare of [0.9, 0.9, 0.9, 0.3, 0.05, 0.05]) {
    current = chooseCodec({ ...state, blockedShare, current });
    codecs.push(current.codec);
  }
  assertEquals(codecs, ["raw", "lz4", "zstd", "zstd", "zstd", "lz4", "raw"]);
});

Deno.test("chooseCodec() uses fast zstd when there is no lz4", () => {
  const supported = new Set<Codec>(["zstd"]);
  assertEquals(chooseCodec({ ...state, supported, blockedShare: 1 }), { codec: "zstd", level: 1 });
});
