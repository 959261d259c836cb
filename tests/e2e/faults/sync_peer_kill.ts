/** kill -9 of either end of `wormhole sync` with another machine at any instant, while somebody works in both folders. */
import { assertEquals, assertTrue } from "../../../src/base/testing.ts";
import { Dice } from "../hostile_manifests.ts";
import { Machines } from "../sync_machines.ts";
import type { Scenario } from "./scenario.ts";
import { contentsOf, killed, People } from "./sync_kill.ts";

/** Kills in one run of the scenario. */
const KILLS_PER_RUN = 6;

/** See {@linkcode Scenario.about}. */
export const SYNC_PEER_KILL: Scenario = {
  name: "sync-peer-kill",
  about:
    `${KILLS_PER_RUN} kills of either end of a sync with another machine per run: no half file at a final name, every version that ` +
    "nobody touched since is in view, then both are the same",
  lanes: 2,
  async run(seed, tally) {
    const dice = new Dice(seed);
    await using machines = await Machines.create();
    const { ann, here, there } = machines;
    await machines.allow();
    const people = new People(dice, [here, there]);
    for (let i = 0; i < 40; i++) await people.act();
    let serving = await machines.serve();
    const more = ["--max-delete", "100%"];
    const begun = performance.now();
    await machines.sync([...more, "--dry-run"]).ending();
    // From before it has begun to after it has ended, on a machine of any speed.
    const longest = 1.2 * (performance.now() - begun);
    for (let kill = 0; kill < KILLS_PER_RUN; kill++) {
      await using running = machines.sync(more);
      await new Promise((resolve) => setTimeout(resolve, dice.below(longest)));
      const [client, server] = dice.pick([[true, false], [false, true], [true, true]] as const);
      if (server) {
        await killed(serving);
        tally.add("kills of the serving end");
      }
      // Alone it would look for the other end for a long time.
      const isLate = await killed(running);
      if (client) tally.add(isLate ? "kills of the client too late" : "kills of the client");
      for (const folder of [here, there]) {
        for (const [path, text] of await contentsOf(folder)) {
          assertTrue(people.written.has(text), `"${path}" is no version that somebody wrote`);
        }
      }
      if (server) serving = await machines.serve();
      if (dice.once(2)) { for (let i = 0; i < 6; i++) await people.act(); }
    }
    await people.comeToRest(ann, [here, `ben:${there}`], {
      onOffline: (code) => tally.add(`runs that ended with ${code}`),
    });
    const [a, b] = [await contentsOf(here), await contentsOf(there)];
    assertEquals([...a].sort(), [...b].sort());
    tally.add("versions kept", people.assertKept(a));
  },
};
