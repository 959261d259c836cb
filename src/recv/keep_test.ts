import { assertEquals, assertTrue } from "../base/testing.ts";
import { folders } from "../config/paths.ts";
import { Keeper } from "./keep.ts";

for (const blocked of ["cache", "data"] as const) {
  Deno.test(`Keeper tells that nothing is kept where the ${blocked} folder cannot be made`, async () => {
    const home = await Deno.makeTempDir({ prefix: "wormhole-keep-" });
    try {
      await Deno.writeTextFile(`${home}/file`, "");
      const place = (name: string) => name === blocked ? `${home}/file/${name}` : `${home}/${name}`;
      const warnings: string[] = [];
      {
        await using keeper = await Keeper.open({
          destination: home,
          folders: { ...folders({ env: () => undefined }), dataDir: place("data") },
          cacheDir: place("cache"),
          maxChunks: 1000,
          quota: 1024 ** 2,
          signal: new AbortController().signal,
          onWarning: (sentence) => void warnings.push(sentence),
        });
        await keeper.keep();
      }
      assertEquals(warnings.length, 1, warnings.join("\n"));
      assertTrue(warnings[0]!.startsWith("What was received is not kept in the store: "), warnings[0]);
    } finally {
      await Deno.remove(home, { recursive: true });
    }
  });
}
