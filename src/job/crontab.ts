/** Lines of crontab(5); pure. */
import { WormholeError } from "../base/errors.ts";
import type { Launch } from "./plan.ts";
import type { Schedule } from "./schedule.ts";

/** Longest line, in bytes: Vixie cron and its kin take commands of 1000. */
const MAX_LINE_BYTES = 990;

/** Words that no shell does anything to. */
const PLAIN = /^[A-Za-z0-9_\/.,:=+@-]+$/;

/**
 * Gives the line that runs a job.
 *
 * Cron hands what follows the five fields to a shell, after it has made line breaks of every `%` without a backslash. A
 * backslash itself means different things to different crons, so a word with one is refused.
 *
 * @throws {WormholeError} UNSUPPORTED for a word that cannot be written.
 */
export function crontabLine(name: string, schedule: Schedule, { program, variables }: Launch): string {
  const words = [
    ...variables.length > 0 ? ["env", ...variables.map(([key, value]) => `${key}=${value}`)] : [],
    ...program,
    ...runWords(name),
  ];
  const line = `${schedule.cron} ${words.map((word) => quoted(name, word)).join(" ")}`;
  if (new TextEncoder().encode(line).length > MAX_LINE_BYTES) {
    throw refused(name, "it would be too long for cron");
  }
  return line;
}

/** Gives the words after the program: quiet, so that cron sends mail only of what went wrong. */
export function runWords(name: string): string[] {
  return ["job", "run", "--quiet", name];
}

/** Gives a crontab with the line of a job, in the place of an older one. */
export function withJob(crontab: string, name: string, line: string): string {
  const rest = withoutJob(crontab, name);
  const gap = rest === "" || rest.endsWith("\n") ? "" : "\n";
  return `${rest}${gap}${headOf(name)}\n${line}\n`;
}

/** Gives a crontab without the line of a job; every other line stays as it is. */
export function withoutJob(crontab: string, name: string): string {
  const end = ` ${runWords(name).join(" ")}`;
  const lines = crontab.split("\n").filter((line) =>
    line !== headOf(name) && (line.trimStart().startsWith("#") || !line.endsWith(end))
  );
  return lines.join("\n");
}

function headOf(name: string): string {
  return `# wormhole job ${name}; "wormhole job remove ${name}" takes it away`;
}

function quoted(name: string, word: string): string {
  // deno-lint-ignore no-control-regex -- a line break would be another line of the crontab
  if (/[\u0000-\u001f\u007f\\]|[\ud800-\udfff]/u.test(word)) {
    throw refused(name, `${JSON.stringify(word)} has a backslash, or what is no text`);
  }
  // No backslash for a single quote either: it is put between double ones.
  const safe = PLAIN.test(word) ? word : `'${word.replaceAll("'", `'"'"'`)}'`;
  return safe.replaceAll("%", "\\%");
}

function refused(name: string, state: string): WormholeError {
  return new WormholeError("UNSUPPORTED", `Cannot write a crontab line for the job "${name}": ${state}`);
}
