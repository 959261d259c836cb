/** A task for Windows' Task Scheduler (schema 1.2); pure. Never run there yet. */
import { WormholeError } from "../base/errors.ts";
import { runWords } from "./crontab.ts";
import type { Launch } from "./plan.ts";
import { FULL, type Schedule } from "./schedule.ts";
import { xmlText } from "./xml.ts";

/** Triggers that a task takes. */
const MAX_TRIGGERS = 48;

const WEEKDAYS = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS = [
  "January",
  "February",
  "March",
  "April",
  "May",
  "June",
  "July",
  "August",
  "September",
  "October",
  "November",
  "December",
];

/** Gives the name of a job's task. */
export function taskName(name: string): string {
  return `Wormhole\\${name}`;
}

/**
 * Gives the task as XML. It never runs twice at a time, and what was slept through is done once afterwards.
 *
 * @throws {WormholeError} UNSUPPORTED for a word that cannot be written, or a schedule that takes too many triggers.
 */
export function taskXml(name: string, schedule: Schedule, { program }: Launch): string {
  const [command, ...rest] = program;
  const words = [...rest, ...runWords(name)].map(windowsQuoted).join(" ");
  return [
    '<?xml version="1.0" encoding="UTF-16"?>',
    '<Task version="1.2" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task">',
    `  <RegistrationInfo><Description>wormhole job ${xmlText(name, name)}</Description></RegistrationInfo>`,
    "  <Triggers>",
    ...triggers(name, schedule).map((trigger) => `    ${trigger}`),
    "  </Triggers>",
    '  <Principals><Principal id="Author"><LogonType>InteractiveToken</LogonType>' +
    "<RunLevel>LeastPrivilege</RunLevel></Principal></Principals>",
    "  <Settings>",
    "    <MultipleInstancesPolicy>IgnoreNew</MultipleInstancesPolicy>",
    "    <DisallowStartIfOnBatteries>false</DisallowStartIfOnBatteries>",
    "    <StopIfGoingOnBatteries>false</StopIfGoingOnBatteries>",
    "    <StartWhenAvailable>true</StartWhenAvailable>",
    "    <ExecutionTimeLimit>PT0S</ExecutionTimeLimit>",
    "  </Settings>",
    '  <Actions Context="Author">',
    `    <Exec><Command>${xmlText(command!, name)}</Command><Arguments>${
      xmlText(words, name)
    }</Arguments></Exec>`,
    "  </Actions>",
    "</Task>",
    "",
  ].join("\r\n");
}

/** Quotes a word as CommandLineToArgvW reads it: backslashes count only before a quote. */
export function windowsQuoted(word: string): string {
  if (word !== "" && !/[\s"]/.test(word)) return word;
  return `"${word.replace(/(\\*)"/g, '$1$1\\"').replace(/(\\+)$/, "$1$1")}"`;
}

function triggers(name: string, schedule: Schedule): string[] {
  const all = daysOf(name, schedule).flatMap((days) =>
    timesOf(schedule).map(({ hour, minute, repeat }) => {
      const two = (value: number) => String(value).padStart(2, "0");
      const repetition = repeat === undefined
        ? ""
        : `<Repetition><Interval>${repeat}</Interval><Duration>P1D</Duration></Repetition>`;
      const start = `<StartBoundary>2024-01-01T${two(hour)}:${two(minute)}:00</StartBoundary>`;
      return `<CalendarTrigger>${repetition}${start}${days}</CalendarTrigger>`;
    })
  );
  if (all.length <= MAX_TRIGGERS) return all;
  throw new WormholeError(
    "UNSUPPORTED",
    `Cannot write the job "${name}" for Windows: its schedule has ${all.length} times a day, more than ${MAX_TRIGGERS}`,
  );
}

/** Times of a day; what comes at even distances all day is one time that repeats. */
function timesOf({ minutes, hours }: Schedule): { hour: number; minute: number; repeat?: string }[] {
  const minuteStep = stepOf(minutes, FULL.minutes), hourStep = stepOf(hours, FULL.hours);
  if (hours.length === FULL.hours && minuteStep !== undefined) {
    return [{ hour: 0, minute: minutes[0]!, repeat: minuteStep === 60 ? "PT1H" : `PT${minuteStep}M` }];
  }
  if (minutes.length === 1 && hourStep !== undefined && hourStep < 24) {
    return [{ hour: hours[0]!, minute: minutes[0]!, repeat: `PT${hourStep}H` }];
  }
  return hours.flatMap((hour) => minutes.map((minute) => ({ hour, minute })));
}

/** The distance between values when it is even, also round the end of `full`. */
function stepOf(values: readonly number[], full: number): number | undefined {
  const step = full / values.length;
  return values.every((value, at) => value === values[0]! + at * step) ? step : undefined;
}

function daysOf(name: string, schedule: Schedule): string[] {
  const { days, months, weekdays, isEither } = schedule;
  const allDays = days.length === FULL.days, allMonths = months.length === FULL.months;
  const allWeekdays = weekdays.length === FULL.weekdays;
  const monthList = `<Months>${months.map((month) => `<${MONTHS[month - 1]} />`).join("")}</Months>`;
  const byMonth =
    `<ScheduleByMonth><DaysOfMonth>${days.map((day) => `<Day>${day}</Day>`).join("")}</DaysOfMonth>` +
    `${monthList}</ScheduleByMonth>`;
  const names = `<DaysOfWeek>${weekdays.map((day) => `<${WEEKDAYS[day]} />`).join("")}</DaysOfWeek>`;
  const weeks = ["1", "2", "3", "4", "Last"].map((week) => `<Week>${week}</Week>`).join("");
  const byWeekday = allMonths
    ? `<ScheduleByWeek><WeeksInterval>1</WeeksInterval>${names}</ScheduleByWeek>`
    : `<ScheduleByMonthDayOfWeek><Weeks>${weeks}</Weeks>${names}${monthList}</ScheduleByMonthDayOfWeek>`;
  if (isEither) return [byMonth, byWeekday];
  if (!allDays && !allWeekdays) {
    throw new WormholeError(
      "UNSUPPORTED",
      `Cannot write the job "${name}" for Windows: it takes a day of the month or of the week, not both`,
    );
  }
  if (!allWeekdays) return [byWeekday];
  if (!allDays || !allMonths) return [byMonth];
  return ["<ScheduleByDay><DaysInterval>1</DaysInterval></ScheduleByDay>"];
}
