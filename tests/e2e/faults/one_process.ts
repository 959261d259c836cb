/**
 * A process that does whole transfers with itself, with a journal, at a pace at which faults find it under way: one task
 * per line of standard input, one line of output per thing that happens.
 */
import { lines } from "../lines.ts";
import { isWormholeError } from "../../../src/base/errors.ts";
import { systemClock } from "../../../src/base/clock.ts";
import { asFailure } from "../../../src/cli/exit.ts";
import { NativeQueue } from "../../../src/native/queue.ts";
import { Journal } from "../../../src/store/mod.ts";
import { type ExistingPolicy, runGetter, runProvider, SendSource } from "../../../src/transfer/mod.ts";
import { memoryPair } from "../../../src/transport/memory.ts";
import { getterOptions, providerOptions } from "../../compliance/transfer.ts";
import { CHUNK_BYTES } from "./small_tree.ts";

/** One transfer. */
export interface Task {
  readonly source: string;
  readonly into: string;
  /** File of the journal; none is kept without. */
  readonly journal?: string;
  /** Stands for the system's run; another one is what the journal finds after a power cut. */
  readonly bootId?: string;
  readonly existing?: ExistingPolicy;
  /** How much faster the clock of the barriers runs: they come every 5 s. */
  readonly hurry?: number;
  /** zstd level, for its slowness; without it nothing is compressed. */
  readonly level?: number;
}

/** How a task goes. */
export type Told =
  | { readonly event: "progress"; readonly phase: string; readonly bytes: number }
  | {
    readonly event: "ended";
    /** Of the receiver; absent when all went well. */
    readonly code?: string;
    readonly message?: string;
    readonly failed: number;
    /** Bytes on the wire, where it is known. */
    readonly wire?: number;
  };

/** Does one transfer in this process. */
export async function transferHere(task: Task, tell: (told: Told) => void): Promise<void> {
  await using queue = NativeQueue.open();
  const [a, b] = await memoryPair(queue);
  try {
    using journal = openJournal(task);
    await using source = await SendSource.open(queue, {
      paths: [task.source],
      chunkBytes: CHUNK_BYTES,
      versionKey: new Uint8Array(32).fill(7),
    });
    const { hurry = 1 } = task;
    const sending = runProvider({
      ...providerOptions({ a }, source),
      chunkBytes: CHUNK_BYTES,
      minStreams: 1,
      maxStreams: 1,
      compression: task.level === undefined ? "never" : "always",
      compressionLevel: task.level ?? 1,
    }).catch(() => {}); // The receiver tells what went wrong.
    try {
      const outcome = await runGetter({
        ...getterOptions({ b, queue }, task.into),
        accept: () => ({ accept: true, ...task.existing && { existing: task.existing } }),
        ...journal && { journal },
        clock: { ...systemClock, now: () => Date.now() * hurry },
        onProgress: ({ phase, bytesDone }) => tell({ event: "progress", phase, bytes: bytesDone }),
      });
      const [first] = outcome.failed;
      tell({
        event: "ended",
        failed: outcome.failedCount,
        wire: outcome.bytesWire,
        ...first && { message: first.message },
      });
    } finally {
      await b.close();
      await sending;
    }
  } catch (error) {
    const { code, message } = asFailure(error);
    tell({ event: "ended", code, message, failed: 0 });
  } finally {
    await Promise.all([a.close(), b.close()]);
  }
}

/** As `recv` does: a journal that cannot be opened is no reason to receive nothing. */
function openJournal({ journal, bootId = "first" }: Task): Journal | undefined {
  if (journal === undefined) return undefined;
  try {
    return Journal.open(journal, { bootId });
  } catch (error) {
    if (!isWormholeError(error)) throw error;
    return undefined;
  }
}

/** A process that runs tasks. */
export class OneProcess implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #lines: ReadableStreamDefaultReader<string>;
  readonly #input: WritableStreamDefaultWriter<Uint8Array>;

  /** Starts it, after `prefix`. */
  constructor({ prefix = [], env = {} }: { prefix?: readonly string[]; env?: Record<string, string> } = {}) {
    const main = new URL(import.meta.url).pathname;
    const [program, ...args] = [...prefix, Deno.execPath(), "run", "--quiet", "-A", "--no-check", main];
    this.#child = new Deno.Command(program!, { args, env, stdin: "piped", stdout: "piped" }).spawn();
    this.#lines = this.#child.stdout.pipeThrough(new TextDecoderStream()).pipeThrough(lines()).getReader();
    this.#input = this.#child.stdin.getWriter();
  }

  /** Runs a task; `onTold` hears of its progress. Undefined when the process was killed meanwhile. */
  async run(task: Task, onTold?: (told: Told) => void): Promise<Told & { event: "ended" } | undefined> {
    await this.#input.write(new TextEncoder().encode(JSON.stringify(task) + "\n"));
    for (;;) {
      const { value, done } = await this.#lines.read();
      if (done) return undefined;
      const told: Told = JSON.parse(value);
      onTold?.(told);
      if (told.event === "ended") return told;
    }
  }

  /** How it ended. */
  async status(): Promise<string> {
    const { code, signal } = await this.#child.status;
    return signal ?? `exit code ${code}`;
  }

  kill(): void {
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // It has ended by itself.
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#input.close().catch(() => {});
    this.kill();
    while (!(await this.#lines.read()).done);
    await this.#child.status;
  }
}

if (import.meta.main) {
  const tell = (told: Told) => console.log(JSON.stringify(told));
  const input = Deno.stdin.readable.pipeThrough(new TextDecoderStream()).pipeThrough(lines());
  for await (const line of input) await transferHere(JSON.parse(line), tell);
}
