/** Completions for shells, made from the command table; each script stands alone and starts no program. */
import type { SHELLS } from "./commands/definitions_help.ts";
import { type Command, type Flag, isOverride, longName } from "./definition.ts";
import { CONFIG_KEYS, SETTINGS } from "../config/settings.ts";
import { flagsOf, PROGRAM, visibleCommands } from "./table.ts";

/** Gives the script for a shell. */
export function completionScript(shell: typeof SHELLS[number]): string {
  return { bash: bashScript, zsh: zshScript, fish: fishScript }[shell]();
}

/** What completes a word. */
type Source = { readonly words: readonly string[] } | "file" | "directory" | "peer" | "nothing";

/** Where known machines are on Linux; for shells like sh, and for fish. */
const PEERS_FILE = '"${XDG_CONFIG_HOME:-$HOME/.config}/wormhole/peers.toml"';
const FISH_PEERS_FILE =
  "(set -q XDG_CONFIG_HOME; and echo $XDG_CONFIG_HOME; or echo ~/.config)/wormhole/peers.toml";

/** Gives the names in it, one a line, without starting Wormhole. */
function peerNames(file: string): string {
  return `sed -n 's/^name = "\\(.*\\)"$/\\1/p' ${file} 2>/dev/null`;
}

/** Words that may follow `wormhole`, with what they do. */
function firstWords(): [string, string][] {
  const words = new Map<string, string>();
  for (const { name, summary } of visibleCommands()) {
    const [first, second] = name.split(" ") as [string, string?];
    if (!second) words.set(first, summary);
    else words.set(first, words.has(first) ? `${words.get(first)}, ${second}` : second);
  }
  return [...words];
}

/** First words that need a second one, with the commands that it chooses between. */
function groups(): Map<string, Command[]> {
  const found = new Map<string, Command[]>();
  for (const command of visibleCommands()) {
    const [first, second] = command.name.split(" ") as [string, string?];
    if (second) found.set(first, [...found.get(first) ?? [], command]);
  }
  return found;
}

function flagNames(flags: Readonly<Record<string, Flag>>): string[] {
  return Object.entries(flags).flatMap(([key, flag]) => [
    ...longNames(key, flag).map((name) => `--${name}`),
    ...flag.short ? [`-${flag.short}`] : [],
  ]);
}

/** Gives the names of a flag; two where turning it off says something. */
function longNames(key: string, flag: Flag): string[] {
  return isOverride(flag) ? [longName(key), `no-${longName(key)}`] : [longName(key)];
}

function flagSource({ type }: Flag): Source {
  return type?.choices ? { words: type.choices } : type?.completes ?? "nothing";
}

function positionalSource(command: Command): Source {
  if (command.name === "help") return { words: firstWords().map(([word]) => word) };
  if (command.name === "config set") return { words: CONFIG_KEYS.map((key) => SETTINGS[key].name) };
  const first = Object.values(command.positionals)[0];
  return first?.type.choices ? { words: first.type.choices } : first?.type.completes ?? "nothing";
}

function bashScript(): string {
  const cases = visibleCommands().map((command) => {
    const values = Object.entries(flagsOf(command)).filter(([, { type }]) => type).map(([key, flag]) => {
      const names = [`--${longName(key)}`, ...(flag.short ? [`-${flag.short}`] : [])].join("|");
      return `        ${names}) ${bashAction(flagSource(flag))} ;;`;
    });
    return [
      `    ${single(command.name)})`,
      `      case "$previous" in`,
      ...values,
      `      esac`,
      `      if [[ $current == -* ]]; then`,
      `        ${bashAction({ words: flagNames(flagsOf(command)) })}`,
      `      fi`,
      `      ${bashAction(positionalSource(command))}`,
      `      ;;`,
    ].join("\n");
  });
  const groupCases = [...groups()].map(([first, commands]) => {
    const words = { words: commands.map(({ name }) => name.slice(first.length + 1)) };
    return `    ${first}) ${bashAction(words)} ;;`;
  });
  return `# bash completion for ${PROGRAM.name}; made by "${PROGRAM.name} completions bash".
_${PROGRAM.name}_words() {
  # Words are split at newlines only, so that a value is never expanded.
  local IFS=$'\\n'
  COMPREPLY=($(compgen -W "$1" -- "$current"))
}
_${PROGRAM.name}_paths() {
  local IFS=$'\\n'
  compopt -o filenames 2>/dev/null
  COMPREPLY=($(compgen "$1" -- "$current"))
}
_${PROGRAM.name}() {
  local current="\${COMP_WORDS[COMP_CWORD]}" previous="\${COMP_WORDS[COMP_CWORD-1]}" command="" word at
  COMPREPLY=()
  # "--flag=value" arrives as three words, since = breaks words in bash.
  if [[ $current == "=" ]]; then current=""; elif [[ $previous == "=" ]]; then previous="\${COMP_WORDS[COMP_CWORD-2]}"; fi
  for ((at = 1; at < COMP_CWORD; at++)); do
    word="\${COMP_WORDS[at]}"
    [[ $word == -* ]] && continue
    if [[ -z $command ]]; then
      command="$word"
      case "$command" in ${[...groups().keys()].join("|")}) continue ;; *) break ;; esac
    fi
    command="$command $word"
    break
  done
  case "$command" in
    '') ${bashAction({ words: [...firstWords().map(([word]) => word), "--help", "--version"] })} ;;
${groupCases.join("\n")}
${cases.join("\n")}
  esac
}
complete -F _${PROGRAM.name} ${PROGRAM.name}
`;
}

