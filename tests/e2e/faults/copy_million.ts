/** A million files: they are all there, and the copy needs little memory for it. */
import { assertEquals, assertTrue } from "../../../src/base/testing.ts";
import { fromFileUrl } from "../../../src/base/paths.ts";
import { wormholeCommand } from "../command.ts";
import { tool } from "../copy/command.ts";
import { Dice } from "../hostile_manifests.ts";
import { Sandbox } from "../sandbox.ts";
import type { Scenario } from "./scenario.ts";

const FILES = 1_000_000;
const MIB = 1024 * 1024;
/** What issue 7 allows: 100 MB and 1 MB for every 1,000 files. */
const MOST_BYTES = (100 + FILES / 1000) * 1e6;
/** What it is to need indeed: it is to be flat. */
const FLAT_BYTES = 400 * MIB;

const MEASURE = fromFileUrl(new URL("../../../bench/measure.py", import.meta.url));

/** Makes trees of empty files: one flat folder, folders of 1,000, or a chain of folders of 100. */
const MAKE = `
import os, sys
root, shape, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
os.makedirs(root)
here = os.open(root, os.O_RDONLY)
per = {'wide': count, 'folders': 1000, 'deep': 2000}[shape]
at = here
for n in range(count):
    if n % per == 0 and shape != 'wide':
        parent = at if shape == 'deep' else here
        os.mkdir('d%d' % n, dir_fd=parent)
        at = os.open('d%d' % n, os.O_RDONLY, dir_fd=parent)
    os.close(os.open('f%d' % n, os.O_WRONLY | os.O_CREAT, 0o644, dir_fd=at))
`;

/** See {@linkcode Scenario.about}. */
export const COPY_MILLION: Scenario = {
  name: "copy-million",
  about: `copies ${
    FILES.toLocaleString("en")
  } files, wide or deep: all there, memory within the bound and flat`,
  lanes: 1,
  async run(seed, tally) {
    const shape = new Dice(seed).pick(["wide", "folders", "deep"]);
    await using sandbox = await Sandbox.create();
    const [from, to, result] = [sandbox.path("from"), sandbox.path("to"), sandbox.path("cost")];
    await tool("python3", ["-c", MAKE, from, shape, String(FILES)]);
    for (const [what, flags] of [["first", []], ["again", ["--sync"]]] as const) {
      const { env } = await sandbox.person("somebody");
      const command = [...wormholeCommand(), "copy", "-q", "--fsync", "none", ...flags, from, to];
      await tool("env", [
        ...Object.entries(env).map(([name, value]) => `${name}=${value}`),
        "python3",
        "-S",
        MEASURE,
        result,
        ...command,
      ]);
      const { peak_rss, start, end } = JSON.parse(await Deno.readTextFile(result));
      assertTrue(peak_rss < MOST_BYTES, `${peak_rss} bytes of memory`);
      assertTrue(peak_rss < FLAT_BYTES, `${peak_rss} bytes of memory: not flat`);
      tally.most(`MiB of memory, ${shape} ${what}`, Math.round(peak_rss / MIB));
      tally.most(`ms, ${shape} ${what}`, Math.round((end - start) * 1000));
    }
    const count = async (path: string) =>
      (await tool("sh", ["-c", 'find "$1" -type f | wc -l', "sh", path])).trim();
    assertEquals(await count(to), String(FILES));
  },
};
