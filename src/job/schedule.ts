/** When a job runs: plain words or a cron expression, as sets of minutes, hours and days; pure. */
import { WormholeError } from "../base/errors.ts";
import { parseCronFields, weekdayNumber } from "./cron_expression.ts";

/** When to run, in local time. All lists are sorted. */
export interface Schedule {
  /** The five fields of crontab(5), numbers only. */
  readonly cron: string;
  readonly minutes: readonly number[];
  readonly hours: readonly number[];
  /** From 1. */
  readonly days: readonly number[];
  /** From 1. */
  readonly months: readonly number[];
  /** From 0, Sunday. */
  readonly weekdays: readonly number[];
  /** A day of the month or of the week is enough, as in cron when both are given; otherwise both must match. */
  readonly isEither: boolean;
}

/** Numbers of every field that is not bound. */
export const FULL = { minutes: 60, hours: 24, days: 31, months: 12, weekdays: 7 } as const;

const WANTED =
  "give every 15m, hourly, daily 02:00, weekdays 08:30, mon,thu 03:00, monthly 1 04:00, or five fields " +
  "as in crontab";

/** Days that are looked through for the next run: 29 February on one day of the week comes every 28 years, or 40. */
const MAX_DAYS = 41 * 366;

const NICKNAMES: Readonly<Record<string, string>> = {
  hourly: "0 * * * *",
  daily: "0 0 * * *",
  midnight: "0 0 * * *",
  weekly: "0 0 * * 0",
  monthly: "0 0 1 * *",
  yearly: "0 0 1 1 *",
  annually: "0 0 1 1 *",
};

/**
 * Reads a schedule.
 *
 * @throws {WormholeError} INVALID_ARGUMENT for what is none, or never comes.
 */
export function parseSchedule(text: string): Schedule {
  const words = text.trim().toLowerCase().split(/\s+/);
  const wrong = (state: string) =>
    new WormholeError("INVALID_ARGUMENT", `Cannot run ${JSON.stringify(text.slice(0, 80))}: ${state}`);
  const cron = words.length === 5 && /^[\d*]/.test(words[0]!) ? words : plain(words);
  if (typeof cron === "string") throw wrong(cron);
  const fields = parseCronFields(cron);
  if (typeof fields === "string") throw wrong(fields);
  const [minute, hour, day, month, weekday] = fields;
  const schedule: Schedule = {
    cron: fields.map((field) => field.text).join(" "),
    minutes: minute!.values,
    hours: hour!.values,
    days: day!.values,
    months: month!.values,
    weekdays: weekday!.values,
    isEither: !day!.isStar && !weekday!.isStar,
  };
  // Whatever the year, 30 February does not come; the start plays no part beyond leap years.
  if (nextRun(schedule, Date.UTC(2024, 0, 1)) === undefined) throw wrong("there is no such day");
  return schedule;
}

/** Gives the time of the first run after `ms` (since 1970); undefined when there is none. */
export function nextRun(schedule: Schedule, ms: number): number | undefined {
  const start = new Date(ms);
  const [year, month, date] = [start.getFullYear(), start.getMonth(), start.getDate()];
  for (let day = 0; day < MAX_DAYS; day++) {
    const at = new Date(year, month, date + day);
    if (!isDue(schedule, at)) continue;
    for (const hour of schedule.hours) {
      for (const minute of schedule.minutes) {
        const time = new Date(at.getFullYear(), at.getMonth(), at.getDate(), hour, minute);
        // Where clocks are put forward this hour is another one.
        if (time.getHours() === hour && time.getTime() > ms) return time.getTime();
      }
    }
  }
  return undefined;
}

function isDue({ days, months, weekdays, isEither }: Schedule, at: Date): boolean {
  if (!months.includes(at.getMonth() + 1)) return false;
  const isDay = days.includes(at.getDate()), isWeekday = weekdays.includes(at.getDay());
  return isEither ? isDay || isWeekday : isDay && isWeekday;
}

/** Gives the cron fields of plain words, or what is wrong with them. */
function plain(words: readonly string[]): string[] | string {
  const first = words[0]!.replace(/^@/, "");
  if (first === "every") return every(words.slice(1).join(""));
  const nickname = NICKNAMES[first];
  if (words.length === 1 && nickname !== undefined) return nickname.split(" ");
  const time = timeOf(words.at(-1)!);
  if (time === undefined) return WANTED;
  const [hour, minute] = time;
  const at = (rest: string) => `${minute} ${hour} ${rest}`.split(" ");
  const middle = words.slice(1, -1);
  if (first === "monthly" && middle.length === 1 && /^\d{1,2}$/.test(middle[0]!)) {
    return at(`${middle[0]} * *`);
  }
  if (first === "weekly" && middle.length === 1) return weekdaysAt(middle[0]!, at);
  if (middle.length > 0) return WANTED;
  if (first === "daily") return at("* * *");
  if (first === "weekdays") return at("* * 1-5");
  if (first === "weekends") return at("* * 0,6");
  return weekdaysAt(first, at);
}

function weekdaysAt(words: string, at: (rest: string) => string[]): string[] | string {
  const days = words.split(",").map(weekdayNumber);
  return days.includes(undefined) ? WANTED : at(`* * ${days.join(",")}`);
}

/** `15m`, `2h`, `1d`, `hour`, `minute`: what divides an hour or a day, since schedulers know times and no distances. */
function every(word: string): string[] | string {
  const match = /^(\d{1,4})?(m|min|minutes?|h|hours?|d|days?)$/.exec(word);
  if (match === null) return WANTED;
  const count = match[1] === undefined ? 1 : Number(match[1]);
  const unit = match[2]![0]!;
  const minutes = unit === "m" ? count : unit === "h" ? count * 60 : count * 1440;
  if (minutes >= 1 && minutes < 60 && 60 % minutes === 0) {
    return `${minutes === 1 ? "*" : `*/${minutes}`} * * * *`.split(" ");
  }
  const hours = minutes / 60;
  if (Number.isInteger(hours) && hours >= 1 && hours <= 24 && 24 % hours === 0) {
    return `0 ${hours === 1 ? "*" : hours === 24 ? "0" : `*/${hours}`} * * *`.split(" ");
  }
  return "the time must divide an hour (1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30 minutes) or a day (1, 2, 3, 4, 6, 8, 12, 24 hours)";
}

function timeOf(word: string): [number, number] | undefined {
  const match = /^(\d{1,2}):(\d{2})$/.exec(word);
  if (match === null) return undefined;
  const [hour, minute] = [Number(match[1]), Number(match[2])];
  return hour < 24 && minute < 60 ? [hour, minute] : undefined;
}
