/** Structured log records: a level, a sentence and fields, handed to a sink that somebody else owns. */
import type { Clock } from "./clock.ts";

/** Levels from the gravest to the most talkative. */
export const LOG_LEVELS = ["error", "warn", "info", "debug", "trace"] as const;

/** One of {@linkcode LOG_LEVELS}. */
export type LogLevel = typeof LOG_LEVELS[number];

/** Values by name; what is not text, a number, a boolean or null is shown as JSON. */
export type LogFields = Readonly<Record<string, unknown>>;

/** One thing that happened. */
export interface LogRecord {
  /** Wall-clock time in ms since 1970. */
  readonly time: number;
  readonly level: LogLevel;
  readonly message: string;
  readonly fields: LogFields;
}

/** Takes records; it must not throw. */
export type LogSink = (record: LogRecord) => void;

const HIDDEN = "[secret]";

/** A value that every way of printing shows as "[secret]"; only {@linkcode Secret.reveal} gives it. */
export class Secret<T> {
  readonly #value: T;

  constructor(value: T) {
    this.#value = value;
  }

  /** Gives the value; what is done with it then is the caller's responsibility. */
  reveal(): T {
    return this.#value;
  }

  toString(): string {
    return HIDDEN;
  }

  toJSON(): string {
    return HIDDEN;
  }

  [Symbol.toPrimitive](): string {
    return HIDDEN;
  }

  [Symbol.for("Deno.customInspect")](): string {
    return HIDDEN;
  }

  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return HIDDEN;
  }
}

/** Wraps `value` so that it cannot be printed by accident. */
export function secret<T>(value: T): Secret<T> {
  return new Secret(value);
}

/** Options of {@linkcode Logger}. */
export interface LoggerOptions {
  level: LogLevel;
  sink: LogSink;
  clock: Clock;
  /** Fields that every record carries. */
  fields?: LogFields;
}

/** Gives records at or above a level to a sink. */
export class Logger {
  readonly #options: LoggerOptions;
  readonly #rank: number;

  constructor(options: LoggerOptions) {
    this.#options = options;
    this.#rank = LOG_LEVELS.indexOf(options.level);
  }

  /** Tells whether records of `level` are kept; for fields that are costly to make. */
  enabled(level: LogLevel): boolean {
    return LOG_LEVELS.indexOf(level) <= this.#rank;
  }

  /** Gives a logger whose records also carry `fields`. */
  child(fields: LogFields): Logger {
    return new Logger({ ...this.#options, fields: { ...this.#options.fields, ...fields } });
  }

  error(message: string, fields?: LogFields): void {
    this.#log("error", message, fields);
  }

  warn(message: string, fields?: LogFields): void {
    this.#log("warn", message, fields);
  }

  info(message: string, fields?: LogFields): void {
    this.#log("info", message, fields);
  }

  debug(message: string, fields?: LogFields): void {
    this.#log("debug", message, fields);
  }

  trace(message: string, fields?: LogFields): void {
    this.#log("trace", message, fields);
  }

  #log(level: LogLevel, message: string, fields: LogFields = {}): void {
    if (!this.enabled(level)) return;
    const { clock, sink } = this.#options;
    sink({ time: clock.now(), level, message, fields: { ...this.#options.fields, ...fields } });
  }
}

/** Formats a record as one line of text: time, level, message, `name=value` fields. Safe for a terminal. */
export function formatLogText({ time, level, message, fields }: LogRecord): string {
  const parts = [new Date(time).toISOString(), level.toUpperCase().padEnd(5), visible(message)];
  for (const [name, value] of Object.entries(fields)) {
    if (value !== undefined) parts.push(`${visible(name)}=${textOf(value)}`);
  }
  return parts.join(" ");
}

/** Formats a record as one line of JSON: `time` (ISO 8601), `level`, `message`, `fields`. */
export function formatLogJson({ time, level, message, fields }: LogRecord): string {
  return visible(toJson({ time: new Date(time).toISOString(), level, message, fields }));
}

function textOf(value: unknown): string {
  if (typeof value === "string" && /^[\w.:/@+-]+$/.test(value)) return value;
  return visible(toJson(value));
}

function toJson(value: unknown): string {
  try {
    return JSON.stringify(value, plain) ?? "null";
  } catch {
    return '"[unprintable]"'; // cyclic, or a toJSON that throws: a log line must never end the program
  }
}

/** Makes errors, big integers and bytes readable as JSON; bytes by their length only, they may be keys. */
function plain(_key: string, value: unknown): unknown {
  if (value instanceof Error) {
    const code = (value as { code?: unknown }).code;
    return { ...(code === undefined ? {} : { code }), message: value.message };
  }
  if (typeof value === "bigint") return value.toString();
  if (value instanceof Uint8Array) return `[${value.length} bytes]`;
  return value;
}

// Controls, line separators, lone surrogates, and what reorders or hides text: a name cannot forge a line.
const INVISIBLE =
  // deno-lint-ignore no-control-regex
  /[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]/gu;

function visible(text: string): string {
  return text.replace(
    INVISIBLE,
    (character) => "\\u" + character.charCodeAt(0).toString(16).padStart(4, "0"),
  );
}
