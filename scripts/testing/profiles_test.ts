import { assertEquals } from "../../src/base/testing.ts";
import { removeUnfinished } from "./profiles.ts";

Deno.test("removeUnfinished() keeps what is whole, and what is no coverage", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const whole = `{\n  "url": "file:///a.ts",\n  "functions": []\n}`;
    const files = {
      "whole.json": whole,
      "empty.json": "",
      "half.json": whole.slice(0, 20),
      "lcov.info": "SF:",
    };
    for (const [name, text] of Object.entries(files)) await Deno.writeTextFile(`${folder}/${name}`, text);
    assertEquals(await removeUnfinished(folder), 2);
    assertEquals([...Deno.readDirSync(folder)].map(({ name }) => name).sort(), ["lcov.info", "whole.json"]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
