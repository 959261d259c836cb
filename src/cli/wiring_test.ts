import { assertEquals } from "../base/testing.ts";
import { WIRING } from "./wiring.ts";

Deno.test("WIRING leads from every command to a module that runs it", async () => {
  for (const [name, { load }] of Object.entries(WIRING)) {
    assertEquals(typeof (await load()).run, "function", name);
  }
});

Deno.test("WIRING's modules are loaded when they are needed, by whoever is not bundled", async () => {
  const source = await Deno.readTextFile(new URL("./wiring.ts", import.meta.url));
  const imports = source.match(/import\("\.\/commands\/\w+\.ts"[^)]*\)/g) ?? [];
  assertEquals(imports.filter((each) => !each.includes(" as string)")), []);
  assertEquals(imports.length, Object.keys(WIRING).length);
});
