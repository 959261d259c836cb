/** A network namespace of its own with nothing but loopback, so that what crosses it is the bench's alone. Needs root. */
import { output } from "./process.ts";

/** See the top of this file. */
export class OwnNetwork implements AsyncDisposable {
  readonly #name: string;

  private constructor(name: string) {
    this.#name = name;
  }

  /** Makes one. @throws {Error} without the right to. */
  static async open(): Promise<OwnNetwork> {
    const name = `wormhole-bench-${Deno.pid}`;
    await output(["ip", "netns", "add", name]);
    const network = new OwnNetwork(name);
    await output(network.command(["ip", "link", "set", "lo", "up"]));
    return network;
  }

  /** Gives the command that runs `words` in it. */
  command(words: readonly string[]): string[] {
    return ["nsenter", `--net=/run/netns/${this.#name}`, ...words];
  }

  /** Gives the bytes that have crossed its loopback since it was made, headers included. */
  async bytes(): Promise<number> {
    const table = await output(this.command(["cat", "/proc/net/dev"]));
    return Number(table.match(/^\s*lo:\s*(\d+)/m)![1]);
  }

  /** Waits until something listens at TCP `port` in it. */
  async listening(port: number): Promise<void> {
    const row = new RegExp(`:${port.toString(16).toUpperCase().padStart(4, "0")} \\S+ 0A `);
    for (let tries = 0; tries < 500; tries++) {
      if (row.test(await output(this.command(["cat", "/proc/net/tcp", "/proc/net/tcp6"])))) return;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    throw new Error(`nothing listens at port ${port}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await output(["ip", "netns", "del", this.#name]);
  }
}
