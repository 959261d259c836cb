/** A program that goes on running, and what it takes meanwhile; by /proc. */

/** Clock ticks in a second (`getconf CLK_TCK`). */
const TICKS = 100;

/** See the top of this file. */
export class Watched implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;

  private constructor(child: Deno.ChildProcess) {
    this.#child = child;
  }

  /** Starts `command`, which must not start another program in its place that it waits for. */
  static start(
    command: readonly string[],
    { env, log }: { env?: Record<string, string>; log: string },
  ): Watched {
    // A shell, since a child of Deno cannot write into a file.
    const script = 'log=$1; shift; exec "$@" >"$log" 2>&1';
    const child = new Deno.Command("sh", {
      args: ["-c", script, "sh", log, ...command],
      ...env && { env },
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    return new Watched(child);
  }

  /** User and system time so far, with that of the children that have ended, in s. */
  async cpu(): Promise<number> {
    const stat = await Deno.readTextFile(`/proc/${this.#child.pid}/stat`);
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return fields.slice(11, 15).reduce((sum, ticks) => sum + Number(ticks), 0) / TICKS;
  }

  /** Most memory since the last {@linkcode Watched.forgetPeak}, in bytes. */
  async peak(): Promise<number> {
    const status = await Deno.readTextFile(`/proc/${this.#child.pid}/status`);
    return Number(status.match(/^VmHWM:\s*(\d+) kB$/m)![1]) * 1024;
  }

  /** Counts memory anew. */
  async forgetPeak(): Promise<void> {
    await Deno.writeTextFile(`/proc/${this.#child.pid}/clear_refs`, "5");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#child.kill("SIGTERM");
    } catch {
      // It has ended.
    }
    const patience = setTimeout(() => this.#child.kill("SIGKILL"), 5000);
    await this.#child.status;
    clearTimeout(patience);
  }
}
