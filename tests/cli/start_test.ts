import { assertEquals, assertTrue } from "../../src/base/testing.ts";
import { fromFileUrl } from "../../src/base/paths.ts";

interface Graph {
  roots: string[];
  modules: {
    specifier: string;
    dependencies?: { isDynamic?: boolean; code?: { specifier?: string } }[];
  }[];
}

/** Gives all that importing `path` loads at once. */
async function loadedBy(path: string): Promise<Set<string>> {
  const file = fromFileUrl(new URL(`../../${path}`, import.meta.url));
  const { stdout, code } = await new Deno.Command(Deno.execPath(), { args: ["info", "--json", file] })
    .output();
  assertEquals(code, 0);
  const { roots, modules } = JSON.parse(new TextDecoder().decode(stdout)) as Graph;
  const byName = new Map(modules.map((module) => [module.specifier, module]));
  const loaded = new Set(roots);
  // A set gives what is added while it is walked.
  for (const name of loaded) {
    for (const { isDynamic, code } of byName.get(name)?.dependencies ?? []) {
      if (!isDynamic && code?.specifier !== undefined) loaded.add(code.specifier);
    }
  }
  return loaded;
}

Deno.test("send and recv show and ask for a code without loading SQLite", async () => {
  for (
    const path of [
      "src/send/mod.ts",
      "src/recv/mod.ts",
      "src/cli/commands/send.ts",
      "src/cli/commands/recv.ts",
    ]
  ) {
    const loaded = await loadedBy(path);
    assertTrue(loaded.size > 100, `${path} loads ${loaded.size} modules`);
    const store = [...loaded].filter((name) => name === "node:sqlite" || name.includes("/src/store/"));
    assertEquals(store, [], path);
  }
});
