/** Runs the real command: what it prints, the events it reports, how it ends. */
import { fromFileUrl } from "../../src/base/paths.ts";
import type { Person } from "./sandbox.ts";

/** One line of `--json` output; docs/json.md. */
export interface Event {
  readonly event: string;
  // deno-lint-ignore no-explicit-any -- tests look at whatever field they are about
  readonly [field: string]: any;
}

/** How a command ended. */
export interface Ending {
  /** Exit code; 128 + signal when a signal ended it. */
  readonly code: number;
  readonly signal: Deno.Signal | null;
  readonly stdout: Uint8Array;
  readonly stderr: string;
  readonly events: readonly Event[];
}

/** Options of {@linkcode start}. */
export interface StartOptions {
  person: Person;
  cwd?: string;
  /** Given to standard input, which then ends; without it standard input is empty. */
  stdin?: Uint8Array;
  env?: Record<string, string>;
  /** Put before the command, such as `["setpriv", …]`. */
  prefix?: readonly string[];
}

/** Longest that any test waits for one thing, so that a hang is a failure with a name. */
export const PATIENCE_MS = 60_000;

/** Longest that a command which is not needed any more has to write its coverage. */
const COVERAGE_PATIENCE_MS = 5_000;

/** Gives the command line that starts Wormhole: `$WORMHOLE_COMMAND`, split at spaces, or this checkout's main.ts. */
export function wormholeCommand(): string[] {
  const given = Deno.env.get("WORMHOLE_COMMAND");
  if (given) return given.split(" ").filter((part) => part !== "");
  const main = fromFileUrl(new URL("../../main.ts", import.meta.url));
  return [Deno.execPath(), "run", "--quiet", "--allow-all", main];
}

/** Starts `wormhole ARGS…`. Dispose it to be sure that it is gone. */
export function start(args: readonly string[], options: StartOptions): Running {
  const [program, ...rest] = [...options.prefix ?? [], ...wormholeCommand(), ...args];
  const child = new Deno.Command(program!, {
    args: rest,
    cwd: options.cwd,
    clearEnv: true,
    env: { ...options.person.env, ...options.env },
    stdin: options.stdin ? "piped" : "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  if (options.stdin) void feed(child.stdin, options.stdin);
  return new Running(`${options.person.name}: wormhole ${args.join(" ")}`, child);
}

/** Runs `wormhole ARGS…` to its end. */
export async function run(args: readonly string[], options: StartOptions): Promise<Ending> {
  await using running = start(args, options);
  return await running.ending();
}

interface Waiter {
  matches(event: Event): boolean;
  resolve(event: Event): void;
  reject(reason: Error): void;
}

/** A running command. */
export class Running implements AsyncDisposable {
  readonly #title: string;
  readonly #child: Deno.ChildProcess;
  readonly #events: Event[] = [];
  readonly #waiters = new Set<Waiter>();
  readonly #stdout: Uint8Array[] = [];
  readonly #ending: Promise<Ending>;
  #stderr = "";
  #ended = false;

  constructor(title: string, child: Deno.ChildProcess) {
    this.#title = title;
    this.#child = child;
    this.#ending = this.#follow();
  }

  /** Process id. */
  get pid(): number {
    return this.#child.pid;
  }

  /** What it wrote to standard error so far. */
  get stderr(): string {
    return this.#stderr;
  }

  /** What it reported so far. */
  get events(): readonly Event[] {
    return this.#events;
  }

  /** Gives the first event named `name` that `matches`, now or later. Fails when the command ends before it. */
  event(name: string, matches: (event: Event) => boolean = () => true): Promise<Event> {
    const wanted = (event: Event) => event.event === name && matches(event);
    const seen = this.#events.find(wanted);
    if (seen) return Promise.resolve(seen);
    if (this.#ended) return Promise.reject(this.#error(`ended without the event "${name}"`));
    const { promise, resolve, reject } = Promise.withResolvers<Event>();
    const waiter = { matches: wanted, resolve, reject };
    this.#waiters.add(waiter);
    return this.#patiently(promise, `the event "${name}"`).finally(() => this.#waiters.delete(waiter));
  }

  /** Sends `signal`. */
  signal(signal: Deno.Signal): void {
    this.#child.kill(signal);
  }

  /** Waits for the end, at most `withinMs`. */
  ending(withinMs = PATIENCE_MS): Promise<Ending> {
    return this.#patiently(this.#ending, "its end", withinMs);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Only what ends by itself says what it executed.
    if (Deno.env.has("DENO_COVERAGE_DIR")) {
      this.#kill("SIGTERM");
      await this.ending(COVERAGE_PATIENCE_MS).catch(() => {});
    }
    this.#kill("SIGKILL");
    await this.#ending;
  }

  #kill(signal: Deno.Signal): void {
    if (this.#ended) return;
    try {
      this.#child.kill(signal);
    } catch {
      // it ended by itself just now
    }
  }

  async #follow(): Promise<Ending> {
    const [, , status] = await Promise.all([
      this.#readOutput(this.#child.stdout),
      this.#readErrors(this.#child.stderr),
      this.#child.status,
    ]);
    this.#ended = true;
    for (const waiter of this.#waiters) waiter.reject(this.#error("ended before the event"));
    return {
      code: status.code,
      signal: status.signal,
      stdout: joined(this.#stdout),
      stderr: this.#stderr,
      events: this.#events,
    };
  }

  async #readOutput(stream: ReadableStream<Uint8Array>): Promise<void> {
    const decoder = new TextDecoder();
    let line = "";
    for await (const bytes of stream) {
      this.#stdout.push(bytes);
      line += decoder.decode(bytes, { stream: true });
      const lines = line.split("\n");
      line = lines.pop()!;
      for (const text of lines) this.#take(text);
    }
  }

  async #readErrors(stream: ReadableStream<Uint8Array>): Promise<void> {
    const decoder = new TextDecoder();
    for await (const bytes of stream) this.#stderr += decoder.decode(bytes, { stream: true });
  }

  #take(line: string): void {
    if (!line.startsWith("{")) return;
    let event: Event;
    try {
      event = JSON.parse(line);
    } catch {
      return; // content that looks like an event, such as --stdout of a file
    }
    if (typeof event?.event !== "string") return;
    this.#events.push(event);
    for (const waiter of this.#waiters) if (waiter.matches(event)) waiter.resolve(event);
  }

  async #patiently<T>(promise: Promise<T>, what: string, withinMs = PATIENCE_MS): Promise<T> {
    const { promise: late, reject } = Promise.withResolvers<never>();
    const timer = setTimeout(
      () => reject(this.#error(`gave no sign of ${what} in ${withinMs} ms`)),
      withinMs,
    );
    try {
      return await Promise.race([promise, late]);
    } finally {
      clearTimeout(timer);
    }
  }

  #error(state: string): Error {
    const events = this.#events.slice(-5).map((event) => JSON.stringify(event)).join("\n");
    return new Error(
      `${this.#title} ${state}\n--- stderr\n${this.#stderr.slice(-4000)}\n--- events\n${events}`,
    );
  }
}

async function feed(stdin: WritableStream<Uint8Array>, bytes: Uint8Array): Promise<void> {
  try {
    const writer = stdin.getWriter();
    await writer.write(bytes);
    await writer.close();
  } catch {
    // the command ended without reading it all; its exit code tells why
  }
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
