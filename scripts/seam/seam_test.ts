import { compareOperations, parseCalls, parseOperations, untabledModules } from "./operations.ts";
import { compareSymbols, parseExports } from "./symbols.ts";
import { assertEquals, assertTrue } from "../../src/base/testing.ts";

const RUST = `
/// Not code: pub extern "C" fn wh_comment() {}
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wh_a_open(
    threads: u32, // how many
    error: *mut u8,
) -> i64 {}
pub extern "C" fn wh_a_close(handle: u32) {}
pub const OPERATIONS: &[(&str, Op)] = &[
    ("a.read", read), // ("a.old", old)
    ("a.write", write),
];
`;
const SYMBOLS = {
  wh_a_open: { parameters: ["u32", "buffer"], result: "i64" },
  wh_a_close: { parameters: ["u32"], result: "void" },
} as const satisfies Deno.ForeignLibraryInterface;

Deno.test("parseExports() gives names, parameters and results without comments", () => {
  assertEquals(parseExports(RUST, "a.rs"), [
    { name: "wh_a_open", parameters: ["u32", "pointer"], result: "i64", file: "a.rs" },
    { name: "wh_a_close", parameters: ["u32"], result: "void", file: "a.rs" },
  ]);
});

const DIFFERENCES: [string, Deno.ForeignLibraryInterface, string][] = [
  ["is missing in Rust", { wh_gone: { parameters: [], result: "void" } }, "wh_gone"],
  ["takes another count", { wh_a_close: { parameters: [], result: "void" } }, "1 parameters"],
  ["takes another type", { wh_a_close: { parameters: ["u64"], result: "void" } }, "u32 in Rust, u64"],
  ["takes a number for a pointer", {
    wh_a_open: { parameters: ["u32", "usize"], result: "i64" },
  }, "parameter 2"],
  ["gives another result", { wh_a_close: { parameters: ["u32"], result: "i64" } }, "the result is void"],
];

for (const [what, change, words] of DIFFERENCES) {
  Deno.test(`compareSymbols() reports a symbol that ${what}`, () => {
    const problems = compareSymbols({ ...SYMBOLS, ...change }, parseExports(RUST, "a.rs"));
    assertEquals(problems.length, 1);
    assertTrue(problems[0]!.includes(words), problems[0]);
  });
}

Deno.test("compareSymbols() reports an export without a symbol, and nothing when both agree", () => {
  assertEquals(compareSymbols(SYMBOLS, parseExports(RUST, "a.rs")), []);
  const { wh_a_open } = SYMBOLS;
  assertEquals(compareSymbols({ wh_a_open }, parseExports(RUST, "a.rs")).length, 1);
});

Deno.test("parseCalls() sees generic, multi-line and constant names, not file names", () => {
  const operations = parseOperations(RUST, "a.rs");
  assertEquals(operations.map(({ name }) => name), ["a.read", "a.write"]);
  const source = `
    queue.call<{ a: number }>("a.read", {});
    queue.call(
      "b.gone", {});
    const NAME = "a.wrote"; const file = "wormhole.dll";
    // queue.call("a.comment")
  `;
  const calls = parseCalls(source, "a.ts", operations);
  assertEquals(calls.map(({ name }) => name).sort(), ["a.read", "a.wrote", "b.gone"]);
  assertEquals(compareOperations(operations, calls).map((line) => line.split(":")[0]), ["b.gone", "a.wrote"]);
});

Deno.test("compareOperations() reports a name that stands twice", () => {
  const operations = [...parseOperations(RUST, "a.rs"), { name: "a.read", file: "b.rs" }];
  assertEquals(compareOperations(operations, []).length, 1);
});

Deno.test("untabledModules() reports a table that mod.rs forgets", () => {
  const files = [{ name: "a.rs", text: RUST }, {
    name: "mod.rs",
    text: "&[b::OPERATIONS]; // a::OPERATIONS",
  }];
  assertEquals(untabledModules(files).length, 1);
  assertEquals(untabledModules([files[0]!, { name: "mod.rs", text: "&[a::OPERATIONS]" }]), []);
});
