import { WormholeError } from "../base/errors.ts";
import { similar } from "../config/similar.ts";
import type { ValueType } from "../config/values.ts";
import { COMMON_FLAGS } from "./common_flags.ts";
import { type Command, type Flag, isOverride, longName, type Positional } from "./definition.ts";
import { displayWidth, wrap } from "./format.ts";
import { PROGRAM, visibleCommands } from "./table.ts";

/** Widest text: longer lines are hard to read. */
const MAX_COLUMNS = 100;
const MIN_COLUMNS = 40;

/** Column at which explanations begin. */
const INDENT = 30;

/**
 * Gives the help for `topic`: "" for the program, a command, or the first word of several.
 *
 * @throws {WormholeError} USAGE when there is no such command.
 */
export function helpText(topic: string, columns: number): string {
  const width = Math.max(MIN_COLUMNS, Math.min(MAX_COLUMNS, columns));
  if (topic === "") return programHelp(width);
  const commands = visibleCommands();
  const one = commands.find(({ name }) => name === topic);
  if (one) return commandHelp(one, width);
  const group = commands.filter(({ name }) => name.startsWith(`${topic} `));
  if (group.length > 0) return group.map((command) => commandHelp(command, width)).join("\n");
  const meant = similar(topic, commands.map(({ name }) => name));
  const hint = meant ? `; did you mean "${meant}"?` : "";
  throw new WormholeError(
    "USAGE",
    `Cannot explain ${JSON.stringify(topic)}: there is no such command${hint}`,
  );
}

/** Gives a command with its arguments as they are typed: "wormhole recv [FLAGS] [CODE]". */
export function usageLine(command: Command): string {
  const positionals = Object.values(command.positionals).map(positionalText);
  const flags = Object.keys(command.flags).length > 0 ? ["[FLAGS]"] : [];
  return [PROGRAM.name, command.name, ...flags, ...positionals].join(" ");
}

/** Gives a flag as it is typed: "-o, --output DIR", "--[no-]dedup". */
export function flagText(key: string, flag: Flag): string {
  const value = flag.type ? ` ${flag.type.placeholder}` : "";
  const no = isOverride(flag) ? "[no-]" : "";
  return `${flag.short ? `-${flag.short}, ` : ""}--${no}${longName(key)}${value}`;
}

/** Gives what is to know about a flag: its sentence, choices, default and variable. */
export function flagHelp(flag: Flag): string {
  const notes: string[] = [];
  if (flag.type && flag.fallback !== undefined && flag.kind === "option") {
    notes.push(`default ${(flag.type as ValueType<unknown>).format(flag.fallback)}`);
  }
  if (flag.env) notes.push(`or ${flag.env}`);
  return notes.length > 0 ? `${flag.help} [${notes.join("; ")}]` : flag.help;
}

/** Gives a positional as it is typed: "PATH...", "[CODE]". */
export function positionalText({ placeholder, required, many }: Positional): string {
  const text = many ? `${placeholder}...` : placeholder;
  return required ? text : `[${text}]`;
}

/** Gives the flags by heading, in the order in which headings first appear. */
export function flagGroups(flags: Readonly<Record<string, Flag>>): Map<string, [string, Flag][]> {
  const groups = new Map<string, [string, Flag][]>();
  for (const [key, flag] of Object.entries(flags)) {
    groups.set(flag.group, [...groups.get(flag.group) ?? [], [key, flag]]);
  }
  return groups;
}

function programHelp(width: number): string {
  const commands = visibleCommands();
  const examples = commands.flatMap((command) => command.examples.slice(0, 1)).slice(0, 4);
  const sections = [
    `${PROGRAM.name} - ${PROGRAM.summary}`,
    section("Usage", [`  ${PROGRAM.name} COMMAND [FLAGS] [ARGUMENTS]`]),
    section("Commands", commands.flatMap(({ name, summary }) => row(name, summary, width))),
    section("Flags of every command", flagRows(Object.entries(COMMON_FLAGS), width)),
    section("Examples", exampleRows(examples)),
    `${PROGRAM.name} COMMAND --help explains a command; ${PROGRAM.name} man is the manual.`,
  ];
  return sections.join("\n\n") + "\n";
}

function commandHelp(command: Command, width: number): string {
  const positionals = Object.values(command.positionals);
  const sections = [
    wrap(`${PROGRAM.name} ${command.name} - ${command.summary}`, width).join("\n"),
    section("Usage", [`  ${usageLine(command)}`]),
    ...command.description.split("\n\n").map((paragraph) => wrap(paragraph, width).join("\n")),
  ];
  if (positionals.length > 0) {
    const rows = positionals.flatMap((one) => {
      const help = one.env ? `${one.help} [or ${one.env}]` : one.help;
      return row(positionalText(one), help, width);
    });
    sections.push(section("Arguments", rows));
  }
  for (const [group, flags] of flagGroups({ ...command.flags, ...COMMON_FLAGS })) {
    sections.push(section(group, flagRows(flags, width)));
  }
  sections.push(section("Examples", exampleRows(command.examples)));
  return sections.join("\n\n") + "\n";
}

function flagRows(flags: readonly [string, Flag][], width: number): string[] {
  return flags.flatMap(([key, flag]) => {
    // Long names stand under each other whether there is a short one or not.
    const text = flag.short ? flagText(key, flag) : `    ${flagText(key, flag)}`;
    return row(text, flagHelp(flag), width);
  });
}

function exampleRows(examples: Command["examples"]): string[] {
  return examples.flatMap(({ line, help }) => [`  ${help}:`, `    ${line}`]);
}

function section(title: string, lines: readonly string[]): string {
  return `${title}:\n${lines.join("\n")}`;
}

/** Gives a term and its explanation side by side, or below each other where the term is long. */
function row(term: string, help: string, width: number): string[] {
  const lines = wrap(help, Math.max(20, width - INDENT));
  const left = `  ${term}`;
  const rest = lines.map((line) => " ".repeat(INDENT) + line);
  if (displayWidth(left) > INDENT - 2) return [left, ...rest];
  return [left.padEnd(INDENT) + (lines[0] ?? ""), ...rest.slice(1)];
}
