/**
 * Pages of the user guide that are made from tables: docs/cli.md, docs/config.md, docs/exit_codes.md.
 *
 * `deno run -A src/cli/docs.ts` writes them; a test fails when they are stale.
 */
import { fromFileUrl } from "../base/paths.ts";
import { type Config, CONFIG_KEYS, type ConfigKey, type Setting, SETTINGS } from "../config/settings.ts";
import { COMMON_FLAGS } from "./common_flags.ts";
import type { Command, Flag } from "./definition.ts";
import { EXIT_CODES } from "./exit.ts";
import { flagGroups, flagHelp, flagText, positionalText, usageLine } from "./help.ts";
import { visibleCommands } from "./table.ts";

const MADE = "<!-- Made by `deno run -A src/cli/docs.ts`; change the tables in src/, not this page. -->";

/** Gives every made page by its file name in docs/. */
export function documents(): Record<string, string> {
  return { "cli.md": cliPage(), "config.md": configPage(), "exit_codes.md": exitPage() };
}

/** Gives the path of a page. */
export function documentPath(name: string): string {
  return fromFileUrl(new URL(`../../docs/${name}`, import.meta.url));
}

function cliPage(): string {
  const commands = visibleCommands();
  return page("Command line", [
    commands.map(({ name, summary }) =>
      `- [\`wormhole ${name}\`](#wormhole-${name.replaceAll(" ", "-")}): ${summary}`
    )
      .join("\n"),
    "Flags are written as `--flag VALUE` or `--flag=VALUE`, short ones also bundled (`-qv`). Every switch can be " +
    "turned off again with `--no-` before its name. `--` ends the flags; `-` stands for standard input. Sizes are " +
    "written as `4MB` or `4MiB`, both are 4 x 1024 x 1024 bytes; times as `30s`, `10m`, `1h30m`.",
    ...commands.map(commandSection),
    `## Flags of every command\n\n${flagTable(Object.entries(COMMON_FLAGS))}`,
    "See also [settings](config.md), [exit codes](exit_codes.md) and [`--json`](json.md).",
  ]);
}

function commandSection(command: Command): string {
  const parts = [
    `## wormhole ${command.name}`,
    `\`${usageLine(command)}\``,
    `${command.summary.charAt(0).toUpperCase()}${command.summary.slice(1)}.`,
    command.description.replaceAll("*", "\\*").replaceAll("_", "\\_"),
  ];
  const positionals = Object.values(command.positionals);
  if (positionals.length > 0) {
    parts.push(positionals.map((one) => `- \`${positionalText(one)}\`: ${one.help}`).join("\n"));
  }
  for (const [group, flags] of flagGroups(command.flags)) parts.push(`### ${group}`, flagTable(flags));
  const examples = command.examples.map(({ line, help }) => `# ${help}\n${line}`).join("\n\n");
  return [...parts, `\`\`\`sh\n${examples}\n\`\`\``].join("\n\n");
}

function configPage(): string {
  return page("Settings", [
    "Flags win over environment variables, these over `config.toml`, that over the defaults. `wormhole config show` " +
    "lists what is in force and why, `wormhole config path` says where the file is, `wormhole config set KEY VALUE` " +
    "changes it and keeps its comments.",
    table(["Key", "Variable", "Default", "Values", "Meaning"], CONFIG_KEYS.map((key) => settingRow(key))),
    "Sizes are powers of 1024: `4MB` and `4MiB` are the same. A key that does not exist is reported and ignored; a " +
    "value that is not valid ends the command with exit code 2 and names the key.",
    '```toml\n# ~/.config/wormhole/config.toml\nsignal_server = "wss://hub.example"\nmax_streams = 16\n' +
    'bulk_chunk_size = "8MiB"\n```',
    "Other variables: `WORMHOLE_CODE` gives `send` and `recv` the code without showing it to other people on the " +
    "machine; `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` name [proxies](guide.md#proxies); " +
    "`NO_COLOR` switches colours off; `XDG_CONFIG_HOME`, `XDG_CACHE_HOME`, `XDG_DATA_HOME`, " +
    "`XDG_STATE_HOME` and `XDG_RUNTIME_DIR` move the folders on Linux.",
  ]);
}

function settingRow<K extends ConfigKey>(key: K): string[] {
  const { name, env, type, fallback, help } = SETTINGS[key] as Setting<Config[K]>;
  const shown = fallback === undefined ? "the cache folder" : type.format(fallback) || "none";
  return [`\`${name}\``, `\`${env}\``, shown, type.wanted.replace(/^give (the path of )?/, ""), help];
}

function exitPage(): string {
  const rows = Object.entries(EXIT_CODES).map(([code, meaning]) => [code, meaning]);
  return page("Exit codes", [
    table(["Code", "Meaning"], rows),
    "Every failure is also one sentence on standard error (or one [`error` event](json.md)) with what to do next.",
  ]);
}

function flagTable(flags: readonly (readonly [string, Flag])[]): string {
  return table(
    ["Flag", "Meaning"],
    flags.map(([key, flag]) => [`\`${flagText(key, flag)}\``, flagHelp(flag)]),
  );
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}

function page(title: string, parts: readonly string[]): string {
  return [`# ${title}`, MADE, ...parts].join("\n\n") + "\n";
}

if (import.meta.main) {
  for (const [name, text] of Object.entries(documents())) await Deno.writeTextFile(documentPath(name), text);
}
