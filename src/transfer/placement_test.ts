import { decodeName } from "../base/names.ts";
import { assertEquals, assertTrue } from "../base/testing.ts";
import type { EntryName } from "../tree/mod.ts";
import { type ExistingPolicy, numbered, Placement } from "./placement.ts";

const PRESENT = new Set(["a.txt", "a (2).txt", "d"]);

async function place(names: string[], existing?: ExistingPolicy) {
  const placement = new Placement({
    existing,
    exists: (names) =>
      Promise.resolve(new Set(names.flatMap((name, i) => PRESENT.has(decodeName(name)) ? [i] : []))),
  });
  const roots = names.map((name, entry) => ({ entry, name: name as EntryName, kind: "file" as const }));
  const { plans, refused } = await placement.plan(roots);
  return {
    plans: plans.map(({ final_name, policy }) => `${decodeName(final_name)} ${policy}`),
    refused: refused.map(({ path, code }) => `${path} ${code}`),
  };
}

Deno.test("Placement.plan() follows the policy for what exists", async () => {
  assertEquals(await place(["a.txt", "b"], "overwrite"), {
    plans: ["a.txt overwrite", "b overwrite"],
    refused: [],
  });
  assertEquals(await place(["a.txt", "b"], "skip"), { plans: ["a.txt skip", "b fresh"], refused: [] });
  assertEquals(await place(["a.txt", "b"], "rename"), { plans: ["a (3).txt fresh", "b fresh"], refused: [] });
  assertEquals(await place(["a.txt", "b"]), { plans: ["b fresh"], refused: ["a.txt DESTINATION_EXISTS"] });
});

Deno.test("Placement.plan() gives no name twice", async () => {
  assertEquals((await place(["b", "b"], "rename")).plans, ["b fresh", "b (2) fresh"]);
  assertEquals(await place(["b", "b"], "overwrite"), {
    plans: ["b overwrite"],
    refused: ["b ALREADY_EXISTS"],
  });
});

Deno.test("numbered() keeps the extension and the limit", () => {
  const file = { number: 2, isDirectory: false };
  assertEquals(numbered("notes.txt" as EntryName, file) as string, "notes (2).txt");
  assertEquals(numbered(".profile" as EntryName, file) as string, ".profile (2)");
  assertEquals(numbered("v1.2" as EntryName, { ...file, isDirectory: true }) as string, "v1.2 (2)");
  const long = numbered("é".repeat(127) as EntryName, file);
  assertTrue(new TextEncoder().encode(long).length <= 255 && long.endsWith(" (2)"));
});
