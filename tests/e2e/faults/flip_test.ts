/** Folders that become symlinks while something is received into them; for minutes with `scripts/soak flip`. */
import { assertTrue } from "../../../src/base/testing.ts";
import { FLIP } from "./flip.ts";
import { holds } from "./scenario.ts";

Deno.test("nothing outside is written or removed while folders of the destination become symlinks", async () => {
  const tally = await holds(FLIP, { runs: 1000, seed: 1, withinMs: 5000 });
  if (tally) assertTrue(tally.of("exchanges") > 1000, `hardly anything was exchanged: ${tally}`);
});
