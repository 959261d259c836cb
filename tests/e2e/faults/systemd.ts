/** A real manager of systemd for a person, in namespaces of its own, that makes up for a run which the machine slept through. */
import { assertEquals, assertTrue } from "../../../src/base/testing.ts";
import { run, wormholeCommand } from "../command.ts";
import { Sandbox, succeeds } from "../sandbox.ts";
import type { Scenario } from "./scenario.ts";

const PATIENCE_MS = 60_000;

const MANAGER = "/lib/systemd/systemd";

/**
 * Makes a manager believe that the machine was booted by systemd, adds the job, lets its timer have last run two hours ago, and starts it. At the
 * end of standard input it removes the job. `$1`: a control group; then the program.
 */
const SCRIPT = `set -e
group=$1; shift
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/system
mkdir "$group"
echo $$ > "$group/cgroup.procs"
${MANAGER} --user &
left=100
until systemctl --user show-environment > /dev/null 2>&1; do left=$((left - 1)); test $left -gt 0; sleep 0.1; done
"$@" job add notes -s hourly "it's 100%" b
systemctl --user stop wormhole-job-notes.timer
touch -d '2 hours ago' "$XDG_DATA_HOME/systemd/timers/stamp-wormhole-job-notes.timer"
systemctl --user start wormhole-job-notes.timer
cat
"$@" job remove notes
systemctl --user list-timers --all --no-legend | grep -q wormhole && exit 9
exit 0`;

/** See {@linkcode Scenario.about}. */
export const SYSTEMD: Scenario = {
  name: "systemd",
  about:
    "a job in a real manager of systemd, which found it by itself, runs at once when its last run was slept through",
  lanes: 1,
  async unable() {
    if (!await succeeds("test", ["-x", MANAGER])) return `there is no ${MANAGER}`;
    return await succeeds("unshare", ["--mount", "--pid", "--fork", "true"])
      ? undefined
      : "this user may not make namespaces";
  },
  async run(_seed, tally) {
    await using sandbox = await Sandbox.create();
    const person = await sandbox.person("keeper");
    await sandbox.file("it's 100%/x", "1");
    const beta = await sandbox.folder("b");
    const group = await controlGroup(`wormhole-test-${crypto.randomUUID()}`);
    sandbox.defer(() => succeeds("find", [group, "-depth", "-type", "d", "-exec", "rmdir", "{}", ";"]));
    using watcher = Deno.watchFs(beta);
    const spaces = ["--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "--mount-proc"];
    const child = new Deno.Command("unshare", {
      args: [...spaces, "sh", "-c", SCRIPT, "sh", group, ...wormholeCommand()],
      cwd: sandbox.dir,
      clearEnv: true,
      env: { ...person.env },
      stdin: "piped",
      stdout: "null",
      stderr: "piped",
    }).spawn();
    const said = new Response(child.stderr).text();
    const late = setTimeout(() => watcher.close(), PATIENCE_MS);
    void child.status.then(({ code }) => code !== 0 && watcher.close());
    try {
      for await (const { paths } of watcher) if (paths.some((path) => path.endsWith("/b/x"))) break;
      assertEquals(await Deno.readTextFile(`${beta}/x`).catch(() => said), "1");
      const log = async () => (await run(["job", "log", "--json", "notes"], { person })).events;
      // The file is there a moment before the run has ended.
      let records = await log();
      for (let left = 20; records.length === 0 && left > 0; left--) records = await log();
      assertEquals([records[0]?.exit, records[0]?.report.beta.changes], [0, 1]);
      await child.stdin.close();
      assertEquals((await child.status).code, 0, await said);
      const units = await Array.fromAsync(Deno.readDir(`${person.env.XDG_CONFIG_HOME}/systemd/user`));
      assertTrue(!units.some(({ name }) => name.startsWith("wormhole")), JSON.stringify(units));
      tally.add("runs made up for");
    } finally {
      clearTimeout(late);
      try {
        child.kill("SIGKILL");
      } catch {
        // It has ended.
      }
      await child.status;
    }
  },
};

/** Where a control group may be made. */
async function controlGroup(name: string): Promise<string> {
  const isOld = await Deno.stat("/sys/fs/cgroup/systemd").then(() => true, () => false);
  return `/sys/fs/cgroup${isOld ? "/systemd" : ""}/${name}`;
}
