/** Somebody who exchanges the folders of the destination for symlinks, as fast as can be, while something is received. */
import { assertEquals, assertTrue } from "../../../src/base/testing.ts";
import { Dice } from "../hostile_manifests.ts";
import { Sandbox } from "../sandbox.ts";
import { listTree } from "../trees.ts";
import { OneProcess } from "./one_process.ts";
import type { Scenario } from "./scenario.ts";
import { someFiles, writeFiles } from "./small_tree.ts";

const RECEIVES_PER_RUN = 12;

/** Exchanges, in one step each (RENAME_EXCHANGE), every folder below INTO with a symlink to OUTSIDE, and back. */
const ATTACK = `
import ctypes, os, sys
into, links, outside = sys.argv[1:]
libc = ctypes.CDLL(None)
flip = lambda a, b: libc.renameat2(-100, os.fsencode(a), -100, os.fsencode(b), 2)
link = links + "/link"
os.symlink(outside, link)
count = 0
print("ready", flush=True)
while True:
    for root, folders, _ in os.walk(into):
        for name in folders:
            path = os.path.join(root, name)
            for _ in range(3):
                count += flip(path, link) == 0
                if os.path.islink(path): flip(path, link)
    open(links + "/count", "w").write(str(count))
`;

/** Codes with which a receive may end whose folders are taken from under it. */
const HONEST = [
  "PATH_ESCAPES",
  "NOT_FOUND",
  "NOT_DIRECTORY",
  "IS_DIRECTORY",
  "ALREADY_EXISTS",
  "IO",
  "DESTINATION_EXISTS",
];

/** See {@linkcode Scenario.about}. */
export const FLIP: Scenario = {
  name: "flip",
  about:
    `${RECEIVES_PER_RUN} receives per run while folders of the destination become symlinks: nothing outside changes`,
  lanes: 1,
  unable: () => Promise.resolve(Deno.build.os === "linux" ? undefined : "RENAME_EXCHANGE is Linux's"),
  async run(seed, tally) {
    const dice = new Dice(seed);
    await using sandbox = await Sandbox.create();
    const files = someFiles(dice, 400_000);
    const source = await writeFiles(sandbox, "from/album", files);
    const into = await sandbox.folder("into");
    // Under the names that are sent, so that whatever is written or removed there is seen.
    const outside = sandbox.path("outside");
    for (const prefix of ["outside", "outside/album", "outside/tree/0", "outside/0"]) {
      for (const path of files.keys()) await sandbox.file(`${prefix}/${path}`, "precious");
    }
    for (const [path] of files) await sandbox.file(`into/album/${path}`, "old");
    const before = await listTree(outside);
    const links = await sandbox.folder("links");
    const attacker = new Deno.Command("python3", {
      args: ["-c", ATTACK, into, links, outside],
      stdout: "piped",
    }).spawn();
    try {
      await attacker.stdout.getReader().read();
      await using process = new OneProcess();
      for (let round = 0; round < RECEIVES_PER_RUN; round++) {
        const journal = dice.once(2) ? `${links}/transfers.db` : undefined;
        const ended = await process.run({ source, into, existing: "overwrite", ...journal && { journal } });
        assertTrue(ended !== undefined, "the receiver died");
        if (ended.code !== undefined) {
          assertTrue(HONEST.includes(ended.code), `${ended.code}: ${ended.message}`);
        }
        tally.add(ended.code ?? (ended.failed > 0 ? "PARTIAL" : "well"));
      }
      assertEquals(await listTree(outside), before, "something outside has changed");
    } finally {
      attacker.kill("SIGKILL");
      await attacker.status;
    }
    tally.add("exchanges", Number(await Deno.readTextFile(`${links}/count`)));
  },
};
