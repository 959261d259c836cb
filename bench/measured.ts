/** Runs commands under `measure.py` and adds up what they cost. */
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
  scratch: string;
  env?: Record<string, string>;
  cwd?: string;
  /** A server: it is ended by a signal, and that is no failure. */
  server?: boolean;
  /** Called with each line of standard output. */
  onLine?: (line: string) => void;
}

/** Starts `command` under the measuring wrapper. */
export function measured(command: readonly string[], options: MeasuredOptions): Measured {
  const result = `${options.scratch}/cost-${++count}.json`;
  const child = new Deno.Command("python3", {
    args: ["-S", SCRIPT, result, ...command],
    env: options.env,
    cwd: options.cwd,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const patience = setTimeout(() => child.kill("SIGTERM"), PATIENCE_MS);
  void child.status.then(() => clearTimeout(patience));
  const said = Promise.all([lines(child.stdout, options.onLine), lines(child.stderr)]);
  return {
    child,
    async cost() {
      const [[stdout, stderr], status] = await Promise.all([said, child.status]);
      if (!status.success && !options.server) {
        throw new Error(`${command.join(" ")}: exit ${status.code}\n${stdout}\n${stderr}`);
      }
      const cost = JSON.parse(await Deno.readTextFile(result));
      return { start: cost.start, end: cost.end, cpu: cost.user + cost.system, peakRss: cost.peak_rss };
    },
  };
}

async function lines(stream: ReadableStream<Uint8Array>, onLine?: (line: string) => void): Promise<string> {
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
