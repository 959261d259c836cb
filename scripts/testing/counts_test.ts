import { cargoCounts, coverageLines, denoCounts } from "./counts.ts";
import { assertEquals } from "../../src/base/testing.ts";

Deno.test("cargoCounts() sums every test program", () => {
  const output = [
    "running 2 tests",
    "test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s",
    "test result: \x1b[31mFAILED\x1b[0m. 10 passed; 3 failed; 0 ignored; 0 measured; 0 filtered out",
  ].join("\n");
  assertEquals(cargoCounts(output), { passed: 12, failed: 3 });
});

Deno.test("denoCounts() reads each form of the last line", () => {
  const lines: [string, number, number][] = [
    ["ok | 5 passed | 0 failed (1s)", 5, 0],
    ["ok | 1 passed (3 steps) | 0 failed | 2 ignored | 1 filtered out (2s)", 1, 0],
    ["\x1b[31mFAILED\x1b[0m | 16 passed (1 step) | 1 failed (1 step) \x1b[38;5;245m(20ms)\x1b[0m", 16, 1],
  ];
  for (const [line, passed, failed] of lines) {
    assertEquals(denoCounts(`x\n\n${line}\n\n`), { passed, failed }, line);
  }
});

Deno.test("denoCounts() does not count a test's own output", () => {
  assertEquals(denoCounts("said: ok | 5 passed | 0 failed\n"), { passed: 0, failed: 0 });
});

Deno.test("coverageLines() counts the lines that hold code, by file", () => {
  const output = [
    "/x/a.rs",
    "    1|       |//! 2|3|",
    "    2|      7|fn a() {",
    "    3|      0|    b",
    "",
    "/x/b.rs",
    "    1|1234567890|c",
    "",
  ].join("\n");
  assertEquals([...coverageLines(output)], [
    ["/x/a.rs", { counted: 2, reached: 1 }],
    ["/x/b.rs", { counted: 1, reached: 1 }],
  ]);
});
