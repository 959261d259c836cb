import type { Environment } from "../config/paths.ts";
import type { Terminal } from "./terminal.ts";

/** A program that fills the clipboard from its standard input. */
interface ClipboardProgram {
  readonly command: string;
  readonly args: readonly string[];
  /** Variable without which the program has no display to talk to. */
  readonly needs?: string;
}

const PROGRAMS: Partial<Record<typeof Deno.build.os, readonly ClipboardProgram[]>> = {
  darwin: [{ command: "pbcopy", args: [] }],
  windows: [{ command: "clip.exe", args: [] }],
};

const UNIX_PROGRAMS: readonly ClipboardProgram[] = [
  { command: "wl-copy", args: [], needs: "WAYLAND_DISPLAY" },
  { command: "xclip", args: ["-selection", "clipboard"], needs: "DISPLAY" },
  { command: "xsel", args: ["--clipboard", "--input"], needs: "DISPLAY" },
  { command: "clip.exe", args: [], needs: "WSL_DISTRO_NAME" },
];

/** Time that a clipboard program gets; xclip without an answering display waits for ever. */
const PROGRAM_TIMEOUT_MS = 2000;

/** Options of {@linkcode copyToClipboard}. */
export interface ClipboardOptions {
  readonly env: Environment;
  readonly terminal: Terminal;
  readonly os?: typeof Deno.build.os;
}

/**
 * Puts `text` on the clipboard: through a program that is there, else by asking the terminal (OSC 52, which
 * also works over ssh). Gives what did it, undefined when nothing could.
 *
 * The text goes through standard input, never through arguments, which other people could see.
 */
export async function copyToClipboard(
  text: string,
  { env, terminal, os = Deno.build.os }: ClipboardOptions,
): Promise<string | undefined> {
  for (const { command, args, needs } of PROGRAMS[os] ?? UNIX_PROGRAMS) {
    if (needs !== undefined && !env(needs)) continue;
    if (await feeds({ command, args }, text)) return command;
  }
  if (!terminal.canRedraw) return undefined;
  terminal.write(osc52(text));
  return "terminal";
}

/** Gives the escape sequence that asks a terminal to take `text` into its clipboard (xterm, OSC 52). */
export function osc52(text: string): string {
  return `\x1b]52;c;${new TextEncoder().encode(text).toBase64()}\x07`;
}

/** Runs the program with `text` as its input; false when it is not there or fails. */
async function feeds({ command, args }: ClipboardProgram, text: string): Promise<boolean> {
  try {
    const child = new Deno.Command(command, {
      args: [...args],
      stdin: "piped",
      stdout: "null",
      stderr: "null",
      signal: AbortSignal.timeout(PROGRAM_TIMEOUT_MS),
    }).spawn();
    const writer = child.stdin.getWriter();
    const [, status] = await Promise.all([
      writer.write(new TextEncoder().encode(text)).then(() => writer.close()),
      child.status,
    ]);
    return status.success;
  } catch {
    return false; // not installed, or it died: the next way is tried
  }
}
