/** Power cuts on an ext4 of its own; hundreds with `scripts/soak power`. */
import { assertTrue } from "../../../src/base/testing.ts";
import { POWER } from "./power.ts";
import { holds } from "./scenario.ts";

const CUTS = 32;

Deno.test(`after ${CUTS} power cuts each file is old, new or absent, and nothing acknowledged is lost`, async () => {
  const tally = await holds(POWER, { runs: CUTS, seed: 1 });
  if (tally) {
    assertTrue(
      tally.of("cuts with something acknowledged") > CUTS / 8,
      `hardly anything was at stake: ${tally}`,
    );
  }
});
