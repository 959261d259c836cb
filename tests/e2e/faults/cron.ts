/** A real cron that runs a job on the minute, in a mount namespace of its own: this machine's crontabs are not touched. */
import { assertEquals, assertTrue } from "../../../src/base/testing.ts";
import { run, wormholeCommand } from "../command.ts";
import { Sandbox, succeeds } from "../sandbox.ts";
import type { Scenario } from "./scenario.ts";

/** Cron looks at its tables on the minute. */
const PATIENCE_MS = 75_000;

/** Hides everybody's crontabs, adds the job with the real crontab(1), and becomes cron. */
const SCRIPT = `set -e
mount -t tmpfs tmpfs /var/spool/cron
mkdir -p /var/spool/cron/crontabs
mount -t tmpfs tmpfs /etc/cron.d
: > /etc/cron.d/.none
mount --bind /etc/cron.d/.none /etc/crontab
mount -t tmpfs tmpfs /run
"$@"
crontab -l
exec cron -f`;

/** See {@linkcode Scenario.about}. */
export const CRON: Scenario = {
  name: "cron",
  about:
    "a job that wormhole job add gave to a real cron: what is new in one folder is in the other after at most a minute",
  lanes: 1,
  async unable() {
    if (!await succeeds("sh", ["-c", "command -v cron && command -v crontab"])) {
      return "there is no cron (apt install cron)";
    }
    return await succeeds("unshare", ["--mount", "true"])
      ? undefined
      : "this user may not make mount namespaces";
  },
  async run(_seed, tally) {
    await using sandbox = await Sandbox.create();
    const person = await sandbox.person("keeper");
    await sandbox.file("it's 100%/x", "1");
    const beta = await sandbox.folder("b");
    using watcher = Deno.watchFs(beta);
    const add = [
      ...wormholeCommand(),
      "job",
      "add",
      "notes",
      "--with",
      "cron",
      "-s",
      "every 1m",
      "it's 100%",
      "b",
    ];
    const began = performance.now();
    const child = new Deno.Command("unshare", {
      args: [
        "--mount",
        "--propagation",
        "private",
        "--pid",
        "--fork",
        "--kill-child",
        "sh",
        "-c",
        SCRIPT,
        "cron",
        ...add,
      ],
      cwd: sandbox.dir,
      clearEnv: true,
      env: { ...person.env },
      stdout: "null",
      stderr: "null",
    }).spawn();
    const late = setTimeout(() => watcher.close(), PATIENCE_MS);
    try {
      for await (const { paths } of watcher) if (paths.some((path) => path.endsWith("/b/x"))) break;
      tally.most("longest wait in s", Math.round((performance.now() - began) / 1000));
      assertEquals(await Deno.readTextFile(`${beta}/x`), "1");
      const log = async () => (await run(["job", "log", "--json", "notes"], { person })).events;
      // The file is there a moment before the run has ended.
      let records = await log();
      for (let left = 20; records.length === 0 && left > 0; left--) records = await log();
      assertTrue(records.length > 0, "nothing was noted");
      assertEquals([records[0]!.exit, records[0]!.report.beta.changes], [0, 1]);
      tally.add("runs by cron", records.length);
    } finally {
      clearTimeout(late);
      child.kill("SIGKILL");
      await child.status;
    }
  },
};
