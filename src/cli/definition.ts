/** The vocabulary in which {@link ./table.ts} describes commands; parser, help, man and completions read it. */
import type { ConfigKey } from "../config/settings.ts";
import type { ValueType } from "../config/values.ts";

/** What every flag says about itself. */
export interface FlagOptions {
  /** One letter. */
  readonly short?: string;
  /** Heading under which help shows it. */
  readonly group: string;
  /** What it does: one sentence, more only where it must. */
  readonly help: string;
  /** Environment variable that gives the value when the flag is not given. */
  readonly env?: string;
  /** Setting that the flag overrides; its value goes into Config. */
  readonly config?: ConfigKey;
  /** Long names of flags that cannot be given together with this one. */
  readonly conflicts?: readonly string[];
}

/** One flag; `T` is the type of its value in the arguments. */
export interface Flag<out T = unknown> extends FlagOptions {
  /** switch: on or off, `--no-x` turns it off; count: how often; option: last value; list: all values. */
  readonly kind: "switch" | "count" | "option" | "list";
  /** How the value is written; absent for switches and counts. */
  readonly type?: ValueType<unknown>;
  /** The value when the flag is not given. */
  readonly fallback: T;
}

/** One positional argument; `T` is the type of its value in the arguments. */
export interface Positional<out T = unknown> {
  readonly placeholder: string;
  readonly help: string;
  readonly type: ValueType<unknown>;
  readonly required: boolean;
  readonly many: boolean;
  /** Environment variable that gives the value when the argument is not given. */
  readonly env?: string;
  /** Everything from its first word on belongs to it, flags too, as they are. */
  readonly raw?: boolean;
  readonly _value?: T;
}

/** A command line with what it does. */
export interface Example {
  readonly line: string;
  readonly help: string;
}

/** One command. */
export interface Command<
  F extends Record<string, Flag> = Record<string, Flag>,
  P extends Record<string, Positional> = Record<string, Positional>,
  N extends string = string,
> {
  /** One word, or two for a subcommand: "config set". */
  readonly name: N;
  /** What it does, in one line without a full stop. */
  readonly summary: string;
  /** Paragraphs for its own help and the man page. */
  readonly description: string;
  /** By name in camelCase; `--kebab-case` on the command line. */
  readonly flags: F;
  readonly positionals: P;
  readonly examples: readonly Example[];
  /** Not in this version yet: hidden everywhere, and refused in plain words. */
  readonly pending?: boolean;
}

/** The typed arguments of a command: its flags, its positionals and the flags that all commands have. */
export type ArgsOf<C> = C extends Command<infer F, infer P> ?
    & { readonly [K in keyof F]: F[K] extends Flag<infer T> ? T : never }
    & { readonly [K in keyof P]: P[K] extends Positional<infer T> ? T : never }
  : never;

/** Defines a switch. */
export function toggle(options: FlagOptions): Flag<boolean> {
  return { ...options, kind: "switch", fallback: false };
}

/** Defines a switch for a setting that is on or off: `--x`, `--no-x`, or as it is set when neither is given. */
export function override(options: FlagOptions & { config: ConfigKey }): Flag<boolean | undefined> {
  return { ...options, kind: "switch", fallback: undefined };
}

/** Tells whether turning a switch off says something: a setting may have turned it on. */
export function isOverride({ kind, config }: Flag): boolean {
  return kind === "switch" && config !== undefined;
}

/** Defines a flag that counts how often it is given. */
export function count(options: FlagOptions): Flag<number> {
  return { ...options, kind: "count", fallback: 0 };
}

/** Defines a flag with a value; the last one given counts. */
export function option<T>(type: ValueType<T>, options: FlagOptions): Flag<T | undefined>;
export function option<T>(type: ValueType<T>, options: FlagOptions & { fallback: NoInfer<T> }): Flag<T>;
export function option<T>(type: ValueType<T>, options: FlagOptions & { fallback?: T }): Flag<T | undefined> {
  return { fallback: undefined, ...options, kind: "option", type: type as ValueType<unknown> };
}

/** Defines a flag with a value that may be given many times. */
export function list<T>(type: ValueType<T>, options: FlagOptions): Flag<T[]> {
  return { ...options, kind: "list", type: type as ValueType<unknown>, fallback: [] };
}

/** What a positional argument says about itself. */
export type PositionalOptions = Pick<Positional, "help" | "env"> & { readonly placeholder?: string };

/** Defines a positional argument that must be given. */
export function one<T>(type: ValueType<T>, options: PositionalOptions): Positional<T> {
  return positional(type, options, { required: true, many: false });
}

/** Defines a positional argument that may be left out. */
export function maybe<T>(type: ValueType<T>, options: PositionalOptions): Positional<T | undefined> {
  return positional(type, options, { required: false, many: false });
}

/** Defines a positional argument that may be given any number of times. */
export function any<T>(type: ValueType<T>, options: PositionalOptions): Positional<T[]> {
  return positional(type, options, { required: false, many: true });
}

/** Defines the last positional argument of a command that takes another command line. */
export function rest(type: ValueType<string>, options: PositionalOptions): Positional<string[]> {
  return { ...positional<string[]>(type, options, { required: true, many: true }), raw: true };
}

/** Defines a command. */
export function command<
  const F extends Record<string, Flag>,
  const P extends Record<string, Positional>,
  const N extends string,
>(definition: Command<F, P, N>): Command<F, P, N> {
  return definition;
}

/** Gives a flag's long name without dashes: `logJson` is `log-json`. */
export function longName(key: string): string {
  return key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

function positional<T>(
  type: ValueType<unknown>,
  options: PositionalOptions,
  shape: { required: boolean; many: boolean },
): Positional<T> {
  return { placeholder: type.placeholder, ...options, ...shape, type };
}
