/** A thousand random trees: copied, changed and synced, by every method, and compared in everything. */
import { assertEquals } from "../../../src/base/testing.ts";
import { type Method, METHODS } from "../../../src/copy/policy.ts";
import { Dice } from "../hostile_manifests.ts";
import { Sandbox } from "../sandbox.ts";
import { copyHere, type Task } from "./in_process.ts";
import { change, type Compared, differences, makeRandom } from "./trees.ts";

const TREES = 1000;
const SEED = 1;

/** tmpfs shares no bytes. */
const HERE = METHODS.filter((method) => method !== "reflink");

Deno.test(`${TREES} random trees are the same after a copy, and again after changes and a sync`, async () => {
  await using sandbox = await Sandbox.create();
  const trees = await makeRandom(sandbox.path("from"), { count: TREES, seed: SEED });
  await sandbox.folder("to");
  const pairs = trees.map((from, index) => [from, sandbox.path("to", String(index))] as const);
  for (const [index, [from, to]] of pairs.entries()) {
    await assertClean({ ...taskOf(SEED + index), paths: [from, to] });
  }
  await assertNoDifference(pairs);
  await change(trees, { seed: SEED });
  for (const [index, [from, to]] of pairs.entries()) {
    await assertClean({ ...taskOf(SEED + index), paths: [from, to], existing: "differs", deletes: true });
  }
  // A sync that copies nothing of a file does not look at its xattrs.
  await assertNoDifference(pairs, { xattrs: false });
});

/** Gives the way in which the tree of `seed` is copied. */
function taskOf(seed: number): Omit<Task, "paths"> {
  const dice = new Dice(seed);
  return {
    method: dice.once(2) ? "auto" : dice.pick(HERE as readonly Method[]),
    threads: 1 + dice.below(3),
    queueDepth: dice.pick([0, 1, 4]),
    maxFilesInFlight: dice.pick([0, 1, 7]),
    bufferSize: dice.pick([0, 4096, 65_536]),
    preallocate: dice.once(4),
    verify: dice.once(4),
    fsync: dice.pick(["none", "end", "each"]),
  };
}

async function assertClean(task: Task): Promise<void> {
  const { failed, error } = await copyHere(task);
  assertEquals({ failed, error }, { failed: [], error: undefined }, JSON.stringify(task));
}

async function assertNoDifference(
  pairs: readonly (readonly [string, string])[],
  options: Compared = {},
): Promise<void> {
  const found = await differences(pairs, { holes: false, ...options });
  const first = found.findIndex((each) => each.length > 0);
  if (first < 0) return;
  assertEquals(found[first], [], `tree ${first} of seed ${SEED}, ${JSON.stringify(taskOf(SEED + first))}`);
}
