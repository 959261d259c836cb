/** kill -9 of a copy at any instant, then again until it is done. */
import { sameBytes } from "../../../src/base/bytes.ts";
import { assertEquals } from "../../../src/base/testing.ts";
import { run, start } from "../command.ts";
import { assertTidy } from "../copy/command.ts";
import { assertSame, assertWhole, makeRandom } from "../copy/trees.ts";
import { Dice } from "../hostile_manifests.ts";
import { Sandbox } from "../sandbox.ts";
import { noise } from "../trees.ts";
import type { Scenario } from "./scenario.ts";

const MIB = 1024 * 1024;
/** Kills in one run, at most: the last try may end before. */
const KILLS_PER_RUN = 6;

/** See {@linkcode Scenario.about}. */
export const COPY: Scenario = {
  name: "copy",
  about:
    `up to ${KILLS_PER_RUN} kills of a copy per run: nothing incomplete at a final name, then --resume converges`,
  lanes: 2,
  async run(seed, tally) {
    const dice = new Dice(seed);
    await using sandbox = await Sandbox.create();
    const from = await sandbox.folder("from");
    await makeRandom(`${from}/random`, { count: 40, seed });
    for (let file = 0; file < 8; file++) {
      await sandbox.file(`from/large-${file}`, noise(dice.below(24 * MIB), 1 + dice.below(2 ** 31)));
    }
    for (let file = 0; file < 1500; file++) {
      await sandbox.file(`from/small/${file % 40}/${file}`, `${seed} ${file}`);
    }
    const to = sandbox.path("to");
    const flags = [
      ...dice.once(2) ? ["--fsync", dice.pick(["none", "each"])] : [],
      ...dice.once(3) ? ["--verify"] : [],
      ...dice.once(3) ? ["--method", dice.pick(["read_write", "io_uring", "mmap", "splice"])] : [],
    ];
    // Replaced files are old or new, never between: an older version stands there in some runs.
    const before = dice.once(3) ? await older(sandbox, dice) : undefined;
    const person = await sandbox.person("somebody");
    const args = ["copy", "--json", ...flags, `${from}/`, to];
    const begun = performance.now();
    await run([...args, "--dry-run"], { person });
    // Within it the command has started and is somewhere in its work, on a machine of any speed.
    const longest = 1.5 * (performance.now() - begun);
    for (let kill = 0; kill < KILLS_PER_RUN; kill++) {
      const resumes = kill > 0 || dice.once(2);
      await using running = start([...args, ...resumes ? ["--resume"] : []], { person });
      const delay = dice.below(longest);
      await Promise.race([running.ending(), new Promise((resolve) => setTimeout(resolve, delay))]);
      try {
        running.signal("SIGKILL");
      } catch {
        // It has ended by itself.
      }
      const { code } = await running.ending();
      tally.add(code === 0 ? "ended before" : "kills");
      if (before === undefined) await assertWhole(from, to, `kill ${kill}`);
      else await assertOldOrNew(sandbox, before);
      const there = await Deno.readDir(to)[Symbol.asyncIterator]().next().catch(() => ({ done: true }));
      if (code !== 0 && !there.done) tally.add("kills in the middle");
      if (code === 0) break;
    }
    await using last = start([...args, "--resume"], { person });
    const { code, stderr, events } = await last.ending();
    assertEquals(code, 0, `${stderr}${JSON.stringify(events.slice(-3))}`);
    if (before === undefined) await assertSame(to, from, { holes: false });
    else await assertWhole(from, to, "the end");
    // What the killed runs could not remove, their journal did.
    await assertTidy(to);
  },
};

/** Puts other content at the place of the large files; gives it. */
async function older(sandbox: Sandbox, dice: Dice): Promise<Uint8Array<ArrayBuffer>> {
  const content = new Uint8Array(1 + dice.below(MIB)).fill(0x6f);
  for (let file = 0; file < 8; file++) await sandbox.file(`to/large-${file}`, content);
  return content;
}

async function assertOldOrNew(sandbox: Sandbox, before: Uint8Array): Promise<void> {
  for (let file = 0; file < 8; file++) {
    const now = await Deno.readFile(sandbox.path(`to/large-${file}`));
    const fresh = await Deno.readFile(sandbox.path(`from/large-${file}`));
    if (!sameBytes(now, before) && !sameBytes(now, fresh)) {
      throw new Error(`large-${file} is neither the old file nor the new one`);
    }
  }
}
