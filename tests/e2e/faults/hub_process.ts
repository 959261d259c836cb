/** A hub as a process of its own with the limits that a test or a bench wants: options as JSON in the first argument. */
import { systemClock } from "../../../src/base/clock.ts";
import { Logger } from "../../../src/base/log.ts";
import { type HubOptions, runHub } from "../../../src/hub/mod.ts";
import { assertTrue } from "../../../src/base/testing.ts";

/** What the process can be told. */
export type HubProcessOptions = Pick<HubOptions, "database" | "limits" | "metrics">;

/** A hub in a process of its own; disposing it kills it. */
export class HubProcess implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly url: URL;

  private constructor(child: Deno.ChildProcess, url: URL) {
    this.#child = child;
    this.url = url;
  }

  static async start(options: HubProcessOptions): Promise<HubProcess> {
    const child = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--quiet", "--no-check", import.meta.url, JSON.stringify(options)],
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    const reader = child.stdout.getReader();
    const { value } = await reader.read();
    reader.releaseLock();
    const url = value === undefined ? "" : new TextDecoder().decode(value).trim();
    assertTrue(url.startsWith("ws://"), `the hub did not start: ${url}`);
    return new HubProcess(child, new URL(url));
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** Resident memory in bytes; Linux only. */
  async memory(): Promise<number> {
    const status = await Deno.readTextFile(`/proc/${this.pid}/status`);
    return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)![1]) * 1024;
  }

  /** Ends it at once, wherever it is. */
  async kill(): Promise<void> {
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // It has ended by itself; whoever cares looks at `status`.
    }
    await this.#child.status;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    await this.#child.stdout.cancel().catch(() => {});
  }
}

if (import.meta.main) {
  await runHub({
    listen: "127.0.0.1:0",
    ...JSON.parse(Deno.args[0]!) as HubProcessOptions,
    log: new Logger({
      level: "error",
      clock: systemClock,
      sink: (record) => console.error(JSON.stringify(record)),
    }),
    onListening: ({ url }) => console.log(url),
    signal: new AbortController().signal,
  });
}
