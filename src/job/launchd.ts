/** A property list for launchd, macOS; pure. Never run there yet. */
import { WormholeError } from "../base/errors.ts";
import { runWords } from "./crontab.ts";
import type { Launch } from "./plan.ts";
import { FULL, type Schedule } from "./schedule.ts";
import { xmlText } from "./xml.ts";

/** Most times that are written out one by one. */
const MAX_TIMES = 1024;

/** Gives the label of a job, which is its file's name too. */
export function launchLabel(name: string): string {
  return `dev.wormhole.job.${name}`;
}

/**
 * Gives the property list. What a machine slept through launchd does once when it wakes.
 *
 * @throws {WormholeError} UNSUPPORTED for a word that cannot be written, or too many times.
 */
export function launchPlist(name: string, schedule: Schedule, { program, variables }: Launch): string {
  const string = (text: string) => `<string>${xmlText(text, name)}</string>`;
  const words = [...program, ...runWords(name)];
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    '<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">',
    '<plist version="1.0">',
    "<dict>",
    `  <key>Label</key>${string(launchLabel(name))}`,
    "  <key>ProgramArguments</key>",
    "  <array>",
    ...words.map((word) => `    ${string(word)}`),
    "  </array>",
    ...variables.length === 0 ? [] : [
      "  <key>EnvironmentVariables</key>",
      "  <dict>",
      ...variables.map(([key, value]) => `    <key>${xmlText(key, name)}</key>${string(value)}`),
      "  </dict>",
    ],
    "  <key>ProcessType</key><string>Background</string>",
    "  <key>StartCalendarInterval</key>",
    "  <array>",
    ...intervals(name, schedule).map((keys) => {
      const pairs = keys.map(([key, value]) => `<key>${key}</key><integer>${value}</integer>`);
      return `    <dict>${pairs.join("")}</dict>`;
    }),
    "  </array>",
    "</dict>",
    "</plist>",
    "",
  ].join("\n");
}

type Interval = readonly (readonly [string, number])[];

/** Every combination, one dictionary each; what is not bound is left out. */
function intervals(name: string, schedule: Schedule): Interval[] {
  const { minutes, hours, days, months, weekdays, isEither } = schedule;
  const parts = (withDays: boolean, withWeekdays: boolean) =>
    combined([
      ["Month", months, FULL.months],
      ...withDays ? [["Day", days, FULL.days] as const] : [],
      ...withWeekdays ? [["Weekday", weekdays, FULL.weekdays] as const] : [],
      ["Hour", hours, FULL.hours],
      ["Minute", minutes, FULL.minutes],
    ]);
  const bound = days.length < FULL.days && weekdays.length < FULL.weekdays;
  if (bound && !isEither) {
    throw new WormholeError(
      "UNSUPPORTED",
      `Cannot write the job "${name}" for launchd: it takes a day of the month or of the week, not both`,
    );
  }
  const all = isEither ? [...parts(true, false), ...parts(false, true)] : parts(true, true);
  if (all.length <= MAX_TIMES) return all;
  throw new WormholeError(
    "UNSUPPORTED",
    `Cannot write the job "${name}" for launchd: the schedule has ${all.length} times, more than ${MAX_TIMES}`,
  );
}

function combined(fields: readonly (readonly [string, readonly number[], number])[]): Interval[] {
  let rows: Interval[] = [[]];
  for (const [key, values, full] of fields) {
    if (values.length === full) continue;
    rows = rows.flatMap((row) => values.map((value) => [...row, [key, value] as const]));
  }
  return rows;
}
