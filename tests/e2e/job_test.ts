/** `wormhole job` as a person sets it up and as cron then runs it. The crontab is a file of the test, never the machine's. */
import { assertEquals, assertTrue } from "../../src/base/testing.ts";
import { type Ending, run } from "./command.ts";
import { type Person, Sandbox } from "./sandbox.ts";

/** Keeps a crontab in `$CRONTAB_FILE`, as crontab(1) does in /var/spool/cron. */
const CRONTAB = `#!/bin/sh
case "$1" in
  -l) if [ -e "$CRONTAB_FILE" ]; then cat "$CRONTAB_FILE"; else echo "no crontab for me" >&2; exit 1; fi ;;
  -) cat > "$CRONTAB_FILE" ;;
esac
`;

/** Somebody with jobs. */
class Keeper implements AsyncDisposable {
  private constructor(readonly sandbox: Sandbox, readonly person: Person) {}

  static async create(): Promise<Keeper> {
    const sandbox = await Sandbox.create();
    const { name, env } = await sandbox.person("keeper");
    await Deno.chmod(await sandbox.file("bin/crontab", CRONTAB), 0o755);
    const PATH = `${sandbox.path("bin")}:${env.PATH}`;
    return new Keeper(sandbox, { name, env: { ...env, PATH, CRONTAB_FILE: sandbox.path("crontab") } });
  }

  async job(args: readonly string[], code = 0): Promise<Ending> {
    const ended = await run(["job", ...args], { person: this.person, cwd: this.sandbox.dir });
    assertEquals(ended.code, code, `${args}\n${ended.stderr}`);
    return ended;
  }

  crontab(): Promise<string> {
    return Deno.readTextFile(this.sandbox.path("crontab"));
  }

  /** Runs the last line of the crontab as cron does: its rule for `%`, its poor environment, no terminal. */
  async cron(): Promise<{ code: number; said: string }> {
    const line = (await this.crontab()).trimEnd().split("\n").at(-1)!;
    const command = line.split(" ").slice(5).join(" ").split(/(?<!\\)%/)[0]!.replaceAll("\\%", "%");
    const { HOME } = this.person.env;
    const { code, stdout, stderr } = await new Deno.Command("setsid", {
      args: ["--wait", "/bin/sh", "-c", command],
      clearEnv: true,
      env: { HOME: HOME!, LOGNAME: "keeper", SHELL: "/bin/sh", PATH: "/usr/bin:/bin" },
      cwd: HOME!,
      stdin: "null",
    }).output();
    return { code, said: new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr) };
  }

  async log(): Promise<readonly Record<string, unknown>[]> {
    return (await this.job(["log", "--json", "notes"])).events;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.sandbox[Symbol.asyncDispose]();
  }
}

