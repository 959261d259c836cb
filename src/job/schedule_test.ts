import { nextRun, parseSchedule } from "./schedule.ts";
import { calendars } from "./systemd.ts";
import { assertEquals, assertThrows, assertTrue } from "../base/testing.ts";

Deno.test("parseSchedule() reads plain words and cron expressions", () => {
  const rows: [string, string][] = [
    ["every 15m", "*/15 * * * *"],
    ["every minute", "* * * * *"],
    ["Every 30 minutes", "*/30 * * * *"],
    ["every hour", "0 * * * *"],
    ["every 60m", "0 * * * *"],
    ["every 6h", "0 */6 * * *"],
    ["every day", "0 0 * * *"],
    ["hourly", "0 * * * *"],
    ["@daily", "0 0 * * *"],
    ["daily 02:00", "0 2 * * *"],
    ["daily 2:05", "5 2 * * *"],
    ["weekdays 08:30", "30 8 * * 1-5"],
    ["weekends 23:59", "59 23 * * 0,6"],
    ["mon,thu 03:00", "0 3 * * 1,4"],
    ["Sunday 03:00", "0 3 * * 0"],
    ["weekly fri 12:00", "0 12 * * 5"],
    ["monthly 31 04:00", "0 4 31 * *"],
    ["monthly", "0 0 1 * *"],
    ["yearly", "0 0 1 1 *"],
    ["  5  4 * *   sun ", "5 4 * * 0"],
    ["0-10/5,50 */2 1,15 jan-mar mon-fri", "0-10/5,50 */2 1,15 1-3 1-5"],
    ["0 0 * * 5-7", "0 0 * * 5-7"],
    ["30/10 * * * *", "30-59/10 * * * *"],
    ["0 0 29 2 *", "0 0 29 2 *"],
  ];
  for (const [text, cron] of rows) assertEquals(parseSchedule(text).cron, cron, text);
  assertEquals(parseSchedule("0 0 * * 5-7").weekdays, [0, 5, 6]);
  assertEquals(parseSchedule("0 0 * * 0,7").weekdays, [0]);
});

Deno.test("parseSchedule() refuses what is no schedule, and what never comes", () => {
  const rows = [
    "",
    "now",
    "every",
    "every 7m",
    "every 0m",
    "every 90m",
    "every 5h",
    "every 2d",
    "daily 24:00",
    "daily 2",
    "daily 02:60",
    "someday 02:00",
    "monthly 32 04:00",
    "monthly 0 04:00",
    "60 * * * *",
    "* 24 * * *",
    "* * 0 * *",
    "* * * 13 *",
    "* * * * 8",
    "*/0 * * * *",
    "5-1 * * * *",
    "* * * * fri-mon",
    "1,,2 * * * *",
    "* * * *",
    "* * * * * *",
    "0 0 30 2 *",
    "0 0 31 4,6,9,11 *",
    "* * * * *\nevil",
    "$(touch evil) * * * *",
  ];
  for (const text of rows) assertThrows(() => parseSchedule(text), "INVALID_ARGUMENT");
});

Deno.test("nextRun() gives the first time after a moment, in local time", () => {
  const at = (text: string) => new Date(text).getTime(); // without a zone: local
  const rows: [string, string, string][] = [
    ["every 15m", "2026-11-21T18:40:12", "2026-11-21T18:45:00"],
    ["every 15m", "2026-11-21T18:45:00", "2026-11-21T19:00:00"],
    ["daily 02:00", "2026-12-31T02:00:00", "2027-01-01T02:00:00"],
    ["weekdays 08:30", "2026-11-20T09:00:00", "2026-11-23T08:30:00"],
    ["monthly 31 04:00", "2026-11-21T00:00:00", "2026-12-31T04:00:00"],
    ["0 0 29 2 *", "2026-01-01T00:00:00", "2028-02-29T00:00:00"],
    // A day of the month or of the week is enough …
    ["0 0 13 * fri", "2026-11-21T00:00:00", "2026-11-27T00:00:00"],
    ["0 0 22 * fri", "2026-11-21T00:00:00", "2026-11-22T00:00:00"],
    // … unless one of them begins with a star.
    ["0 0 */7 * fri", "2026-11-21T00:00:00", "2027-01-01T00:00:00"],
  ];
  for (const [text, from, wanted] of rows) {
    assertEquals(
      new Date(nextRun(parseSchedule(text), at(from))!),
      new Date(at(wanted)),
      `${text} after ${from}`,
    );
  }
});

Deno.test("calendars() writes times as systemd reads them", () => {
  const rows: [string, string[]][] = [
    ["every 15m", ["*-*-* *:00,15,30,45:00"]],
    ["daily 02:00", ["*-*-* 02:00:00"]],
    ["weekdays 08:30", ["Mon..Fri *-*-* 08:30:00"]],
    ["weekends 08:30", ["Sat..Sun *-*-* 08:30:00"]],
    ["mon,thu 03:00", ["Mon,Thu *-*-* 03:00:00"]],
    ["0-5 9-17 1,15 1-3 *", ["*-01..03-01,15 09..17:00..05:00"]],
    ["0 0 13 * fri", ["*-*-13 00:00:00", "Fri *-*-* 00:00:00"]],
  ];
  for (const [text, wanted] of rows) assertEquals(calendars(parseSchedule(text)), wanted, text);
});

const hasSystemd = commandWorks("systemd-analyze", "--version");

Deno.test(
  "calendars() and nextRun() say the same, as systemd-analyze reads them",
  { ignore: !hasSystemd },
  () => {
    const schedules = [
      "every 15m",
      "every 6h",
      "weekdays 08:30",
      "mon,thu 03:00",
      "monthly 31 04:00",
      "0 0 29 2 *",
      "3-50/9 */5 2-28/3 2,7 *",
      "0 12 */7 * fri",
      "0 12 13 * fri",
    ];
    // A winter, so that no clock is put forward.
    const base = new Date("2026-11-21T18:40:00");
    for (const text of schedules) {
      const schedule = parseSchedule(text);
      const wanted: number[] = [];
      for (let ms = base.getTime(); wanted.length < 4;) wanted.push(ms = nextRun(schedule, ms)!);
      const found = calendars(schedule).flatMap((calendar) => elapses(calendar, base));
      const sorted = [...new Set(found)].sort((a, b) => a - b);
      assertEquals(sorted.slice(0, 4), wanted, text);
    }
  },
);

/** Gives the first four times that systemd-analyze names. */
function elapses(calendar: string, base: Date): number[] {
  const { code, stdout, stderr } = new Deno.Command("systemd-analyze", {
    args: ["calendar", "--iterations=4", `--base-time=@${base.getTime() / 1000}`, calendar],
    env: { LC_ALL: "C" },
  }).outputSync();
  assertEquals(code, 0, new TextDecoder().decode(stderr));
  const lines = new TextDecoder().decode(stdout).matchAll(
    /(?:Next elapse|Iteration #\d+|Iter\. #\d+): \w+ ([\d-]+) ([\d:]+)/g,
  );
  const times = [...lines].map(([, day, time]) => new Date(`${day}T${time}`).getTime());
  assertTrue(times.length > 0, new TextDecoder().decode(stdout));
  return times;
}

function commandWorks(command: string, ...args: string[]): boolean {
  try {
    return new Deno.Command(command, { args, stdout: "null", stderr: "null" }).outputSync().success;
  } catch {
    return false;
  }
}
