import fc from "fast-check";
import { assertEquals, assertThrows } from "../base/testing.ts";
import { formatSum, parseSums } from "./sum_list.ts";

const HASH = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262";

Deno.test("formatSum() writes what b3sum writes", () => {
  assertEquals(formatSum({ hash: HASH, name: "a b" }), `${HASH}  a b\n`);
  assertEquals(formatSum({ hash: HASH, name: "a\nb\\c\r" }), `\\${HASH}  a\\nb\\\\c\\r\n`);
});

Deno.test("parseSums() reads back what formatSum() wrote, whatever the names", () => {
  const name = fc.string({ minLength: 1, unit: "binary" }).filter((text) => !text.includes("\0"));
  fc.assert(fc.property(fc.array(name), (names) => {
    const sums = names.map((name) => ({ hash: HASH, name }));
    assertEquals(parseSums(sums.map(formatSum).join(""), { source: "x" }), sums);
  }));
});

Deno.test("parseSums() takes binary marks, capitals, CRLF and empty lines, and names the line that is wrong", () => {
  const list = `${HASH.toUpperCase()} *a\r\n\n${HASH}  b\n`;
  assertEquals(parseSums(list, { source: "x" }), [{ hash: HASH, name: "a" }, { hash: HASH, name: "b" }]);
  const table: [string, string][] = [
    [`${HASH}  a\nhello\n`, "line 2 is no checksum"],
    [`${HASH.slice(1)}  a\n`, "line 1 is no checksum"],
    [`${HASH}  \n`, "line 1 is no checksum"],
    [`\\${HASH}  a\\x\n`, 'line 1 has the unknown escape "\\x"'],
    [`\\${HASH}  a\\\n`, 'line 1 has the unknown escape "\\"'],
  ];
  for (const [text, words] of table) {
    assertThrows(() => parseSums(text, { source: "list" }), "INVALID_ARGUMENT", words);
  }
});
