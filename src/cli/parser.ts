/** From the words of a command line to a command with typed arguments; pure. Follows POSIX and GNU getopt. */
import { WormholeError } from "../base/errors.ts";
import type { Config } from "../config/settings.ts";
import { similar } from "../config/similar.ts";
import type { ValueType } from "../config/values.ts";
import { COMMON_FLAGS } from "./common_flags.ts";
import { type Command, type Flag, longName, type Positional } from "./definition.ts";
import { COMMANDS, flagsOf, visibleCommands } from "./table.ts";

/** What a command line asks for. */
export type Parsed =
  | {
    readonly kind: "run";
    readonly command: Command;
    readonly args: Readonly<Record<string, unknown>>;
    /** Values of the flags that override settings. */
    readonly config: Partial<Config>;
  }
  /** Help; `topic` is "" for the program, else a command or the first word of several ("config"). */
  | { readonly kind: "help"; readonly topic: string }
  | { readonly kind: "version" };

/**
 * Parses the words after the program's name; `env` gives environment variables that stand in for arguments.
 *
 * @throws {WormholeError} USAGE naming the word that is wrong, with what was probably meant; UNSUPPORTED for a
 * command that this version does not have yet.
 */
export function parse(words: readonly string[], env: (name: string) => string | undefined): Parsed {
  const { before, rest } = splitAtCommand(words);
  if (before.some((word) => word === "--version" || word === "-V")) return { kind: "version" };
  const first = rest[0];
  const asksHelp = before.includes("--help") || before.includes("-h");
  if (first === undefined) {
    if (before.length > 0 && !asksHelp) parseArguments(NO_COMMAND, before, env);
    return { kind: "help", topic: "" };
  }
  const { command, used } = findCommand(first, rest);
  if (command === undefined) return { kind: "help", topic: first };
  if (asksHelp) return { kind: "help", topic: command.name };
  return parseArguments(command, [...before, ...rest.slice(used)], env);
}

/**
 * Parses the words after a command's name.
 *
 * @throws {WormholeError} USAGE as {@linkcode parse}.
 */
export function parseArguments(
  command: Command,
  words: readonly string[],
  env: (name: string) => string | undefined,
): Parsed {
  return new Line(command, env).parse(words);
}

/** Stands for "no command": only the common flags. */
const NO_COMMAND: Command = {
  name: "",
  summary: "",
  description: "",
  flags: {},
  positionals: {},
  examples: [],
};

/** Flags may stand before the command; only the common ones make sense there. */
function splitAtCommand(words: readonly string[]): { before: string[]; rest: readonly string[] } {
  let at = 0;
  while (at < words.length && words[at]!.startsWith("-") && words[at] !== "-" && words[at] !== "--") {
    const word = words[at++]!;
    const flag = Object.entries(COMMON_FLAGS as Record<string, Flag>)
      .find(([key, { short }]) => word === `--${longName(key)}` || word === `-${short}`)?.[1];
    if (flag?.type && at < words.length) at++;
  }
  return { before: words.slice(0, at), rest: words.slice(at) };
}

function findCommand(first: string, rest: readonly string[]): { command?: Command; used: number } {
  const commands: readonly Command[] = COMMANDS;
  // Before the single ones: "hub status" is a command beside "hub".
  const pair = commands.find(({ name }) => name === `${first} ${rest[1]}`);
  if (pair) return { command: refusePending(pair), used: 2 };
  const single = commands.find(({ name }) => name === first);
  if (single) return { command: refusePending(single), used: 1 };
  const group = commands.filter(({ name }) => name.startsWith(`${first} `));
  if (group.length > 0) {
    const names = group.map(({ name }) => name.slice(first.length + 1));
    const second = rest[1];
    if (second === "--help" || second === "-h") return { used: 0 };
    if (second === undefined) throw usage(`Cannot run "wormhole ${first}": say which: ${names.join(", ")}`);
    throw usage(`Cannot run "wormhole ${first} ${second}": there is no such command${meant(second, names)}`);
  }
  throw usage(`Cannot run "wormhole ${first}": there is no such command${commandMeant(first)}`);
}

