import type { Environment } from "../config/paths.ts";

/** Wraps text so that it stands out; gives it unchanged where there are no colours. */
export interface Styles {
  bold(text: string): string;
  dim(text: string): string;
  red(text: string): string;
  yellow(text: string): string;
  green(text: string): string;
}

/** What this program's standard streams are attached to. */
export interface Terminal {
  /** Questions can be asked: standard input and standard error are terminals. */
  readonly interactive: boolean;
  /** Standard error is a terminal that can draw over a line. */
  readonly canRedraw: boolean;
  readonly stdoutIsTerminal: boolean;
  readonly styles: Styles;
  /** Columns of the terminal now; 80 where there is none. */
  columns(): number;
  /** Writes to standard error; a closed one is ignored, there is nobody left to tell. */
  write(text: string): void;
}

/** Gives the terminal of this process. */
export function systemTerminal(env: Environment): Terminal {
  const stderrIsTerminal = Deno.stderr.isTerminal();
  const dumb = env("TERM") === "dumb";
  const encoder = new TextEncoder();
  return {
    interactive: stderrIsTerminal && Deno.stdin.isTerminal(),
    canRedraw: stderrIsTerminal && !dumb,
    stdoutIsTerminal: Deno.stdout.isTerminal(),
    styles: styles(usesColour({ env, isTerminal: stderrIsTerminal && !dumb })),
    columns: terminalColumns,
    write(text) {
      try {
        const bytes = encoder.encode(text);
        for (let at = 0; at < bytes.length;) at += Deno.stderr.writeSync(bytes.subarray(at));
      } catch (error) {
        if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
      }
    },
  };
}

/** Decides on colours: NO_COLOR (no-color.org) wins, then FORCE_COLOR, then whether it is a terminal. */
export function usesColour({ env, isTerminal }: { env: Environment; isTerminal: boolean }): boolean {
  if (env("NO_COLOR")) return false;
  const forced = env("FORCE_COLOR");
  if (forced) return forced !== "0";
  return isTerminal;
}

/** Gives styles with ANSI colours, or ones that change nothing. */
export function styles(colours: boolean): Styles {
  const style = (on: number, off: number) => (text: string) =>
    colours && text !== "" ? `\x1b[${on}m${text}\x1b[${off}m` : text;
  return {
    bold: style(1, 22),
    dim: style(2, 22),
    red: style(31, 39),
    yellow: style(33, 39),
    green: style(32, 39),
  };
}

const DEFAULT_COLUMNS = 80;

function terminalColumns(): number {
  try {
    return Deno.consoleSize().columns || DEFAULT_COLUMNS;
  } catch {
    return DEFAULT_COLUMNS; // no terminal at any of the three streams
  }
}
