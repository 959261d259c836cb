/** kill -9 of sync at random instants; thousands with `scripts/soak sync-kill`. */
import { assertTrue } from "../../../src/base/testing.ts";
import { holds } from "./scenario.ts";
import { SYNC_KILL, SYNC_KILLS_PER_RUN } from "./sync_kill.ts";

const KILLS = 24;

Deno.test(`after ${KILLS} kills of sync nothing is lost and both folders become the same`, async () => {
  const tally = await holds(SYNC_KILL, { runs: KILLS / SYNC_KILLS_PER_RUN, seed: 1 });
  assertTrue(tally!.of("kills in the middle") > KILLS / 8, `most kills came too early or too late: ${tally}`);
});
