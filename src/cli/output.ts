/** The three ways in which a command speaks: to a person, to a script, or hardly. */
import type { Clock } from "../base/clock.ts";
import type { Output, OutputEvent } from "./events.ts";
import { humanText } from "./human.ts";
import { ProgressLine } from "./progress_line.ts";
import { ProgressLines } from "./progress_lines.ts";
import { safe, safeText } from "./safe.ts";
import type { Terminal } from "./terminal.ts";

/** What an output writes through. */
export interface OutputOptions {
  readonly terminal: Terminal;
  readonly clock: Clock;
  /** Writes all of `text` to standard output. */
  readonly stdout: (text: string) => void;
  /** Standard output carries received data: everything else goes to standard error. */
  readonly dataOnStdout?: boolean;
}

/** Gives the output that the flags ask for. */
export function createOutput(
  { json, quiet, ...options }: OutputOptions & { json: boolean; quiet: boolean },
): Output {
  return json ? jsonOutput(options) : quiet ? quietOutput(options) : humanOutput(options);
}

/** Sentences and a progress line on standard error; a received text, as it is wanted, on standard output. */
export function humanOutput({ terminal, clock, stdout, dataOnStdout }: OutputOptions): Output {
  const drawing = { write: terminal.write, columns: terminal.columns, clock };
  const line = terminal.canRedraw ? new ProgressLine(drawing) : undefined;
  const lines = terminal.canRedraw ? new ProgressLines(drawing) : undefined;
  return {
    emit(event) {
      if (event.event === "progress") {
        if (event.receiver === undefined) line?.update(event);
        else lines?.update(event.receiver, event);
        return;
      }
      if (event.event === "reconnecting") {
        if (line && event.receiver === undefined) return line.wait(event);
        // Without a line of its own to draw over, the first attempt says it for all.
        if (event.attempt > 1) return;
      }
      if (event.event === "peer") line?.waitOver();
      line?.pause();
      lines?.pause();
      if ((event.event === "done" || event.event === "receiver_failed") && event.receiver !== undefined) {
        lines?.remove(event.receiver);
      }
      const text = humanText(event, terminal.styles);
      if (event.event === "checksum") printSum(text, { terminal, stdout, dataOnStdout });
      else if (event.event === "text" && !dataOnStdout) stdout(receivedText(event.text, terminal));
      else if (isAnswer(event) && !dataOnStdout) stdout(text + "\n");
      else if (text !== "") terminal.write(text + "\n");
      line?.resume();
      lines?.resume();
    },
    print: stdout,
    pause() {
      line?.pause();
      lines?.pause();
    },
    resume() {
      line?.resume();
      lines?.resume();
    },
    close() {
      line?.close();
      lines?.close();
    },
  };
}

/** Only what was asked for: the code, a text, an answer; and what went wrong. */
export function quietOutput({ terminal, stdout, dataOnStdout }: OutputOptions): Output {
  const answer = dataOnStdout ? terminal.write : stdout;
  return {
    emit(event) {
      if (event.event === "code") answer(safe(event.code) + "\n");
      else if (event.event === "lock" && event.token !== null) answer(safe(event.token) + "\n");
      else if (event.event === "checksum") {
        printSum(humanText(event, terminal.styles), { terminal, stdout, dataOnStdout });
      } else if (event.event === "verifier") terminal.write(humanText(event, terminal.styles) + "\n");
      else if (event.event === "text") answer(receivedText(event.text, terminal));
      else if (isAnswer(event)) answer(humanText(event, terminal.styles) + "\n");
      else if (SAID_QUIETLY.has(event.event)) {
        terminal.write(humanText(event, terminal.styles) + "\n");
      }
    },
    print: stdout,
    pause() {},
    resume() {},
    close() {},
  };
}

/** What went wrong is said even when hardly anything is. */
const SAID_QUIETLY: ReadonlySet<OutputEvent["event"]> = new Set(["error", "file_failed", "receiver_failed"]);

/** One JSON object per line for every event, on standard output. */
export function jsonOutput({ terminal, stdout, dataOnStdout }: OutputOptions): Output {
  const write = dataOnStdout ? terminal.write : stdout;
  return {
    emit: (event) => write(jsonLine(event)),
    print: stdout,
    pause() {},
    resume() {},
    close() {},
  };
}

/** Gives an event as one line of plain ASCII, so that no terminal and no decoder stumbles over a name. */
export function jsonLine(event: OutputEvent): string {
  const ascii = JSON.stringify(event).replace(
    /[\u007f-\uffff]/g,
    (unit) => "\\u" + unit.charCodeAt(0).toString(16).padStart(4, "0"),
  );
  return ascii + "\n";
}

function isAnswer({ event }: OutputEvent): boolean {
  return event === "setting" || event === "check" || event === "unfinished" || event === "store" ||
    event === "change" || event === "job" || event === "job_plan" || event === "job_run" ||
    event === "lock" || event === "sync_status";
}

/** A checksum goes as it is into a pipe or file, where b3sum reads it, and without control characters to a terminal. */
function printSum(
  line: string,
  { terminal, stdout, dataOnStdout }: Pick<OutputOptions, "terminal" | "stdout" | "dataOnStdout">,
): void {
  if (dataOnStdout) terminal.write(safe(line) + "\n");
  else stdout((terminal.stdoutIsTerminal ? safe(line) : line) + "\n");
}

/** A text goes as it is into a pipe or file, without control characters to a terminal. */
function receivedText(text: string, terminal: Terminal): string {
  const shown = terminal.stdoutIsTerminal ? safeText(text) : text;
  return shown.endsWith("\n") ? shown : shown + "\n";
}
