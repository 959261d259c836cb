/**
 * Loads every file of `src/` but tests, for `--coverage`: a file that no process loads would not be counted at all,
 * and look better than one without a test.
 */
import { fromFileUrl } from "../../src/base/paths.ts";

const SOURCES = new URL("../../src/", import.meta.url);

for (const name of sources(fromFileUrl(SOURCES))) await import(new URL(name, SOURCES).href);

function sources(folder: string, under = ""): string[] {
  return [...Deno.readDirSync(`${folder}${under}`)].flatMap(({ name, isDirectory }) => {
    const path = `${under}${name}`;
    if (isDirectory) return sources(folder, `${path}/`);
    return name.endsWith(".ts") && !/(?:_test|testing)\.ts$/.test(name) ? [path] : [];
  });
}
