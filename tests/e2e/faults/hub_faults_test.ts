/** A hub that is killed, and one that is sent rubbish; thousands and millions with `scripts/soak hub-kill|hub-frames`. */
import { assertTrue } from "../../../src/base/testing.ts";
import { endFuzzedHub, HUB_FRAMES } from "./hub_frames.ts";
import { HUB_KILL, HUB_KILLS_PER_RUN } from "./hub_kill.ts";
import { holds } from "./scenario.ts";

Deno.test(`a hub that is killed ${3 * HUB_KILLS_PER_RUN} times comes back with its open codes each time`, async () => {
  const tally = await holds(HUB_KILL, { runs: 3, seed: 1 });
  assertTrue(tally!.of("open codes") > HUB_KILLS_PER_RUN, `too few codes were there: ${tally}`);
  assertTrue(tally!.of("closed codes") > 0, `${tally}`);
});

Deno.test("a hub goes on within bounded memory under as many fuzzed frames as 5 s allow", async () => {
  try {
    const tally = await holds(HUB_FRAMES, { runs: Infinity, seed: 1, withinMs: 5_000 });
    assertTrue(tally!.of("messages read by the hub") >= 8_000 && tally!.of("answers") > 1_000, `${tally}`);
  } finally {
    await endFuzzedHub();
  }
});
