/**
 * The tables of RESULTS.md, made from `bench/results/*.json`: `deno run -A bench/report.ts [NAME…]` writes them anew.
 */
import { cell, type Column } from "./columns.ts";
import { ROOT } from "./machine.ts";
import { readResults, type Results, type Row } from "./results.ts";

/** What a bench's section says besides its numbers. */
export interface Section {
  readonly name: string;
  readonly title: string;
  /** What the numbers are, in a few sentences. */
  readonly about: string;
  /** Jobs in the order of the tables, with what they are. */
  readonly jobs: Readonly<Record<string, string>>;
  readonly columns: readonly Column[];
}

const FILE = `${ROOT}/bench/RESULTS.md`;

/** Writes the section of `results` into RESULTS.md, in the place of the one before. */
export async function writeSection(section: Section, results: Results): Promise<void> {
  const text = await Deno.readTextFile(FILE).catch(() =>
    "# Results\n\nOnly what was measured; newest run of each bench.\n"
  );
  await Deno.writeTextFile(FILE, replaceSection(text, section.name, markdown(section, results)));
}

/** Gives the section as it stands in RESULTS.md. */
export function markdown({ name, title, about, jobs, columns }: Section, { rows }: Results): string {
  const lines = [`## ${title} (bench/${name}.ts)`, "", about, ""];
  for (const job of [...new Set([...Object.keys(jobs), ...rows.map(({ job }) => job)])]) {
    const own = rows.filter((row) => row.job === job);
    if (own.length === 0) continue;
    const shown = columns.filter((column) => own.some(({ samples }) => cell(column, samples) !== "-"));
    lines.push(`### ${jobs[job] ?? job}`, "", `${measuredAt(own)}.`, "");
    lines.push(`| tool | ${shown.map(({ header }) => header).join(" | ")} | runs |`);
    lines.push(`|---|${"---:|".repeat(shown.length + 1)}`);
    for (const row of own) lines.push(tableRow(row, shown));
    lines.push("");
  }
  const notes = new Map(
    rows.filter(({ note }) => note).map(({ tool, version, note }) => [tool, { version, note }]),
  );
  if (notes.size > 0) lines.push("How they were run:", "");
  for (const [tool, { version, note }] of notes) {
    lines.push(`- **${tool}**${version ? ` (${version.trim().split("\n")[0]})` : ""}: ${note}.`);
  }
  return lines.join("\n").trimEnd() + "\n";
}

/** Puts `section` between its marks in the text of RESULTS.md, after what is there when the marks are new. */
export function replaceSection(text: string, name: string, section: string): string {
  const [begin, end] = [`<!-- ${name}: begin -->`, `<!-- ${name}: end -->`];
  const marked = `${begin}\n${section}${end}`;
  const [from, to] = [text.indexOf(begin), text.indexOf(end)];
  if (from < 0 || to < 0) return `${text.trimEnd()}\n\n${marked}\n`;
  return text.slice(0, from) + marked + text.slice(to + end.length);
}

function tableRow({ tool, samples, failure }: Row, columns: readonly Column[]): string {
  if (samples.length === 0) {
    return `| ${tool} | failed: ${failure ?? "no run"} |${" |".repeat(Math.max(0, columns.length - 1))} 0 |`;
  }
  const cells = columns.map((column) => cell(column, samples));
  return `| ${
    [tool, ...cells, String(samples.length) + (failure ? ` (then failed: ${failure})` : "")].join(" | ")
  } |`;
}

/** When, of what and where; several of each when the rows come from several calls. */
function measuredAt(rows: readonly Row[]): string {
  const dates = rows.map(({ date }) => date).sort();
  const span = dates[0] === dates.at(-1) ? dates[0] : `${dates[0]} to ${dates.at(-1)}`;
  const commits = [...new Set(rows.map(({ commit }) => commit))].join(", ");
  const small = rows.some(({ quick }) => quick) ? ", with --quick (small inputs)" : "";
  return `Measured ${span} at commit ${commits}${small} on: ${
    [...new Set(rows.map(({ machine }) => machine))].join("; ")
  }`;
}

async function writeAll(names: readonly string[]): Promise<void> {
  const { BENCHES } = await import("./benches.ts");
  for (const name of names.length > 0 ? names : Object.keys(BENCHES)) {
    const load = BENCHES[name];
    if (load === undefined) throw new Error(`there is no bench ${name}`);
    const results = await readResults(name);
    if (results.rows.length > 0) await writeSection((await load()).section, results);
  }
}

// Not awaited: the benches import this module, which is not ready before its top level is through.
if (import.meta.main) writeAll(Deno.args);
