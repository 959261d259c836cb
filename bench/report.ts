/** Results as JSON and as a table in RESULTS.md. */
import type { Move } from "./contenders.ts";
import type { Job } from "./jobs.ts";

/** All runs of one tool with one job. */
export interface Series {
  readonly tool: string;
  readonly job: string;
  readonly moves: readonly Move[];
  /** Why the tool could not do the job; it is not asked again. */
  readonly failure?: string;
}

/** One run of the bench. */
export interface Result {
  readonly date: string;
  readonly commit: string;
  readonly machine: string;
  readonly quick: boolean;
  readonly jobs: readonly Job[];
  readonly tools: readonly { readonly name: string; readonly version: string; readonly note: string }[];
  readonly missing: readonly string[];
  readonly series: readonly Series[];
}

/** Seconds from the first start to the last end. */
export function wallSeconds({ sender, receiver }: Move): number {
  return Math.max(sender.end, receiver?.end ?? 0) - Math.min(sender.start, receiver?.start ?? Infinity);
}

/** The middle value; the mean of the two middle ones when their number is even. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** Gives the section for RESULTS.md. */
export function markdown(result: Result): string {
  const lines = [
    `Measured ${result.date} at commit ${result.commit}${
      result.quick ? ", with --quick (small jobs)" : ""
    } on:`,
    `${result.machine}. From tmpfs to tmpfs over loopback; whole commands, start-up included; medians of the runs,`,
    "the range of the wall time in brackets. Peak memory is the resident set of the largest process; 8 MiB is the wrapper's own floor.",
    "",
  ];
  for (const job of result.jobs) {
    lines.push(`### ${job.description}`, "");
    lines.push(
      "| tool | wall s | MiB/s | CPU s sender | CPU s receiver | peak MiB sender | peak MiB receiver | runs |",
    );
    lines.push("|---|---:|---:|---:|---:|---:|---:|---:|");
    for (const { tool, moves, failure } of result.series.filter((series) => series.job === job.name)) {
      lines.push(
        moves.length > 0 ? row(tool, moves, job.bytes) : `| ${tool} | failed: ${failure} | | | | | | 0 |`,
      );
    }
    lines.push("");
  }
  lines.push("How they were run:", "");
  for (const { name, version, note } of result.tools) {
    lines.push(`- **${name}** (${version.trim()}): ${note}.`);
  }
  for (const missing of result.missing) lines.push(`- Not measured: ${missing}.`);
  return lines.join("\n") + "\n";
}

/** Puts `section` between its marks in the text of RESULTS.md, after what is there when the marks are new. */
export function replaceSection(text: string, name: string, section: string): string {
  const [begin, end] = [`<!-- ${name}: begin -->`, `<!-- ${name}: end -->`];
  const marked = `${begin}\n${section}${end}`;
  const [from, to] = [text.indexOf(begin), text.indexOf(end)];
  if (from < 0 || to < 0) return `${text.trimEnd()}\n\n${marked}\n`;
  return text.slice(0, from) + marked + text.slice(to + end.length);
}

/** Describes this machine in one phrase. */
export async function describeMachine(): Promise<string> {
  const cpu = (await Deno.readTextFile("/proc/cpuinfo").catch(() => "")).match(/model name\s*: (.*)/)?.[1];
  const memory = Math.round(Deno.systemMemoryInfo().total / 2 ** 30);
  const cores = navigator.hardwareConcurrency;
  return `${cpu ?? Deno.build.arch}, ${cores} cores, ${memory} GiB, ${Deno.build.os} ${Deno.osRelease()}, ` +
    `Deno ${Deno.version.deno}`;
}

function row(tool: string, moves: readonly Move[], bytes: number): string {
  const walls = moves.map(wallSeconds);
  const wall = median(walls);
  const [low, high] = [Math.min(...walls), Math.max(...walls)];
  const receivers = moves.flatMap(({ receiver }) => receiver ?? []);
  const cells = [
    tool,
    `${wall.toFixed(2)} (${low.toFixed(2)}-${high.toFixed(2)})`,
    bytes > 1 ? (bytes / 2 ** 20 / wall).toFixed(0) : "-",
    median(moves.map(({ sender }) => sender.cpu)).toFixed(2),
    receivers.length > 0 ? median(receivers.map(({ cpu }) => cpu)).toFixed(2) : "-",
    (median(moves.map(({ sender }) => sender.peakRss)) / 2 ** 20).toFixed(0),
    receivers.length > 0 ? (median(receivers.map(({ peakRss }) => peakRss)) / 2 ** 20).toFixed(0) : "-",
    String(moves.length),
  ];
  return `| ${cells.join(" | ")} |`;
}
