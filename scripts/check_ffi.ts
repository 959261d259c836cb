/**
 * Compares the two sides of the native seam and fails with a list of differences:
 * `src/native/symbols.ts` with the `extern "C"` functions of `ffi/src/export/*.rs`, and the
 * operations that `src/native/*.ts` calls with the `OPERATIONS` tables.
 */
import { SYMBOLS } from "../src/native/symbols.ts";
import { fromFileUrl } from "../src/base/paths.ts";
import { compareOperations, parseCalls, parseOperations, untabledModules } from "./seam/operations.ts";
import { compareSymbols, parseExports } from "./seam/symbols.ts";

const rust = await read(new URL("../ffi/src/export/", import.meta.url), ".rs");
const native = await read(new URL("../src/native/", import.meta.url), ".ts");

const exported = rust.flatMap(({ name, text }) => parseExports(text, name));
const operations = rust.flatMap(({ name, text }) => parseOperations(text, name));
const calls = native
  .filter(({ name }) => !name.endsWith("_test.ts"))
  .flatMap(({ name, text }) => parseCalls(text, name, operations));
const problems = [
  ...compareSymbols(SYMBOLS, exported),
  ...compareOperations(operations, calls),
  ...untabledModules(rust),
];

for (const problem of problems) console.error(problem);
console.log(
  `native seam: ${exported.length} symbols, ${operations.length} operations, ${problems.length} differences`,
);
Deno.exit(problems.length === 0 ? 0 : 1);

async function read(folder: URL, ending: string): Promise<{ name: string; text: string }[]> {
  const files = [];
  for await (const { name, isFile } of Deno.readDir(folder)) {
    if (!isFile || !name.endsWith(ending)) continue;
    files.push({ name, text: await Deno.readTextFile(fromFileUrl(new URL(name, folder))) });
  }
  return files.sort((a, b) => a.name < b.name ? -1 : 1);
}