function refusePending(command: Command): Command {
  if (!command.pending) return command;
  throw new WormholeError(
    "UNSUPPORTED",
    `Cannot run "wormhole ${command.name}": this version does not have it yet`,
  );
}

function commandMeant(word: string): string {
  if (/^\d+-[a-z]+(-[a-z]+)*$/i.test(word)) return `; did you mean "wormhole recv ${word}"?`;
  const synonyms: Record<string, string> = {
    receive: "recv",
    get: "recv",
    rx: "recv",
    tx: "send",
    put: "send",
    cp: "copy",
    rsync: "copy",
  };
  const synonym = synonyms[word];
  if (synonym) return `; did you mean "${synonym}"?`;
  return meant(word, new Set(visibleCommands().map(({ name }) => name.split(" ")[0]!)));
}

/** One command's words on their way to arguments. */
class Line {
  readonly #command: Command;
  readonly #env: (name: string) => string | undefined;
  readonly #flags: Record<string, Flag>;
  readonly #keys: Map<string, string>;
  readonly #shorts: Map<string, string>;
  readonly #values: Record<string, unknown> = {};
  readonly #given = new Set<string>();
  readonly #loose: string[] = [];
  /** Positional arguments before the one from which on everything is taken as it is. */
  readonly #rawFrom: number;

  constructor(command: Command, env: (name: string) => string | undefined) {
    this.#command = command;
    this.#env = env;
    this.#flags = flagsOf(command);
    const raw = Object.values(command.positionals).findIndex((positional) => positional.raw);
    this.#rawFrom = raw < 0 ? Infinity : raw;
    this.#keys = new Map(Object.keys(this.#flags).map((key) => [longName(key), key]));
    this.#shorts = new Map(
      Object.entries(this.#flags).flatMap(([key, { short }]) => short ? [[short, key]] : []),
    );
  }

