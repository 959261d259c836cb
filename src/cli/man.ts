import { CONFIG_KEYS, SETTINGS } from "../config/settings.ts";
import type { Command, Flag } from "./definition.ts";
import { EXIT_CODES } from "./exit.ts";
import { flagGroups, flagHelp, flagText, positionalText, usageLine } from "./help.ts";
import { COMMON_FLAGS } from "./common_flags.ts";
import { PROGRAM, visibleCommands } from "./table.ts";
import { VERSION } from "./version.ts";

/** Gives the manual page wormhole(1) as roff for the macros of man(7). */
export function manPage(): string {
  const lines = [
    `.TH WORMHOLE 1 "" "${PROGRAM.name} ${VERSION}" "User Commands"`,
    ".SH NAME",
    `${roff(PROGRAM.name)} \\- ${roff(PROGRAM.summary)}`,
    ".SH SYNOPSIS",
    ...visibleCommands().flatMap((command) => [".B " + roff(usageLine(command)), ".br"]).slice(0, -1),
    ".SH COMMANDS",
    ...visibleCommands().flatMap(commandLines),
    ".SH FLAGS OF EVERY COMMAND",
    ...Object.entries(COMMON_FLAGS).flatMap(flagLines),
    ".PP",
    `${roff("A switch is turned off again by --no- before its name. -- ends the flags.")}`,
    ".SH ENVIRONMENT",
    ...term(
      "WORMHOLE_CODE",
      "The code for send and recv, where other people could see it on the command line.",
    ),
    ...CONFIG_KEYS.flatMap((key) => term(SETTINGS[key].env, SETTINGS[key].help)),
    ...term("NO_COLOR", "Use no colours."),
    ".SH FILES",
    ...term("~/.config/wormhole/config.toml", "Settings; see wormhole config path."),
    ".SH EXIT STATUS",
    ...Object.entries(EXIT_CODES).flatMap(([code, meaning]) => term(code, meaning)),
    ".SH EXAMPLES",
    ...visibleCommands().flatMap(({ examples }) => examples).flatMap(({ line, help }) => [
      ".PP",
      roff(`${help}:`),
      ".PP",
      ".RS 4",
      ".nf",
      roff(line),
      ".fi",
      ".RE",
    ]),
  ];
  return lines.join("\n") + "\n";
}

function commandLines(command: Command): string[] {
  const lines = [`.SS ${roff(usageLine(command))}`, roff(`${sentence(command.summary)}.`)];
  for (const paragraph of command.description.split("\n\n")) lines.push(".PP", roff(paragraph));
  for (const one of Object.values(command.positionals)) lines.push(...term(positionalText(one), one.help));
  for (const [group, flags] of flagGroups(command.flags)) {
    lines.push(".PP", `.I ${roff(group)}`, ...flags.flatMap(flagLines));
  }
  return lines;
}

function flagLines([key, flag]: [string, Flag]): string[] {
  return term(flagText(key, flag), flagHelp(flag));
}

function term(name: string, help: string): string[] {
  return [".TP", `.B ${roff(name)}`, roff(help)];
}

function sentence(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** Escapes text for roff: backslashes, dashes that must stay dashes, control characters at the start of a line. */
function roff(text: string): string {
  return text
    .replaceAll("\\", "\\(rs")
    .replaceAll("-", "\\-")
    .replaceAll("~", "\\(ti")
    .replaceAll("^", "\\(ha")
    .replaceAll('"', "\\(dq")
    .replace(/'/g, "\\(aq")
    .replace(/^\./gm, "\\&.");
}
