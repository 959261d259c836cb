/** A service and a timer of systemd(1) for a person's own manager; pure. */
import { WormholeError } from "../base/errors.ts";
import { runWords } from "./crontab.ts";
import type { Launch } from "./plan.ts";
import { FULL, type Schedule } from "./schedule.ts";

const WEEKDAYS = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];

/** Gives the name of a job's units, without `.service` and `.timer`. */
export function unitName(name: string): string {
  return `wormhole-job-${name}`;
}

/**
 * Gives the text of the service. It is of type oneshot, so a start while it runs is no second run.
 *
 * @throws {WormholeError} UNSUPPORTED for a word that cannot be written.
 */
export function serviceUnit(name: string, { program, variables }: Launch): string {
  // systemd takes no quotes and backslashes in the path of a program, however they are written.
  const start = /["'\\]/.test(program[0]!) ? ["/bin/sh", "-c", 'exec "$0" "$@"'] : [];
  const words = [...start, ...program, ...runWords(name)]
    .map((word) => quoted(name, word).replaceAll("$", "$$$$"));
  return [
    "[Unit]",
    `Description=wormhole job ${name}`,
    "Documentation=man:wormhole(1)",
    "",
    "[Service]",
    "Type=oneshot",
    `ExecStart=${words.join(" ")}`,
    ...variables.map(([key, value]) => `Environment=${quoted(name, `${key}=${value}`)}`),
    "",
  ].join("\n");
}

/** Gives the text of the timer: what a machine slept through is done once when it wakes. */
export function timerUnit(name: string, schedule: Schedule): string {
  return [
    "[Unit]",
    `Description=wormhole job ${name}: when it runs`,
    "",
    "[Timer]",
    ...calendars(schedule).map((calendar) => `OnCalendar=${calendar}`),
    "Persistent=true",
    "AccuracySec=10s",
    "",
    "[Install]",
    "WantedBy=timers.target",
    "",
  ].join("\n");
}

/** Gives the times as systemd.time(7) writes them; two where a day of the month or of the week is enough. */
export function calendars(schedule: Schedule): string[] {
  const { minutes, hours, days, months, weekdays, isEither } = schedule;
  const time = `${list(hours, FULL.hours)}:${list(minutes, FULL.minutes)}:00`;
  const date = (of: readonly number[]) => `*-${list(months, FULL.months)}-${list(of, FULL.days)} ${time}`;
  const all = Array.from({ length: FULL.days }, (_, at) => at + 1);
  const named = weekdays.length === FULL.weekdays ? "" : `${names(weekdays)} `;
  return isEither ? [date(days), `${named}${date(all)}`] : [`${named}${date(days)}`];
}

/** Monday first, as systemd counts. */
function names(weekdays: readonly number[]): string {
  const sorted = weekdays.map((day) => (day + 6) % 7).sort((a, b) => a - b);
  return runs(sorted).map(([from, to]) => {
    const name = (day: number) => WEEKDAYS[(day + 1) % 7]!;
    return from === to ? name(from) : `${name(from)}..${name(to)}`;
  }).join(",");
}

function list(values: readonly number[], full: number): string {
  if (values.length === full) return "*";
  const two = (value: number) => String(value).padStart(2, "0");
  return runs(values).map(([from, to]) => from === to ? two(from) : `${two(from)}..${two(to)}`).join(",");
}

/** Gives the first and last of each row of numbers that follow each other. */
function runs(values: readonly number[]): [number, number][] {
  const found: [number, number][] = [];
  for (const value of values) {
    const last = found.at(-1);
    if (last !== undefined && last[1] === value - 1) last[1] = value;
    else found.push([value, value]);
  }
  return found;
}

/** As systemd.syntax(7) quotes; `%` would begin a specifier. */
function quoted(name: string, word: string): string {
  // deno-lint-ignore no-control-regex -- what is no text has no place in a unit
  if (/[\u0000-\u001f\u007f]|[\ud800-\udfff]/u.test(word)) {
    throw new WormholeError(
      "UNSUPPORTED",
      `Cannot write a unit for the job "${name}": ${JSON.stringify(word)} has what is no text`,
    );
  }
  const escaped = word.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("%", "%%");
  return /^[A-Za-z0-9_\/.,:=+@%-]+$/.test(escaped) ? escaped : `"${escaped}"`;
}
