/** A command in a real terminal: what it shows, what is typed into it. */
import { fromFileUrl } from "../../src/base/paths.ts";
import { PATIENCE_MS, wormholeCommand } from "../e2e/command.ts";
import type { Person } from "../e2e/sandbox.ts";

const SCRIPT = fromFileUrl(new URL("./run_in_terminal.py", import.meta.url));

/** Options of {@linkcode Terminal.open}. */
export interface TerminalOptions {
  person: Person;
  columns?: number;
  rows?: number;
  cwd?: string;
  env?: Record<string, string>;
  /** Put before the command. */
  prefix?: readonly string[];
}

/** A running command and its terminal; dispose it to be sure that both are gone. */
export class Terminal implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #keyboard: WritableStreamDefaultWriter<Uint8Array>;
  readonly #ended: Promise<number>;
  readonly #watchers = new Set<() => void>();
  #shown = "";

  private constructor(child: Deno.ChildProcess) {
    this.#child = child;
    this.#keyboard = child.stdin.getWriter();
    this.#ended = this.#follow();
  }

  /** Runs `wormhole ARGS…` in a terminal. */
  static open(args: readonly string[], options: TerminalOptions): Terminal {
    const { columns = 80, rows = 24, person, prefix = [] } = options;
    const child = new Deno.Command("python3", {
      args: [SCRIPT, String(columns), String(rows), ...prefix, ...wormholeCommand(), ...args],
      cwd: options.cwd,
      clearEnv: true,
      env: { ...person.env, TERM: "xterm-256color", ...options.env },
      stdin: "piped",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    return new Terminal(child);
  }

  /** Everything that was written to the terminal so far, escape sequences included. */
  get shown(): string {
    return this.#shown;
  }

  /** Types `text`; "\r" is Enter, "\t" Tab, "\x03" Ctrl-C. */
  async type(text: string): Promise<void> {
    await this.#keyboard.write(new TextEncoder().encode(text));
  }

  /** Waits until what was shown matches, and gives the match. */
  async shows(pattern: RegExp): Promise<RegExpMatchArray> {
    const { promise, resolve, reject } = Promise.withResolvers<RegExpMatchArray>();
    const look = () => {
      const match = this.#shown.match(pattern);
      if (match) resolve(match);
    };
    const fail = (state: string) =>
      reject(new Error(`${state} before ${pattern}: ${JSON.stringify(this.#shown)}`));
    const timer = setTimeout(() => fail("time is up"), PATIENCE_MS);
    this.#watchers.add(look);
    void this.#ended.then(() => (look(), fail("the command ended")));
    look();
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
      this.#watchers.delete(look);
    }
  }

  /** Waits for the end and gives the exit code. */
  async ending(): Promise<number> {
    const { promise, reject } = Promise.withResolvers<never>();
    const timer = setTimeout(
      () => reject(new Error(`no end in ${PATIENCE_MS} ms: ${JSON.stringify(this.#shown)}`)),
      PATIENCE_MS,
    );
    try {
      return await Promise.race([this.#ended, promise]);
    } finally {
      clearTimeout(timer);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#child.kill("SIGTERM"); // run_in_terminal.py passes it on as SIGKILL
    } catch {
      // it ended by itself
    }
    await this.#ended;
    await this.#keyboard.close().catch(() => undefined);
  }

  async #follow(): Promise<number> {
    const decoder = new TextDecoder();
    for await (const bytes of this.#child.stdout) {
      this.#shown += decoder.decode(bytes, { stream: true });
      for (const look of this.#watchers) look();
    }
    return (await this.#child.status).code;
  }
}

/** Gives `text` as lines a person reads: escape sequences gone, carriage returns as new lines. */
export function plainText(text: string): string {
  // deno-lint-ignore no-control-regex
  return text.replace(/\u001b\[[0-9;?]*[A-Za-z]|\u001b\][^\u0007]*\u0007/g, "").replace(/\r\n?/g, "\n");
}
