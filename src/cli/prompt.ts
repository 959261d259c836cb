/** Questions to the person at the terminal. */
import { WormholeError } from "../base/errors.ts";
import { Interrupted } from "./exit.ts";
import { displayWidth } from "./format.ts";
import { type Complete, LineEditor } from "./line_editor.ts";
import { safe } from "./safe.ts";
import type { Terminal } from "./terminal.ts";

/** Choices that are listed after Tab. */
const MAX_LISTED = 40;

/** Options of every question. */
export interface AskOptions {
  readonly terminal: Terminal;
  readonly signal?: AbortSignal;
}

/** One answer to {@linkcode askChoice}: its first letter is enough. */
export interface Choice<T extends string> {
  readonly answer: T;
  readonly help: string;
}

/**
 * Asks for a line; Tab completes it with `complete`.
 *
 * @throws {WormholeError} USAGE when there is no terminal; INTERRUPTED on Ctrl-C or Ctrl-D; the signal's reason.
 */
export async function askLine(
  question: string,
  { terminal, signal, complete }: AskOptions & { complete?: Complete },
): Promise<string> {
  if (!terminal.interactive) {
    throw new WormholeError("USAGE", `Cannot ask "${safe(question).trim()}": there is no terminal`);
  }
  signal?.throwIfAborted();
  const shown = `${safe(question).trim()} `;
  // Before the question is seen: what is typed at once would be echoed otherwise. Ctrl-C stays a signal.
  Deno.stdin.setRaw(true, { cbreak: Deno.build.os !== "windows" });
  try {
    terminal.write(shown);
    return await typedLine(shown, { terminal, signal, complete });
  } finally {
    Deno.stdin.setRaw(false);
    terminal.write("\n");
  }
}

/**
 * Asks a question that is answered with yes or no; Enter alone means `fallback`.
 *
 * @throws {WormholeError} as {@linkcode askLine}.
 */
export async function askYesNo(
  question: string,
  { fallback, ...options }: AskOptions & { fallback: boolean },
): Promise<boolean> {
  for (;;) {
    const answer = (await askLine(`${question} [${fallback ? "Y/n" : "y/N"}]`, options)).trim().toLowerCase();
    if (answer === "") return fallback;
    if ("yes".startsWith(answer)) return true;
    if ("no".startsWith(answer)) return false;
    options.terminal.write("Please answer y or n.\n");
  }
}

/**
 * Asks for one of `choices`.
 *
 * @throws {WormholeError} as {@linkcode askLine}.
 */
export async function askChoice<const T extends string>(
  question: string,
  { choices, ...options }: AskOptions & { choices: readonly Choice<T>[] },
): Promise<T> {
  const { terminal } = options;
  const answers = choices.map(({ answer }) => answer);
  terminal.write(`${safe(question)}\n`);
  for (const { answer, help } of choices) terminal.write(`  ${answer.padEnd(10)} ${safe(help)}\n`);
  const complete: Complete = (text) => answers.filter((answer) => answer.startsWith(text.toLowerCase()));
  for (;;) {
    const given = (await askLine(`${answers.join("/")}?`, { ...options, complete })).trim().toLowerCase();
    const fitting = answers.filter((answer) => given !== "" && answer.startsWith(given));
    if (fitting.length === 1) return fitting[0]!;
    terminal.write(`Please answer ${answers.slice(0, -1).join(", ")} or ${answers.at(-1)}.\n`);
  }
}

/** What to do with a file that exists already. */
export type ExistingAnswer = "overwrite" | "rename" | "skip" | "cancel";

/**
 * Asks what to do with the existing file `name`.
 *
 * @throws {WormholeError} as {@linkcode askLine}.
 */
export function askExisting(name: string, options: AskOptions): Promise<ExistingAnswer> {
  return askChoice(`"${safe(name)}" exists already.`, {
    ...options,
    choices: [
      { answer: "overwrite", help: "replace what exists" },
      { answer: "rename", help: "keep it and give the new ones another name" },
      { answer: "skip", help: "keep it and leave the new ones out" },
      { answer: "cancel", help: "receive nothing" },
    ],
  });
}

async function typedLine(
  shown: string,
  { terminal, signal, complete }: AskOptions & { complete?: Complete },
): Promise<string> {
  const editor = new LineEditor(complete);
  const decoder = new TextDecoder();
  const buffer = new Uint8Array(256);
  for (;;) {
    const length = await readOrAbort(buffer, signal);
    if (length === null) throw new Interrupted("SIGINT");
    for (const character of decoder.decode(buffer.subarray(0, length), { stream: true })) {
      const result = editor.key(character);
      if (result.kind === "done") return editor.text;
      if (result.kind === "end" || result.kind === "interrupt") throw new Interrupted("SIGINT");
      if (result.kind === "bell") terminal.write("\x07");
      if (result.kind === "choices") terminal.write(listed(result.choices, terminal.columns()));
    }
    terminal.write(`\r\x1b[K${fitting(shown + safe(editor.text), terminal.columns())}`);
  }
}

/** Keeps the end of a line that would wrap: only one line can be drawn over. */
function fitting(text: string, columns: number): string {
  const characters = [...text];
  let cut = 0;
  while (displayWidth(characters.slice(cut).join("")) > columns - 2) cut++;
  return cut === 0 ? text : `…${characters.slice(cut).join("")}`;
}

/** Reads from standard input; a read cannot be taken back, so on abort it is left and the program ends soon. */
function readOrAbort(buffer: Uint8Array, signal: AbortSignal | undefined): Promise<number | null> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal!.reason);
    if (signal?.aborted) return abort();
    signal?.addEventListener("abort", abort, { once: true });
    Deno.stdin.read(buffer).then(resolve, reject).finally(() => signal?.removeEventListener("abort", abort));
  });
}

/** Lists the last parts of the choices in columns, as shells do. */
function listed(choices: readonly string[], columns: number): string {
  const words = choices.slice(0, MAX_LISTED).map((choice) => safe(choice.slice(choice.lastIndexOf("-") + 1)));
  const width = Math.max(...words.map((word) => word.length)) + 2;
  const perLine = Math.max(1, Math.floor(columns / width));
  let text = "";
  for (const [at, word] of words.entries()) text += (at % perLine === 0 ? "\r\n" : "") + word.padEnd(width);
  const more = choices.length - words.length;
  return `${text}${more > 0 ? `\r\nand ${more} more` : ""}\r\n`;
}
