/** A command of the person, run without a shell, that cannot hold anything up: bounded in time and in what it says. */
import type { Clock, Timer } from "../base/clock.ts";
import { WormholeError } from "../base/errors.ts";

/** Characters of standard error that are kept. */
const MAX_ERROR_CHARACTERS = 2000;

/** How long after its end what a command has written is waited for, in ms: somebody whom it started may hold the pipe. */
const DRAIN_MS = 500;

/** How long a command that was ended from here is waited for, in ms: what has become another user's does not end. */
const END_MS = 1000;

/** The exit code of what was killed, as shells say it. */
const KILLED = 128 + 9;

/** Options of {@linkcode runCommand}. */
export interface CommandOptions {
  readonly cwd?: string;
  /** Beside this process's own. */
  readonly env?: Readonly<Record<string, string>>;
  /** Given to standard input; without it that is empty. */
  readonly stdin?: Uint8Array<ArrayBuffer>;
  /** Most bytes of standard output; a command that writes more is ended. */
  readonly maxOutputBytes: number;
  readonly timeoutMs: number;
  readonly clock: Clock;
  readonly signal?: AbortSignal;
}

/** How a command ended. */
export interface CommandEnd {
  /** Exit code. */
  readonly code: number;
  readonly stdout: Uint8Array<ArrayBuffer>;
  /** The end of what it said of errors. */
  readonly stderr: string;
  /** Why it was ended from here; undefined: it ended by itself. */
  readonly ended?: string;
  /** Somebody held its standard output, so that `stdout` may not be all of it. */
  readonly isCut?: true;
}

/**
 * Runs a command, and with it ends everything that it has started. What this user must not end, such as a command that has become another
 * user's, is left to itself.
 *
 * @throws {WormholeError} NOT_FOUND when there is no such program, PERMISSION_DENIED when it cannot be run; the signal's reason.
 */
export async function runCommand(words: readonly string[], options: CommandOptions): Promise<CommandEnd> {
  options.signal?.throwIfAborted();
  const child = spawn(words, options);
  let ended: string | undefined;
  using stack = new DisposableStack();
  const givenUp = Promise.withResolvers<undefined>();
  const leave = () => {
    for (const reader of [output, errors]) void reader.cancel();
    givenUp.resolve(undefined);
  };
  const end = (reason: string) => {
    if (ended !== undefined) return;
    ended = reason;
    kill(child.pid);
    for (const reader of [output, errors]) void reader.cancel();
    stack.use(options.clock.timer(END_MS, leave));
  };
  const output = new Collector(child.stdout, options.maxOutputBytes, () => end("it wrote too much"));
  const errors = new Collector(child.stderr, Infinity, () => {});
  using _timer: Timer = options.clock.timer(
    options.timeoutMs,
    () => end(`it did not end within ${Math.round(options.timeoutMs / 1000)} s`),
  );
  const abort = () => end("stopped");
  options.signal?.addEventListener("abort", abort, { once: true });
  try {
    const fed = options.stdin === undefined ? undefined : feed(child.stdin, options.stdin);
    const status = await Promise.race([child.status, givenUp.promise]);
    if (status === undefined) {
      child.unref();
      ended += ", and could not be ended";
    } else {
      // What it has started and left behind, which holds its pipes.
      kill(child.pid);
    }
    stack.use(options.clock.timer(DRAIN_MS, leave));
    const [stdout, stderr] = await Promise.all([
      output.all,
      errors.all,
      Promise.race([fed, givenUp.promise]),
    ]);
    options.signal?.throwIfAborted();
    const said = new TextDecoder().decode(stderr).slice(-MAX_ERROR_CHARACTERS).trim();
    return {
      code: status?.code ?? KILLED,
      stdout,
      stderr: said,
      ...ended !== undefined && { ended },
      ...output.isCut && { isCut: true },
    };
  } finally {
    options.signal?.removeEventListener("abort", abort);
  }
}

function spawn(
  [program, ...args]: readonly string[],
  { cwd, env, stdin }: CommandOptions,
): Deno.ChildProcess {
  try {
    return new Deno.Command(program!, {
      args,
      ...cwd !== undefined && { cwd },
      ...env !== undefined && { env: { ...env } },
      stdin: stdin === undefined ? "null" : "piped",
      stdout: "piped",
      stderr: "piped",
      // A group of its own, so that all of it can be ended.
      detached: true,
    }).spawn();
  } catch (cause) {
    if (!(cause instanceof Error)) throw cause;
    const [code, state] = cause instanceof Deno.errors.NotFound
      ? ["NOT_FOUND", "there is no such program"] as const
      : cause instanceof Deno.errors.PermissionDenied
      ? ["PERMISSION_DENIED", "it may not be run"] as const
      : ["IO", cause.message] as const;
    throw new WormholeError(code, `Cannot run "${program}": ${state}`, { cause });
  }
}

/** Ends a group of processes; there may be none any more, or none that this user may end. */
function kill(pid: number): void {
  try {
    Deno.kill(Deno.build.os === "windows" ? pid : -pid, "SIGKILL");
  } catch (error) {
    const { NotFound, PermissionDenied } = Deno.errors;
    if (![NotFound, PermissionDenied, TypeError].some((one) => error instanceof one)) throw error;
  }
}

/** Reads a stream to its end, or until it is told to stop. */
class Collector {
  readonly all: Promise<Uint8Array<ArrayBuffer>>;
  /** It was told to stop before the end. */
  isCut = false;
  readonly #reader: ReadableStreamDefaultReader<Uint8Array<ArrayBuffer>>;
  #hasEnded = false;

  constructor(stream: ReadableStream<Uint8Array<ArrayBuffer>>, maxBytes: number, onTooMuch: () => void) {
    this.#reader = stream.getReader();
    this.all = this.#read(maxBytes, onTooMuch);
  }

  cancel(): Promise<void> {
    this.isCut ||= !this.#hasEnded;
    return this.#reader.cancel().catch(() => {}); // it has ended
  }

  async #read(maxBytes: number, onTooMuch: () => void): Promise<Uint8Array<ArrayBuffer>> {
    const parts: Uint8Array<ArrayBuffer>[] = [];
    let byteLength = 0;
    for (;;) {
      const { value, done } = await this.#reader.read();
      this.#hasEnded = done;
      if (done) break;
      byteLength += value.length;
      if (byteLength > maxBytes) {
        onTooMuch();
        break;
      }
      parts.push(value);
      // Of an endless tale only the end is wanted.
      while (maxBytes === Infinity && parts.length > 64) parts.shift();
    }
    return new Uint8Array(await new Blob(parts).arrayBuffer());
  }
}

async function feed(
  stdin: WritableStream<Uint8Array<ArrayBuffer>>,
  bytes: Uint8Array<ArrayBuffer>,
): Promise<void> {
  try {
    const writer = stdin.getWriter();
    await writer.write(bytes);
    await writer.close();
  } catch {
    // It ended without reading all of it, which is its right.
  }
}
