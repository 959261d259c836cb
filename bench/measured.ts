/** Runs commands under `measure.py` and reads what they cost. */
import { fromFileUrl } from "../src/base/paths.ts";

/** What one process cost. */
export interface Cost {
  /** CLOCK_MONOTONIC, s. */
  readonly start: number;
  readonly end: number;
  /** User and system time, s. */
  readonly cpu: number;
  /** Bytes. */
  readonly peakRss: number;
  /** Lines of standard output with their times, where they were asked for. */
  readonly lines: readonly (readonly [at: number, line: string])[];
}

/** A running measured command. */
export interface Measured {
  readonly child: Deno.ChildProcess;
  /** Resolves at its end; rejects when it failed, with what it said. */
  cost(): Promise<Cost>;
}

/** A move that takes longer hangs; it is ended, so that the bench ends too. */
const PATIENCE_MS = 600_000;

const SCRIPT = fromFileUrl(new URL("./measure.py", import.meta.url));
let count = 0;

/** Options of {@linkcode measured}. */
export interface MeasuredOptions {
  /** Folder for results. */
  readonly scratch: string;
  readonly env?: Record<string, string>;
  readonly cwd?: string;
  /** A server: it is ended by a signal, and that is no failure. */
  readonly server?: boolean;
  /** Keeps each line of standard output with its time. */
  readonly lines?: boolean;
  /** Called with each line of standard output. */
  readonly onLine?: (line: string) => void;
}

/** Starts `command` under the measuring wrapper. */
export function measured(command: readonly string[], options: MeasuredOptions): Measured {
  const { result, wrapped } = wrap(command, options);
  const child = new Deno.Command(wrapped[0]!, {
    args: wrapped.slice(1),
    ...options.env && { env: options.env },
    ...options.cwd && { cwd: options.cwd },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const patience = setTimeout(() => child.kill("SIGTERM"), PATIENCE_MS);
  void child.status.then(() => clearTimeout(patience));
  const said = Promise.all([readLines(child.stdout, options.onLine), readLines(child.stderr)]);
  return {
    child,
    async cost() {
      const [[stdout, stderr], status] = await Promise.all([said, child.status]);
      if (!status.success && !options.server) {
        throw new Error(`${command.join(" ")}: exit ${status.code}\n${stderr}\n${stdout}`);
      }
      return await readCost(result);
    },
  };
}

/** Gives the command that measures `command`, for somebody else to start, and the file for {@linkcode readCost}. */
export function wrap(
  command: readonly string[],
  { scratch, lines = false }: { scratch: string; lines?: boolean },
): { result: string; wrapped: string[] } {
  const result = `${scratch}/cost-${++count}.json`;
  return { result, wrapped: ["python3", "-S", SCRIPT, ...lines ? ["--lines"] : [], result, ...command] };
}

/** Reads what a wrapped command cost, after its end. */
export async function readCost(result: string): Promise<Cost> {
  const { start, end, user, system, peak_rss, lines } = JSON.parse(await Deno.readTextFile(result));
  return { start, end, cpu: user + system, peakRss: peak_rss, lines };
}

async function readLines(
  stream: ReadableStream<Uint8Array>,
  onLine?: (line: string) => void,
): Promise<string> {
  let text = "";
  let line = "";
  const decoder = new TextDecoder();
  for await (const bytes of stream) {
    line += decoder.decode(bytes, { stream: true });
    const whole = line.split(/[\r\n]/);
    line = whole.pop()!;
    for (const each of whole) onLine?.(each);
    text = (text + whole.join("\n")).slice(-4000);
  }
  return text + line;
}
