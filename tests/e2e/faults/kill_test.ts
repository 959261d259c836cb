/** kill -9 at hundreds of instants; thousands with `scripts/soak kill`. */
import { assertTrue } from "../../../src/base/testing.ts";
import { KILL, KILLS_PER_RUN } from "./kill.ts";
import { holds } from "./scenario.ts";

const KILLS = 208;

Deno.test(`after ${KILLS} kills of either side nothing incomplete is in place and every tree arrives`, async () => {
  const tally = await holds(KILL, { runs: KILLS / KILLS_PER_RUN, seed: 1 });
  assertTrue(tally!.of("kills in the middle") > KILLS / 8, `most kills came too early or too late: ${tally}`);
});