Deno.test("job add, as cron then runs it: quiet, with the exit codes of sync, never twice at a time, noted", async () => {
  await using keeper = await Keeper.create();
  const { sandbox } = keeper;
  const odd = `it's 100% "odd" $HOME\n`;
  await sandbox.file(`${odd}/x`, "1");
  await sandbox.folder("b");
  const added = await keeper.job(["add", "notes", "-s", "every 15m", "--with", "cron", `./${odd}`, "b"]);
  const shown = new TextDecoder().decode(added.stdout);
  assertTrue(shown.includes("*/15 * * * *") && shown.includes("job run --quiet notes"), shown);
  assertTrue(!(await keeper.crontab()).includes("odd"), "what is synchronized is not the crontab's business");

  assertEquals(await keeper.cron(), { code: 0, said: "" });
  assertEquals(await Deno.readTextFile(sandbox.path("b/x")), "1");
  assertEquals(await keeper.cron(), { code: 0, said: "" }, "nothing to do");

  await Deno.writeTextFile(sandbox.path(odd, "x"), "a's");
  await Deno.writeTextFile(sandbox.path("b/x"), "b's");
  const conflict = await keeper.cron();
  assertEquals(conflict.code, 9, conflict.said);
  assertTrue(conflict.said.includes("Cannot decide 1 conflict"), "cron sends mail of it");

  // As the run before it holds it when it takes longer than the time between two.
  {
    using lock = await Deno.open(`${keeper.person.env.XDG_STATE_HOME}/wormhole/jobs/notes.lock`, {
      write: true,
    });
    await lock.lock(true);
    const busy = await keeper.cron();
    assertEquals([busy.code, busy.said.includes("it is running already")], [10, true], busy.said);
    const [listed] = (await keeper.job(["list", "--json"])).events;
    assertEquals(listed!.running, true);
  }

  // Not there today: a stick that was pulled out, or a machine that is off.
  await Deno.rename(sandbox.path(odd), sandbox.path("away"));
  const away = await keeper.cron();
  assertEquals([away.code, away.said.includes("there is no such folder")], [6, true], away.said);

  const records = await keeper.log();
  assertEquals(records.map(({ exit, code }) => [exit, code]), [[0, null], [0, null], [9, "CONFLICTS"], [
    6,
    "NOT_FOUND",
  ]]);
  const [first, second, third] = records as unknown as {
    report: { beta: { changes: number } };
    events: unknown[];
  }[];
  assertEquals([first!.report.beta.changes, second!.report.beta.changes], [1, 0]);
  assertTrue(JSON.stringify(third!.events).includes("sync_conflict"));
  const [job] = (await keeper.job(["list", "--json"])).events;
  assertEquals([job!.command, job!.folder, job!.last.exit, job!.running], [
    ["sync", `./${odd}`, "b"],
    sandbox.dir,
    6,
    false,
  ]);
  assertTrue(Date.parse(job!.next_at) > Date.now());
  const lines = new TextDecoder().decode((await keeper.job(["log", "notes"])).stdout).trimEnd().split("\n");
  assertEquals([lines.length, /notes: 1 change, ok/.test(lines[0]!), /exit 6/.test(lines[3]!)], [
    4,
    true,
    true,
  ]);

  // What cannot be replaced goes on as it was.
  const before = await keeper.crontab();
  await keeper.job(["add", "notes", "--replace", "-s", "daily", "--with", "systemd", "a", "b"], 1);
  assertEquals([await keeper.crontab(), (await keeper.job(["list", "--json"])).events[0]!.with], [
    before,
    "cron",
  ]);

  await keeper.job(["remove", "notes"]);
  assertEquals(await keeper.crontab(), "");
  assertEquals((await keeper.job(["list"])).stdout.length, 0);
  await keeper.job(["log", "notes"], 6);
});

Deno.test("job add --dry-run writes nothing; what cannot be a job is refused", async () => {
  await using keeper = await Keeper.create();
  const shown = await keeper.job([
    "add",
    "notes",
    "-n",
    "--json",
    "--with",
    "systemd",
    "-s",
    "daily 02:00",
    "a",
    "b",
  ]);
  const [plan] = shown.events;
  const texts = plan!.writes.map(({ text }: { text: string }) => text).join("");
  assertTrue(texts.includes("OnCalendar=*-*-* 02:00:00") && texts.includes("Persistent=true"), texts);
  assertTrue(texts.includes("Type=oneshot") && texts.includes(" job run --quiet notes"), texts);
  assertEquals(plan!.dry_run, true);
  assertEquals((await keeper.job(["list", "--json"])).events, []);
  const bad: [string[], number][] = [
    [["a b", "-s", "daily", "x", "y"], 2],
    [["notes", "-s", "every 7m", "x", "y"], 2],
    [["notes", "-s", "daily", "sync", "--watch", "x", "y"], 2],
    [["notes", "--with", "cron", "x", "y"], 2],
  ];
  for (const [args, code] of bad) await keeper.job(["add", ...args], code);
  // A scheduler that refuses leaves nothing behind: there is no manager of systemd behind this person's runtime folder.
  await keeper.job(["add", "notes", "--with", "systemd", "-s", "daily", "x", "y"], 1);
  assertEquals((await keeper.job(["list", "--json"])).events, []);
  const units = `${keeper.person.env.XDG_CONFIG_HOME}/systemd/user`;
  assertEquals(await Array.fromAsync(Deno.readDir(units)), []);
});

Deno.test("job run does a copy too, and says of a run that was cut off", async () => {
  await using keeper = await Keeper.create();
  const { sandbox } = keeper;
  await sandbox.file("a/x", "1");
  await keeper.job(["add", "notes", "copy", "--sync", "a", "b"]);
  const dir = `${keeper.person.env.XDG_STATE_HOME}/wormhole/jobs`;
  await Deno.mkdir(dir, { recursive: true });
  await Deno.writeTextFile(`${dir}/notes.started`, "2026-11-21T12:00:00.000Z");
  await keeper.job(["run", "notes"]);
  assertEquals(await Deno.readTextFile(sandbox.path("b/x")), "1");
  const records = await keeper.log();
  assertEquals(records.map(({ exit, code }) => [exit, code]), [[null, "INTERRUPTED"], [0, null]]);
  assertEquals((records[1]!.report as { files: number }).files, 1);
});
