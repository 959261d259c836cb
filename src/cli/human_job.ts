/** Sentences for the events of `wormhole job`. */
import type { JobEvent, JobPlanEvent, JobRunEvent } from "./events_job.ts";
import { counted, formatDuration } from "./format.ts";
import { safe } from "./safe.ts";
import type { Styles } from "./terminal.ts";

/** One job in three lines. */
export function jobText(event: JobEvent, styles: Styles): string {
  const { name, command, schedule, with: by, next_at, running, last } = event;
  const when = schedule === null ? "when told to" : `${safe(schedule)} (${by === "none" ? "by nobody" : by})`;
  const next = next_at === null ? "" : `, next ${localTime(next_at)}`;
  const before = running
    ? "running now"
    : last === null
    ? "never ran"
    : `last ${localTime(last.started_at)}: ${endText(last, styles)}`;
  return [
    `${styles.bold(safe(name))}  ${when}${next}`,
    `  wormhole ${safe(shellWords(command))}`,
    `  ${before}`,
  ].join("\n");
}

/** What is written where. */
export function jobPlanText(event: JobPlanEvent, styles: Styles): string {
  const { name, action, writes, removes, crontab, runs, notes, next_at, dry_run: dry, with: by } = event;
  const lines: string[] = [];
  for (const { path, text } of writes) {
    lines.push(`${styles.bold(`write ${safe(path)}`)}`);
    lines.push(...text.trimEnd().split(/\r?\n/).map((line) => `  ${safe(line)}`));
  }
  for (const path of removes) lines.push(`remove ${safe(path)}`);
  if (crontab !== null) lines.push(`${styles.bold("crontab")}\n  ${safe(crontab)}`);
  else if (by === "cron") lines.push("take its line out of the crontab");
  for (const words of runs) lines.push(`run ${safe(shellWords(words))}`);
  const done = dry
    ? "Nothing was done: --dry-run."
    : action === "add"
    ? `Added ${safe(name)}.`
    : `Removed ${safe(name)}.`;
  const next = next_at === null || dry ? "" : ` First run: ${localTime(next_at)}.`;
  return [...lines, ...notes.map((note) => `${styles.dim(safe(note))}`), `${done}${next}`].join("\n");
}

/** One run of a job. */
export function jobRunText(event: JobRunEvent, styles: Styles): string {
  const { name, started_at, duration_ms } = event;
  const took = duration_ms < 1000 ? `${duration_ms}ms` : formatDuration(duration_ms);
  const what = event.exit === null ? "" : ` (${took})`;
  return `${localTime(started_at)}  ${safe(name)}: ${summary(event)}${endText(event, styles)}${what}`;
}

function endText({ exit, message }: { exit: number | null; message: string | null }, styles: Styles): string {
  if (exit === null) return styles.yellow("cut off");
  if (exit === 0) return "ok";
  return `${styles.red(`exit ${exit}`)} ${safe(message ?? "")}`.trimEnd();
}

/** What was changed, if anything was. */
function summary({ report }: JobRunEvent): string {
  if (typeof report !== "object" || report === null) return "";
  const { alpha, beta, files } = report as Record<string, unknown>;
  const of = (side: unknown) => Number((side as { changes?: unknown } | undefined)?.changes ?? 0);
  const changes = of(alpha) + of(beta);
  if (changes > 0) return `${counted(changes, "change")}, `;
  return typeof files === "number" && files > 0 ? `${counted(files, "file")}, ` : "";
}

/** Words as they could be typed, for people to read. */
function shellWords(words: readonly string[]): string {
  return words.map((word) =>
    /^[A-Za-z0-9_\/.,:=+@%~^-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`
  )
    .join(" ");
}

/** 2026-11-21 18:00, local: schedules are. */
function localTime(iso: string): string {
  const time = new Date(iso);
  if (Number.isNaN(time.getTime())) return safe(iso);
  const two = (value: number) => String(value).padStart(2, "0");
  const day = `${time.getFullYear()}-${two(time.getMonth() + 1)}-${two(time.getDate())}`;
  return `${day} ${two(time.getHours())}:${two(time.getMinutes())}`;
}
