/** What each scheduler is given, by vectors, and read back by whoever will read it where that is here. */
import { crontabLine, withJob, withoutJob } from "./crontab.ts";
import { launchPlist } from "./launchd.ts";
import type { Launch } from "./plan.ts";
import { parseSchedule } from "./schedule.ts";
import { serviceUnit, timerUnit } from "./systemd.ts";
import { taskXml, windowsQuoted } from "./windows_task.ts";
import { assertEquals, assertThrows, assertTrue } from "../base/testing.ts";

const HOURLY = parseSchedule("hourly");
const PLAIN: Launch = { program: ["/usr/bin/wormhole"], variables: [] };

/** Folders that somebody may well have. */
const ODD = [
  "with space",
  "it's",
  'say "hi"',
  "100%",
  "%n",
  "$HOME",
  "`id`",
  "a;b&c|d",
  "#x",
  "~",
  "Büro",
  "*?[x]",
];

Deno.test("crontabLine() gives a line", () => {
  const rows: [Launch, string][] = [
    [PLAIN, "0 * * * * /usr/bin/wormhole job run --quiet notes"],
    [
      { program: ["/opt/my tools/worm"], variables: [] },
      "0 * * * * '/opt/my tools/worm' job run --quiet notes",
    ],
    [
      { program: ["/x"], variables: [["XDG_CONFIG_HOME", "/h/100%"], ["A", "it's"]] },
      `0 * * * * env 'XDG_CONFIG_HOME=/h/100\\%' 'A=it'"'"'s' /x job run --quiet notes`,
    ],
  ];
  for (const [launch, line] of rows) assertEquals(crontabLine("notes", HOURLY, launch), line);
});