  parse(words: readonly string[]): Parsed {
    for (let at = 0; at < words.length; at++) {
      const word = words[at]!;
      if (word === "--") {
        this.#loose.push(...words.slice(at + 1));
        break;
      }
      if (word.startsWith("--")) at += this.#long(word, words[at + 1]);
      else if (word.startsWith("-") && word !== "-") at += this.#bundle(word, words[at + 1]);
      else {
        this.#loose.push(word);
        if (this.#loose.length > this.#rawFrom) {
          this.#loose.push(...words.slice(at + 1));
          break;
        }
      }
    }
    if (this.#values.help === true) return { kind: "help", topic: this.#command.name };
    this.#refuseConflicts();
    const args: Record<string, unknown> = {};
    for (const [key, flag] of Object.entries(this.#flags)) {
      args[key] = this.#values[key] ?? this.#fromEnvironment(flag, `--${longName(key)}`) ?? flag.fallback;
    }
    this.#fillPositionals(args);
    return { kind: "run", command: this.#command, args, config: this.#configOf(args) };
  }

  /** Takes `--x`, `--x=y`, `--x y` or `--no-x`; gives how many further words it used. */
  #long(word: string, next: string | undefined): number {
    const equals = word.indexOf("=");
    const name = word.slice(2, equals < 0 ? undefined : equals);
    const given = equals < 0 ? undefined : word.slice(equals + 1);
    const key = this.#keys.get(name);
    if (key !== undefined) return this.#take(key, { shown: `--${name}`, given, next });
    const off = name.startsWith("no-") ? this.#keys.get(name.slice(3)) : undefined;
    if (off !== undefined && this.#flags[off]!.kind === "switch") {
      if (given !== undefined) throw this.#wrong(`--${name}`, "it takes no value");
      this.#values[off] = false;
      this.#given.delete(off);
      return 0;
    }
    const negative = name.startsWith("no-");
    const candidates = negative ? this.#switches() : [...this.#keys.keys()];
    const close = similar(negative ? name.slice(3) : name, candidates);
    const hint = close ? `; did you mean "--${negative ? "no-" : ""}${close}"?` : "";
    throw this.#wrong(`--${name}`, `there is no such flag${hint}`);
  }

  /** Takes `-a`, `-abc`, `-ovalue` or `-o value`; gives how many further words it used. */
  #bundle(word: string, next: string | undefined): number {
    for (let at = 1; at < word.length; at++) {
      const letter = word[at]!;
      const key = this.#shorts.get(letter);
      if (key === undefined) {
        const long = word.length > 2 ? similar(word.slice(1), this.#keys.keys()) : undefined;
        throw this.#wrong(`-${letter}`, `there is no such flag${long ? `; did you mean "--${long}"?` : ""}`);
      }
      if (!this.#flags[key]!.type) this.#take(key, { shown: `-${letter}` });
      else {
        const attached = word.slice(at + 1);
        return this.#take(key, { shown: `-${letter}`, given: attached === "" ? undefined : attached, next });
      }
    }
    return 0;
  }

  #take(key: string, { shown, given, next }: { shown: string; given?: string; next?: string }): number {
    const flag = this.#flags[key]!;
    this.#given.add(key);
    if (!flag.type) {
      if (given !== undefined) throw this.#wrong(shown, "it takes no value");
      this.#values[key] = flag.kind === "count" ? (this.#values[key] as number ?? 0) + 1 : true;
      return 0;
    }
    const word = given ?? next;
    if (word === undefined) throw this.#wrong(shown, `its value is missing: ${flag.type.wanted}`);
    const value = this.#read(flag.type, word, shown);
    this.#values[key] = flag.kind === "list" ? [...(this.#values[key] as unknown[] ?? []), value] : value;
    return given === undefined ? 1 : 0;
  }

  #read(type: ValueType<unknown>, word: string, shown: string): unknown {
    const value = type.parse(word);
    if (value !== undefined) return value;
    const hint = type.choices ? meant(word, type.choices) : "";
    throw this.#wrong(shown, `it is ${JSON.stringify(word)}: ${type.wanted}${hint}`);
  }

  #fillPositionals(args: Record<string, unknown>): void {
    const loose = [...this.#loose];
    for (const [key, positional] of Object.entries(this.#command.positionals)) {
      const { placeholder, type } = positional;
      if (positional.many) args[key] = loose.splice(0).map((word) => this.#read(type, word, placeholder));
      else if (loose.length > 0) args[key] = this.#read(type, loose.shift()!, placeholder);
      else args[key] = this.#fromEnvironment(positional, placeholder);
      if (args[key] === undefined && positional.required) {
        throw this.#wrong(placeholder, `it is missing: ${type.wanted}`);
      }
    }
    const extra = loose[0];
    if (extra !== undefined) throw this.#wrong(extra, "there is nothing left that it could mean");
  }

  #fromEnvironment({ env, type }: Pick<Flag | Positional, "env" | "type">, shown: string): unknown {
    const word = env ? this.#env(env) : undefined;
    return word && type ? this.#read(type, word, `${shown} (from ${env})`) : undefined;
  }

  #refuseConflicts(): void {
    for (const key of this.#given) {
      for (const other of this.#flags[key]!.conflicts ?? []) {
        if (this.#given.has(this.#keys.get(other) ?? "")) {
          throw this.#wrong(`--${longName(key)}`, `it cannot be given together with --${other}`);
        }
      }
    }
  }

  #configOf(args: Record<string, unknown>): Partial<Config> {
    const config: Record<string, unknown> = {};
    for (const [key, flag] of Object.entries(this.#flags)) {
      if (flag.config && args[key] !== undefined) config[flag.config] = args[key];
    }
    return config;
  }

  #switches(): string[] {
    return [...this.#keys].filter(([, key]) => this.#flags[key]!.kind === "switch").map(([name]) => name);
  }

  #wrong(word: string, state: string): WormholeError {
    const where = this.#command.name ? ` of wormhole ${this.#command.name}` : "";
    return usage(`Cannot understand ${JSON.stringify(word)}${where}: ${state}`);
  }
}

function meant(word: string, candidates: Iterable<string>): string {
  const close = similar(word, candidates);
  return close ? `; did you mean "${close}"?` : "";
}

function usage(message: string): WormholeError {
  return new WormholeError("USAGE", message);
}
