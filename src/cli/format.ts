/** Sizes, times, rates and widths as people read them; pure. */

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

/** Formats bytes in powers of 1024 with three digits: "1.46 GiB". */
export function formatSize(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 999.5 && unit < UNITS.length - 1) {
    value /= 1024;
    unit++;
  }
  if (unit === 0) return `${Math.round(value)} B`;
  const digits = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
  return `${value.toFixed(digits)} ${UNITS[unit]}`;
}

/** Formats a rate: "87.3 MiB/s". */
export function formatRate(bytesPerSecond: number): string {
  return `${formatSize(bytesPerSecond)}/s`;
}

/** Formats a time as its two largest units: "4s", "1m 05s", "2h 03m", "3d 4h". */
export function formatDuration(ms: number): string {
  const seconds = Math.round(ms / 1000);
  if (seconds < 60) return `${seconds}s`;
  const two = (number: number) => String(number).padStart(2, "0");
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m ${two(seconds % 60)}s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 1440) return `${Math.floor(minutes / 60)}h ${two(minutes % 60)}m`;
  return `${Math.floor(minutes / 1440)}d ${Math.floor((minutes % 1440) / 60)}h`;
}

/** Formats a count with its noun: "1 file", "3 files". */
export function counted(count: number, noun: string, plural: string = `${noun}s`): string {
  return `${count} ${count === 1 ? noun : plural}`;
}

const NO_WIDTH = /\p{Mn}|\p{Me}|[\ufe00-\ufe0f\u200d]/u;
const TWO_WIDE =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\ua960-\ua97f\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1f64f}\u{1f680}-\u{1f6ff}\u{1f900}-\u{1faff}\u{20000}-\u{3fffd}]/u;

/** Gives the columns that `text` takes on a terminal (Unicode East Asian Width, roughly). */
export function displayWidth(text: string): number {
  let width = 0;
  for (const character of text) width += NO_WIDTH.test(character) ? 0 : TWO_WIDE.test(character) ? 2 : 1;
  return width;
}

/** Shortens `text` to `columns` by leaving out its middle: the end of a file name tells its kind. */
export function shorten(text: string, columns: number): string {
  if (displayWidth(text) <= columns) return text;
  if (columns <= 1) return columns === 1 ? "…" : "";
  const characters = [...text];
  const tail: string[] = [];
  let left = columns - 1;
  const tailColumns = Math.floor(left / 2);
  for (let used = 0; characters.length > 0; left -= displayWidth(tail[0]!)) {
    used += displayWidth(characters.at(-1)!);
    if (used > tailColumns) break;
    tail.unshift(characters.pop()!);
  }
  let head = "";
  for (const character of characters) {
    left -= displayWidth(character);
    if (left < 0) break;
    head += character;
  }
  return `${head}…${tail.join("")}`;
}

/** Breaks `text` into lines of at most `columns`, at spaces. */
export function wrap(text: string, columns: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(/\s+/).filter((word) => word !== "")) {
    if (line !== "" && displayWidth(line) + 1 + displayWidth(word) > columns) {
      lines.push(line);
      line = word;
    } else line = line === "" ? word : `${line} ${word}`;
  }
  if (line !== "") lines.push(line);
  return lines;
}