function bashAction(source: Source): string {
  if (source === "nothing") return "return";
  if (source === "file") return `_${PROGRAM.name}_paths -f; return`;
  if (source === "peer") return `_${PROGRAM.name}_words "$(${peerNames(PEERS_FILE)})"; return`;
  if (source === "directory") return `_${PROGRAM.name}_paths -d; return`;
  return `_${PROGRAM.name}_words $'${source.words.join("\\n")}'; return`;
}

function zshScript(): string {
  const top = firstWords().map(([word, summary]) => single(`${word}:${summary}`)).join(" ");
  const cases = visibleCommands().map((command) => {
    const flags = Object.entries(flagsOf(command)).flatMap(([key, flag]) => zshFlag(key, flag));
    const positionals = Object.values(command.positionals).map((one, at) => {
      const where = one.many ? "*" : one.required ? `${at + 1}` : `${at + 1}:`;
      const source = at === 0 ? positionalSource(command) : "nothing";
      return single(`${where}:${one.placeholder}:${zshAction(source)}`);
    });
    return `    ${single(command.name)}) _arguments -s -S ${[...flags, ...positionals].join(" ")} ;;`;
  });
  const groupCases = [...groups()].map(([first, commands]) => {
    const words = commands.map(({ name, summary }) => single(`${name.slice(first.length + 1)}:${summary}`));
    return `    ${first}) local -a second=(${words.join(" ")}); _describe command second ;;`;
  });
  return `#compdef ${PROGRAM.name}
# zsh completion for ${PROGRAM.name}; made by "${PROGRAM.name} completions zsh".
_${PROGRAM.name}_peers() {
  compadd -- \${(f)"$(${peerNames(PEERS_FILE)})"}
}
_${PROGRAM.name}() {
  local -a first=(${top})
  if ((CURRENT == 2)); then _describe command first; return; fi
  local name="\${words[2]}"
  case "$name" in ${[...groups().keys()].join("|")})
    if ((CURRENT > 3)); then name="$name \${words[3]}"; shift words; ((CURRENT--)); fi ;;
  esac
  shift words; ((CURRENT--))
  case "$name" in
${groupCases.join("\n")}
${cases.join("\n")}
  esac
}
if [[ $funcstack[1] == _${PROGRAM.name} ]]; then _${PROGRAM.name} "$@"; else compdef _${PROGRAM.name} ${PROGRAM.name}; fi
`;
}

function zshFlag(key: string, flag: Flag): string[] {
  const help = flag.help.replace(/[[\]:\\]/g, "\\$&");
  const repeat = flag.kind === "list" || flag.kind === "count" ? "*" : "";
  const value = flag.type ? `:${flag.type.placeholder}:${zshAction(flagSource(flag))}` : "";
  const long = longNames(key, flag).map((name) =>
    single(`${repeat}--${name}${flag.type ? "=" : ""}[${help}]${value}`)
  );
  const short = flag.short ? [single(`${repeat}-${flag.short}${flag.type ? "+" : ""}[${help}]${value}`)] : [];
  return [...long, ...short];
}

function zshAction(source: Source): string {
  if (source === "nothing") return " ";
  if (source === "file") return "_files";
  if (source === "peer") return `_${PROGRAM.name}_peers`;
  if (source === "directory") return "_files -/";
  return `(${source.words.join(" ")})`;
}

function fishScript(): string {
  const lines = [
    `# fish completion for ${PROGRAM.name}; made by "${PROGRAM.name} completions fish".`,
    `complete -c ${PROGRAM.name} -f`,
  ];
  for (const [word, summary] of firstWords()) {
    lines.push(
      `complete -c ${PROGRAM.name} -n __fish_use_subcommand -a ${word} -d ${fishQuoted(summary)}`,
    );
  }
  for (const [first, commands] of groups()) {
    const words = commands.map(({ name }) => name.slice(first.length + 1));
    const none = `__fish_seen_subcommand_from ${first}; and not __fish_seen_subcommand_from ${
      words.join(" ")
    }`;
    for (const { name, summary } of commands) {
      lines.push(
        `complete -c ${PROGRAM.name} -n ${fishQuoted(none)} -a ${name.slice(first.length + 1)} -d ${
          fishQuoted(summary)
        }`,
      );
    }
  }
  for (const command of visibleCommands()) {
    const seen = command.name.split(" ").map((word) => `__fish_seen_subcommand_from ${word}`).join("; and ");
    const when = `complete -c ${PROGRAM.name} -n ${fishQuoted(seen)}`;
    for (const [key, flag] of Object.entries(flagsOf(command))) {
      const short = flag.short ? ` -s ${flag.short}` : "";
      const value = flag.type ? ` -r ${fishAction(flagSource(flag))}` : "";
      for (const name of longNames(key, flag)) {
        lines.push(`${when} -l ${name}${short}${value} -d ${fishQuoted(flag.help)}`);
      }
    }
    const source = positionalSource(command);
    if (source !== "nothing") lines.push(`${when} ${fishAction(source)}`);
  }
  return lines.join("\n") + "\n";
}

function fishAction(source: Source): string {
  if (source === "nothing") return "-f";
  if (source === "file") return "-F";
  if (source === "peer") return `-f -a ${fishQuoted(`(${peerNames(FISH_PEERS_FILE)})`)}`;
  if (source === "directory") return `-f -a ${fishQuoted("(__fish_complete_directories)")}`;
  return `-f -a ${fishQuoted(source.words.join(" "))}`;
}

function fishQuoted(text: string): string {
  return `'${text.replace(/[\\']/g, "\\$&")}'`;
}

/** Quotes for bash and zsh. */
function single(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
