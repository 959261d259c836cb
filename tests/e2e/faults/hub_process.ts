/** A hub as a process of its own with the limits that a test or a bench wants: options as JSON in the first argument. */
import { systemClock } from "../../../src/base/clock.ts";
import { Logger } from "../../../src/base/log.ts";
import { type HubOptions, runHub } from "../../../src/hub/mod.ts";
import { assertTrue } from "../../../src/base/testing.ts";

/** What the process can be told. */
export type HubProcessOptions = Pick<HubOptions, "database" | "limits" | "metrics" | "relay" | "transit">;

/** A hub in a process of its own; disposing it kills it. */
export class HubProcess implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly url: URL;
  /** `ip:port` of the transit relay, if it has one. */
  readonly transit: string | undefined;

  private constructor(child: Deno.ChildProcess, { url, transit }: { url: string; transit?: string }) {
    this.#child = child;
    this.url = new URL(url);
    this.transit = transit;
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
    const told = value === undefined ? "" : new TextDecoder().decode(value).trim();
    assertTrue(told.startsWith("{"), `the hub did not start: ${told}`);
    return new HubProcess(child, JSON.parse(told));
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** Resident memory in bytes; Linux only. */
  async memory(): Promise<number> {
    const status = await Deno.readTextFile(`/proc/${this.pid}/status`);
    return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)![1]) * 1024;
  }

  /** CPU time of user and system so far, in s (proc(5): clock ticks of 10 ms); Linux only. */
  cpu(): Promise<number> {
    return cpuOf(this.pid);
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

/** Gives the CPU time of a process so far, in s. */
export async function cpuOf(pid: number): Promise<number> {
  const fields = (await Deno.readTextFile(`/proc/${pid}/stat`)).replace(/^.*\) /, "").split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
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
    onListening: ({ url, transit }) => console.log(JSON.stringify({ url, transit: transit?.[0] })),
    signal: new AbortController().signal,
  });
}
