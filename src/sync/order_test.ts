import { assertEquals } from "../base/testing.ts";
import { SimFolder } from "../../tests/sim/sync_folder.ts";
import { FILE, Snapshot } from "./snapshot.ts";
import { synchronize } from "./synchronize.ts";
import { POLICY } from "./testing.ts";

Deno.test("order() makes a folder in the place of a file that has moved, in the round that moves it", async () => {
  const ends = [new SimFolder(), new SimFolder()] as const;
  const [alpha, beta] = ends;
  let ancestor = Snapshot.empty(2);
  const run = () =>
    synchronize({
      ends,
      names: ["alpha", "beta"],
      policy: POLICY,
      maxDelete: { files: 0 },
      ancestor,
      save: (agreed) => void (ancestor = agreed),
      now: () => 1e12,
    });
  alpha.put("a", FILE, 1);
  alpha.put("d", FILE, 2);
  await run();
  alpha.move("a", "b");
  alpha.put("a/x/y", FILE, 3);
  alpha.put("a/z", FILE, 4);
  const { rounds, postponed, changes } = await run();
  assertEquals({ rounds, postponed, changes }, { rounds: 1, postponed: 0, changes: [0, 5] });
  assertEquals(beta.toString(), alpha.toString());
  assertEquals(beta.trash, []);
});
