import { systemClock } from "../base/clock.ts";
import { WormholeError } from "../base/errors.ts";
import {
  formatLogJson,
  formatLogText,
  LOG_LEVELS,
  Logger,
  type LogLevel,
  type LogSink,
} from "../base/log.ts";
import { loadConfig, type LoadedConfig } from "../config/config.ts";
import { folders, processEnvironment } from "../config/paths.ts";
import type { Context } from "./context.ts";
import type { Output } from "./events.ts";
import { Hangup } from "./hangup.ts";
import { advice, asFailure, exitCode, Interrupted } from "./exit.ts";
import { createOutput } from "./output.ts";
import { parse, type Parsed } from "./parser.ts";
import { safe } from "./safe.ts";
import type { CommandName, CommonArgs } from "./table.ts";
import { systemTerminal, type Terminal } from "./terminal.ts";
import { settingsFault, WIRING } from "./wiring.ts";

/**
 * Runs the program with the words of its command line and gives the exit code; everything it shows goes to
 * the standard streams. `controller` stops it, `hangup` is told of SIGHUP.
 */
export async function runProgram(
  words: readonly string[],
  controller: AbortController,
  hangup: Hangup = new Hangup(),
): Promise<number> {
  const terminal = systemTerminal(processEnvironment);
  const stdout = (text: string) => writeStdout(text, controller);
  let parsed: Parsed;
  try {
    parsed = parse(words, processEnvironment);
    if (parsed.kind === "help") return await printHelp(parsed.topic, { terminal, stdout });
    if (parsed.kind === "version") {
      stdout(`wormhole ${(await import("./version.ts")).VERSION}\n`);
      return endCode(undefined, controller);
    }
  } catch (error) {
    // Before the flags are known there is only this way to tell.
    const json = words.includes("--json");
    fail(error, createOutput({ json, quiet: false, terminal, clock: systemClock, stdout }), words);
    return exitCode(error);
  }
  return await runCommand(parsed, { terminal, stdout, controller, hangup });
}

type Running = Extract<Parsed, { kind: "run" }>;

interface Streams {
  readonly terminal: Terminal;
  readonly stdout: (text: string) => void;
  readonly controller: AbortController;
  readonly hangup: Hangup;
}

async function runCommand(
  parsed: Running,
  { terminal, stdout, controller, hangup }: Streams,
): Promise<number> {
  const args = parsed.args as unknown as CommonArgs & { stdout?: boolean };
  const { json, quiet } = args;
  const dataOnStdout = args.stdout === true;
  const output = createOutput({ json, quiet, terminal, clock: systemClock, stdout, dataOnStdout });
  try {
    const wire = WIRING[parsed.command.name as CommandName];
    const { settings, problem } = await readSettings(parsed);
    const fault = settingsFault(wire, problem);
    if (fault) throw fault;
    for (const message of settings.warnings) output.emit({ event: "warning", message });
    const context: Context<unknown> = {
      args: parsed.args,
      config: settings.config,
      settings,
      settingsProblem: problem,
      output,
      log: createLogger(args, { level: settings.config.logLevel, terminal, output }),
      signal: controller.signal,
      hangup,
      clock: systemClock,
      env: processEnvironment,
      terminal,
      stdin: () => Deno.stdin.readable,
      stdout: () => Deno.stdout.writable,
    };
    const { run } = await wire.load();
    await run(context);
    output.close();
    return endCode(undefined, controller);
  } catch (error) {
    output.close();
    if (!isPipeEnd(error, controller)) fail(error, output, [parsed.command.name]);
    return endCode(error, controller);
  }
}

async function readSettings(parsed: Running): Promise<{ settings: LoadedConfig; problem?: WormholeError }> {
  try {
    return { settings: await loadConfig({ flags: parsed.config }) };
  } catch (error) {
    if (!(error instanceof WormholeError)) throw error;
    const nowhere = { ...folders(), configDir: "/dev/null" };
    const defaults = await loadConfig({ env: () => undefined, folders: nowhere, flags: parsed.config });
    const real = folders();
    return {
      settings: { ...defaults, folders: real, file: `${real.configDir}/config.toml` },
      problem: error,
    };
  }
}

async function printHelp(
  topic: string,
  { terminal, stdout }: Pick<Streams, "terminal" | "stdout">,
): Promise<number> {
  const { helpText } = await import("./help.ts");
  stdout(helpText(topic, terminal.stdoutIsTerminal ? terminal.columns() : 80));
  return 0;
}

/** Shows a failure with what to do next; a signal needs no explanation. */
function fail(error: unknown, output: Output, words: readonly string[]): void {
  const failure = asFailure(error);
  const next = failure.code === "USAGE" && words[0] && !words[0].startsWith("-") &&
      !/no such command/.test(failure.message)
    ? `Run wormhole ${words[0]} --help to see what there is.`
    : advice(failure, words[0]);
  output.emit({
    event: "error",
    code: failure.code,
    message: failure.message,
    advice: next,
    exit: exitCode(error),
  });
}

function endCode(error: unknown, { signal }: AbortController): number {
  if (signal.reason instanceof Interrupted) return exitCode(signal.reason);
  return error === undefined ? 0 : exitCode(error);
}

function isPipeEnd(error: unknown, { signal }: AbortController): boolean {
  return [error, signal.reason].some((reason) =>
    reason instanceof Interrupted && reason.signal === "SIGPIPE"
  );
}

/** Writes to standard output; when nobody reads it any more, everything stops quietly, as SIGPIPE would do. */
function writeStdout(text: string, controller: AbortController): void {
  const bytes = new TextEncoder().encode(text);
  try {
    for (let at = 0; at < bytes.length;) at += Deno.stdout.writeSync(bytes.subarray(at));
  } catch (error) {
    if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
    controller.abort(new Interrupted("SIGPIPE"));
  }
}

function createLogger(
  args: CommonArgs,
  { level, terminal, output }: { level: LogLevel; terminal: Terminal; output: Output },
): Logger {
  const format = args.logJson ? formatLogJson : formatLogText;
  let sink: LogSink;
  if (args.logFile === undefined) {
    sink = (record) => {
      output.pause();
      terminal.write(format(record) + "\n");
      output.resume();
    };
  } else {
    const file = openLog(args.logFile);
    const encoder = new TextEncoder();
    // A full disk must not end a transfer because of its log.
    sink = (record) => {
      try {
        file.writeSync(encoder.encode(format(record) + "\n"));
      } catch { /* nowhere left to tell */ }
    };
  }
  return new Logger({ level: louder(level, args.verbose), sink, clock: systemClock });
}

function openLog(path: string): Deno.FsFile {
  try {
    return Deno.openSync(path, { append: true, create: true, mode: 0o600 });
  } catch (cause) {
    const denied = cause instanceof Deno.errors.PermissionDenied;
    const missing = cause instanceof Deno.errors.NotFound;
    throw new WormholeError(
      denied ? "PERMISSION_DENIED" : missing ? "NOT_FOUND" : "IO",
      `Cannot open the log file "${safe(path)}": ${
        denied ? "permission denied" : missing ? "its folder does not exist" : (cause as Error).message
      }`,
      { cause },
    );
  }
}

/** Each -v is one level more, starting from warn. */
function louder(level: LogLevel, verbose: number): LogLevel {
  const wanted = verbose === 0 ? 0 : LOG_LEVELS.indexOf("warn") + verbose;
  return LOG_LEVELS[Math.min(LOG_LEVELS.length - 1, Math.max(LOG_LEVELS.indexOf(level), wanted))]!;
}
