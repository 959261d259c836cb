/** Copies without starting the command: thousands in the time of a few starts. */
import { lines } from "../lines.ts";
import { asFailure } from "../../../src/cli/exit.ts";
import {
  copy,
  type CopyOptions,
  type CopyOutcome,
  placesOf,
  preserveOf,
  systemDisk,
} from "../../../src/copy/mod.ts";

/** What a test asks for; everything else as the command has it. */
export type Task =
  & { readonly paths: readonly string[] }
  & Partial<
    Omit<CopyOptions, "roots" | "preserve" | "onProgress" | "onChange" | "onProblem" | "mayDelete" | "signal">
  >;

/** How it ended. */
export interface Copied {
  readonly failed: readonly { readonly path: string; readonly code: string; readonly message: string }[];
  readonly outcome?: CopyOutcome;
  /** What ended all of it. */
  readonly error?: { readonly code: string; readonly message: string };
}

/** Longest that one small copy may take, so that a hang is a failure with a name. */
const PATIENCE_MS = 30_000;

/** Copies in this process, as the command would; deletes whatever `deletes` finds. */
export async function copyHere({ paths, ...task }: Task): Promise<Copied> {
  const failed: { path: string; code: string; message: string }[] = [];
  try {
    const sync = task.existing === "differs";
    const { roots, refused } = placesOf({ paths, sync, deletes: task.deletes ?? false }, systemDisk);
    failed.push(...refused);
    const outcome = await copy({
      existing: "replace",
      retries: 3,
      ...task,
      roots,
      preserve: preserveOf({}, { isRoot: Deno.uid() === 0 }),
      onProblem: ({ path, code, message }) => failed.push({ path, code, message }),
      mayDelete: () => Promise.resolve(true),
      signal: AbortSignal.timeout(PATIENCE_MS),
    });
    return { failed, outcome };
  } catch (error) {
    const { code, message } = asFailure(error);
    return { failed, error: { code, message } };
  }
}

/** A process of its own that copies, to be run on a disk that fails. */
export class CopyProcess implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #lines: ReadableStreamDefaultReader<string>;
  readonly #input: WritableStreamDefaultWriter<Uint8Array>;

  /** Starts it, after `prefix`. */
  constructor(prefix: readonly string[]) {
    const main = new URL(import.meta.url).pathname;
    const [program, ...args] = [...prefix, Deno.execPath(), "run", "--quiet", "-A", "--no-check", main];
    this.#child = new Deno.Command(program!, { args, stdin: "piped", stdout: "piped" }).spawn();
    this.#lines = this.#child.stdout.pipeThrough(new TextDecoderStream()).pipeThrough(lines()).getReader();
    this.#input = this.#child.stdin.getWriter();
  }

  /** Runs a task; fails when the process dies. */
  async run(task: Task): Promise<Copied> {
    await this.#input.write(new TextEncoder().encode(JSON.stringify(task) + "\n"));
    const { value, done } = await this.#lines.read();
    if (!done) return JSON.parse(value);
    const { code, signal } = await this.#child.status;
    throw new Error(`the process died: ${signal ?? code}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#input.close().catch(() => {});
    while (!(await this.#lines.read()).done);
    await this.#child.status;
  }
}

if (import.meta.main) {
  const input = Deno.stdin.readable.pipeThrough(new TextDecoderStream()).pipeThrough(lines());
  for await (const line of input) console.log(JSON.stringify(await copyHere(JSON.parse(line))));
}