Deno.test("crontabLine() is read back by cron's rule and a real shell as it was meant", async () => {
  const dir = await Deno.makeTempDir();
  try {
    for (const [at, odd] of ODD.entries()) {
      const program = `${dir}/${at} ${odd.replaceAll("/", "_")}`;
      await Deno.writeTextFile(program, `#!/bin/sh\nprintf '%s\\0' "$0" "$VALUE" "$@"\n`, { mode: 0o755 });
      const line = crontabLine("notes", HOURLY, { program: [program, odd], variables: [["VALUE", odd]] });
      const command = line.split(" ").slice(5).join(" ");
      // What cron does before its shell sees it: % is a line break unless a backslash is before it, which goes.
      const parts = command.split(/(?<!\\)%/);
      assertEquals(parts.length, 1, line);
      const { stdout, stderr } = await new Deno.Command("/bin/sh", {
        args: ["-c", parts[0]!.replaceAll("\\%", "%")],
        clearEnv: true,
        env: { PATH: "/usr/bin:/bin", HOME: "/nowhere" },
        cwd: "/",
      }).output();
      const words = new TextDecoder().decode(stdout).split("\0").slice(0, -1);
      assertEquals(
        words,
        [program, odd, odd, "job", "run", "--quiet", "notes"],
        new TextDecoder().decode(stderr),
      );
    }
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("nothing writes a word that it cannot write", () => {
  const bad: [string, readonly ("cron" | "systemd" | "launchd" | "windows")[]][] = [
    ["two\nlines", ["cron", "systemd", "launchd", "windows"]],
    ["a\rb", ["cron", "systemd", "launchd", "windows"]],
    ["nul\0", ["cron", "systemd", "launchd", "windows"]],
    ["\udc80", ["cron", "systemd", "launchd", "windows"]],
    ["back\\slash", ["cron"]],
    ["long".repeat(300), ["cron"]],
  ];
  for (const [word, by] of bad) {
    const launch: Launch = { program: ["/x", word], variables: [] };
    const writers = {
      cron: () => crontabLine("notes", HOURLY, launch),
      systemd: () => serviceUnit("notes", launch),
      launchd: () => launchPlist("notes", HOURLY, launch),
      windows: () => taskXml("notes", HOURLY, launch),
    };
    for (const [name, write] of Object.entries(writers)) {
      if (by.includes(name as "cron")) assertThrows(write, "UNSUPPORTED", "notes");
      else write();
    }
  }
  const often = parseSchedule("1-59 8-20 1,2,3,5,8,13,21 * *");
  assertThrows(() => launchPlist("notes", often, PLAIN), "UNSUPPORTED", "times");
  assertThrows(
    () => taskXml("notes", parseSchedule("*/7 9,17 * * *"), PLAIN) && taskXml("notes", often, PLAIN),
    "UNSUPPORTED",
  );
  const both = parseSchedule("0 0 */7 * fri");
  assertThrows(() => launchPlist("notes", both, PLAIN), "UNSUPPORTED", "not both");
  assertThrows(() => taskXml("notes", both, PLAIN), "UNSUPPORTED", "not both");
});

Deno.test("withJob() and withoutJob() change one job's line and no other", () => {
  const mine = "MAILTO=me\n# my own\n5 * * * * backup job run --quiet other\n";
  const line = crontabLine("notes", HOURLY, PLAIN);
  const added = withJob(mine, "notes", line);
  assertTrue(added.startsWith(mine) && added.endsWith(`${line}\n`), added);
  assertEquals(withoutJob(added, "notes"), mine);
  assertEquals(withJob(added, "notes", line), added, "not twice");
  const newer = crontabLine("notes", parseSchedule("daily"), PLAIN);
  assertEquals(
    withJob(added, "notes", newer),
    withJob(mine, "notes", newer),
    "in the place of the older one",
  );
  assertEquals(withoutJob("no end", "notes"), "no end");
  assertEquals(withJob("no end", "notes", line).split("\n")[0], "no end");
  assertEquals(withJob("", "notes", line).split("\n").length, 3);
  const two = withJob(added, "notes2", crontabLine("notes2", HOURLY, PLAIN));
  assertEquals(withoutJob(two, "notes2"), added, "a name that begins like another");
});

Deno.test("serviceUnit() and timerUnit() read as they should", () => {
  assertEquals(
    serviceUnit("notes", {
      program: ["/opt/my tools/100%/$x", 'a"b\\c'],
      variables: [["XDG_CONFIG_HOME", "/h/$y %d"], ["B", "plain"]],
    }),
    `[Unit]
Description=wormhole job notes
Documentation=man:wormhole(1)

[Service]
Type=oneshot
ExecStart="/opt/my tools/100%%/$$x" "a\\"b\\\\c" job run --quiet notes
Environment="XDG_CONFIG_HOME=/h/$y %%d"
Environment=B=plain
`,
  );
  assertEquals(
    timerUnit("notes", parseSchedule("0 3 13 * fri")),
    `[Unit]
Description=wormhole job notes: when it runs

[Timer]
OnCalendar=*-*-13 03:00:00
OnCalendar=Fri *-*-* 03:00:00
Persistent=true
AccuracySec=10s

[Install]
WantedBy=timers.target
`,
  );
});

const canVerify = commandWorks("systemd-analyze", "--version");

Deno.test(
  "systemd-analyze finds nothing wrong with the units, odd paths included",
  { ignore: !canVerify },
  async () => {
    const dir = await Deno.makeTempDir();
    try {
      const files: string[] = [];
      for (const [at, odd] of ODD.entries()) {
        // systemd looks for the program, so it must be there under that very name.
        const program = `${dir}/${at} ${odd}`;
        await Deno.writeTextFile(program, "#!/bin/sh\n", { mode: 0o755 });
        const unit = `${dir}/wormhole-job-n${at}`;
        const launch: Launch = { program: [program, odd], variables: [["VALUE", odd]] };
        await Deno.writeTextFile(`${unit}.service`, serviceUnit(`n${at}`, launch));
        await Deno.writeTextFile(
          `${unit}.timer`,
          timerUnit(`n${at}`, parseSchedule("3-50/9 */5 2-28/3 2,7 *")),
        );
        files.push(`${unit}.timer`);
      }
      const { code, stderr } = await new Deno.Command("systemd-analyze", {
        args: ["verify", "--man=no", ...files],
        env: { LC_ALL: "C" },
      }).output();
      const said = new TextDecoder().decode(stderr).split("\n").filter((line) =>
        line.includes("wormhole-job-")
      );
      assertEquals([code, said], [0, []]);
      // It would have said so: the same with a program that is not there.
      await Deno.remove(`${dir}/0 ${ODD[0]}`);
      const missing = await new Deno.Command("systemd-analyze", {
        args: ["verify", "--man=no", files[0]!.replace(".timer", ".service")],
      }).output();
      assertTrue(missing.code !== 0);
    } finally {
      await Deno.remove(dir, { recursive: true });
    }
  },
);

const hasPython = commandWorks("python3", "--version");

/** Reads a plist or task as XML and gives back what is in it. */
const READ = `
import sys, json, plistlib, xml.etree.ElementTree as tree
ns = "{http://schemas.microsoft.com/windows/2004/02/mit/task}"
def plist(text):
    p = plistlib.loads(text.encode())
    return [p["Label"], p["ProgramArguments"], p.get("EnvironmentVariables"), p["StartCalendarInterval"]]
def task(text):
    root = tree.fromstring(("\\ufeff" + text).encode("utf-16-le"))
    exe = root.find(f"{ns}Actions/{ns}Exec")
    triggers = [[(e.tag.replace(ns, ""), (e.text or "").strip()) for e in t.iter()] for t in root.find(f"{ns}Triggers")]
    return [exe.find(f"{ns}Command").text, exe.find(f"{ns}Arguments").text, triggers]
print(json.dumps([globals()[sys.argv[1]](text) for text in json.load(sys.stdin)]))
`;

Deno.test("launchPlist() is read back as it was meant", { ignore: !hasPython }, async () => {
  const launch: Launch = { program: ["/x", ...ODD, "<&>"], variables: [["A", "<&> \"'"]] };
  const rows: [string, Record<string, number>[]][] = [
    ["every 30m", [{ Minute: 0 }, { Minute: 30 }]],
    ["every minute", [{}]],
    ["weekends 08:30", [{ Weekday: 0, Hour: 8, Minute: 30 }, { Weekday: 6, Hour: 8, Minute: 30 }]],
    ["0 3 13 2 fri", [{ Month: 2, Day: 13, Hour: 3, Minute: 0 }, {
      Month: 2,
      Weekday: 5,
      Hour: 3,
      Minute: 0,
    }]],
  ];
  const found = await readBack(
    "plist",
    rows.map(([text]) => launchPlist("notes", parseSchedule(text), launch)),
  );
  for (const [at, [text, times]] of rows.entries()) {
    const words = [...launch.program, "job", "run", "--quiet", "notes"];
    assertEquals(found[at], ["dev.wormhole.job.notes", words, { A: "<&> \"'" }, times], text);
  }
});

Deno.test("taskXml() is read back as it was meant", { ignore: !hasPython }, async () => {
  const program = "C:\\Program Files\\Wormhole & Co\\wormhole.exe";
  const rows: [string, RegExp, number][] = [
    ["every 15m", /Interval,PT15M .*StartBoundary,2024-01-01T00:00:00 .*DaysInterval,1/, 1],
    ["hourly", /Interval,PT1H/, 1],
    ["every 6h", /Interval,PT6H/, 1],
    ["daily 02:00", /^CalendarTrigger, StartBoundary,2024-01-01T02:00:00 ScheduleByDay, DaysInterval,1$/, 1],
    ["weekdays 08:30", /ScheduleByWeek, WeeksInterval,1 DaysOfWeek, Monday, Tuesday, .*Friday,$/, 1],
    ["monthly 31 04:00", /ScheduleByMonth, DaysOfMonth, Day,31 Months, January, /, 1],
    ["0 3 * 2 fri", /ScheduleByMonthDayOfWeek, Weeks, .*Week,Last DaysOfWeek, Friday, Months, February,$/, 1],
    ["0 3 13 * fri", /DaysOfMonth, Day,13 /, 2],
    ["5,20 9,17 * * *", /T09:05:00/, 4],
  ];
  const launch = { program: [program, "a b\\"], variables: [] };
  const found = await readBack("task", rows.map(([text]) => taskXml("notes", parseSchedule(text), launch)));
  for (const [at, [text, wanted, count]] of rows.entries()) {
    const [command, words, triggers] = found[at] as [string, string, [string, string][][]];
    assertEquals([command, words], [program, '"a b\\\\" job run --quiet notes'], text);
    assertEquals(triggers.length, count, text);
    const first = triggers[0]!.map((pair) => pair.join(",")).join(" ");
    assertTrue(wanted.test(first), `${text}: ${first}`);
  }
});

Deno.test("windowsQuoted() quotes as CommandLineToArgvW reads", () => {
  const rows: [string, string][] = [
    ["plain", "plain"],
    ["", '""'],
    ["a b", '"a b"'],
    ['a"b', '"a\\"b"'],
    ['a\\"b', '"a\\\\\\"b"'],
    ["a b\\", '"a b\\\\"'],
    ["C:\\x\\", "C:\\x\\"],
  ];
  for (const [word, wanted] of rows) assertEquals(windowsQuoted(word), wanted, word);
});

async function readBack(kind: "plist" | "task", texts: readonly string[]): Promise<unknown[]> {
  const child = new Deno.Command("python3", {
    args: ["-c", READ, kind],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  const bytes = new TextEncoder().encode(JSON.stringify(texts));
  const [output] = await Promise.all([child.output(), writer.write(bytes).then(() => writer.close())]);
  assertEquals(output.code, 0, new TextDecoder().decode(output.stderr));
  return JSON.parse(new TextDecoder().decode(output.stdout));
}

function commandWorks(command: string, ...args: string[]): boolean {
  try {
    return new Deno.Command(command, { args, stdout: "null", stderr: "null" }).outputSync().success;
  } catch {
    return false;
  }
}
