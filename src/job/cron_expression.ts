/** The five fields of crontab(5): minute, hour, day of month, month, day of week. */

/** What one field allows. */
export interface CronField {
  /** Numbers only, as every cron understands it. */
  readonly text: string;
  /** Sorted; days of the week from 0, Sunday. */
  readonly values: readonly number[];
  /** It begins with `*`, which for days decides whether both fields must match or one is enough. */
  readonly isStar: boolean;
}

interface FieldKind {
  readonly name: string;
  readonly min: number;
  readonly max: number;
  readonly names?: readonly string[];
}

const MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

const KINDS: readonly FieldKind[] = [
  { name: "minute", min: 0, max: 59 },
  { name: "hour", min: 0, max: 23 },
  { name: "day", min: 1, max: 31 },
  { name: "month", min: 1, max: 12, names: MONTHS },
  { name: "weekday", min: 0, max: 7, names: DAYS },
];

/** Gives the number of a day of the week (0: Sunday) by its English name or three letters of it. */
export function weekdayNumber(word: string): number | undefined {
  const at = DAYS.indexOf(word.slice(0, 3));
  const full = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"][at];
  return at >= 0 && (word === DAYS[at] || word === full) ? at : undefined;
}

/** Reads five fields; a sentence about what is wrong instead when they are none. */
export function parseCronFields(words: readonly string[]): readonly CronField[] | string {
  const fields: CronField[] = [];
  for (const [at, kind] of KINDS.entries()) {
    const field = parseField(words[at]!.toLowerCase(), kind);
    if (typeof field === "string") return field;
    fields.push(field);
  }
  return fields;
}

function parseField(word: string, kind: FieldKind): CronField | string {
  const values = new Set<number>();
  const texts: string[] = [];
  for (const part of word.split(",")) {
    const range = parsePart(part, kind);
    if (range === undefined) return `${JSON.stringify(part)} is no ${kind.name} of crontab(5)`;
    const { from, to, step, text } = range;
    // Sunday is 0 and 7.
    for (let value = from; value <= to; value += step) values.add(kind.max === 7 ? value % 7 : value);
    texts.push(text);
  }
  return {
    text: texts.join(","),
    values: [...values].sort((a, b) => a - b),
    isStar: word.startsWith("*"),
  };
}

function parsePart(
  part: string,
  kind: FieldKind,
): { from: number; to: number; step: number; text: string } | undefined {
  const match = /^(\*|([a-z0-9]+)(?:-([a-z0-9]+))?)(?:\/(\d{1,2}))?$/.exec(part);
  if (match === null) return undefined;
  const [, whole, first, last, every] = match;
  const step = every === undefined ? 1 : Number(every);
  if (step < 1) return undefined;
  if (whole === "*") {
    const max = kind.max === 7 ? 6 : kind.max;
    return { from: kind.min, to: max, step, text: step === 1 ? "*" : `*/${step}` };
  }
  const from = numberOf(first!, kind);
  const to = last !== undefined
    ? numberOf(last, kind)
    : every === undefined
    ? from
    : kind.max === 7
    ? 6
    : kind.max;
  if (from === undefined || to === undefined || to < from) return undefined;
  const range = from === to ? `${from}` : `${from}-${to}`;
  return { from, to, step, text: step === 1 || from === to ? range : `${range}/${step}` };
}

function numberOf(word: string, { min, max, names }: FieldKind): number | undefined {
  const named = names?.indexOf(word) ?? -1;
  if (named >= 0) return named + min;
  if (!/^\d{1,2}$/.test(word)) return undefined;
  const value = Number(word);
  return value >= min && value <= max ? value : undefined;
}
