import type { ChangeEvent, CopiedEvent, DeletionsEvent } from "./events_copy.ts";
import { counted, formatDuration, formatRate, formatSize } from "./format.ts";
import { safe } from "./safe.ts";
import type { Styles } from "./terminal.ts";

const WORDS: Readonly<Record<ChangeEvent["what"], string>> = {
  new: "new",
  content: "changed",
  attributes: "attributes",
  kind: "replaced",
  delete: "deleted",
};

const KINDS: Readonly<Record<ChangeEvent["kind"], string>> = {
  file: "file",
  directory: "folder",
  symlink: "link",
  special: "special",
  hardlink: "hard link",
};

/** Gives the line for one entry: what, which kind, where, how many bytes, how they moved. */
export function changeText(
  { what, kind, path, bytes, method, dry_run }: ChangeEvent,
  styles: Styles,
): string {
  const word = what === "delete" && dry_run ? "delete" : WORDS[what];
  const shown = word.padEnd(10);
  const more = kind === "file" && (what === "new" || what === "content")
    ? [formatSize(bytes), ...method === null ? [] : [method]]
    : [];
  const about = more.length === 0 ? "" : `  (${more.join(", ")})`;
  return `${what === "delete" ? styles.red(shown) : shown} ${KINDS[kind].padEnd(9)} ${safe(path)}${about}`;
}

/** Gives the summary of what would be deleted. */
export function deletionsText({ entries, directories, of, reason }: DeletionsEvent): string {
  const folders = directories === 0 ? "" : `, ${counted(directories, "folder")} among them`;
  const why = reason === null ? "" : `: ${safe(reason)}`;
  return `To delete: ${counted(entries, "entry", "entries")} of ${of}${folders}${why}.`;
}

/** Gives the end of a copy in one or two sentences. */
export function copiedText(event: CopiedEvent): string {
  const { bytes, duration_ms: ms, dry_run, interrupted } = event;
  const speed = !dry_run && ms > 0 && bytes > 0 ? `, ${formatRate(bytes / (ms / 1000))}` : "";
  const verb = interrupted ? "Stopped after" : dry_run ? "Would copy" : "Copied";
  const took = ms < 1000 ? `${Math.round(ms)}ms` : formatDuration(ms);
  const others = [
    [event.directories, "folder"],
    [event.symlinks, "link"],
    [event.hardlinks, "hard link"],
    [event.specials, "special"],
  ] as const;
  const what = [
    counted(event.files, "file"),
    ...others.filter(([count]) => count > 0).map(([count, noun]) => counted(count, noun)),
    formatSize(bytes),
  ];
  const parts = [`${verb} ${what.join(", ")} in ${took}${speed}.`];
  if (event.unchanged > 0) parts.push(`Unchanged: ${event.unchanged}.`);
  if (event.deleted > 0) parts.push(`${dry_run ? "To delete" : "Deleted"}: ${event.deleted}.`);
  if (event.failed > 0) parts.push(`Failed: ${event.failed}.`);
  const text = parts.join(" ");
  if (!interrupted) return text;
  return `${text}\nWhat has its name is complete. The same command with --resume goes on from here.`;
}
