/** A network namespace with nothing but loopback, for commands whose connections are to break. */

/** A network that can be taken away; where users may not make one there is none. */
export class PrivateNetwork implements AsyncDisposable {
  readonly #holder: Deno.ChildProcess;

  private constructor(holder: Deno.ChildProcess) {
    this.#holder = holder;
  }

  /** Makes one; undefined when this user or system cannot. */
  static async open(): Promise<PrivateNetwork | undefined> {
    if (!await succeeds("unshare", ["--user", "--map-root-user", "--net", "true"])) return undefined;
    // It says when it is inside: before, the namespace is the one that everybody has.
    const holder = new Deno.Command("unshare", {
      args: ["--user", "--map-root-user", "--net", "sh", "-c", "echo inside; exec sleep infinity"],
      stdout: "piped",
      stderr: "null",
    }).spawn();
    const reader = holder.stdout.getReader();
    await reader.read();
    await reader.cancel();
    const network = new PrivateNetwork(holder);
    if (await network.up() && await succeeds("ss", ["-V"])) return network;
    await network[Symbol.asyncDispose]();
    return undefined;
  }

  /** Goes before a command that is to run inside. */
  get prefix(): string[] {
    return ["nsenter", "--target", String(this.#holder.pid), "--user", "--net", "--preserve-credentials"];
  }

  /** Takes the network away: nothing arrives any more, and nobody is told. */
  down(): Promise<boolean> {
    return this.#inside("ip", "link", "set", "lo", "down");
  }

  /** Brings it back. */
  up(): Promise<boolean> {
    return this.#inside("ip", "link", "set", "lo", "up");
  }

  /** Resets every TCP connection that there is. */
  reset(): Promise<boolean> {
    return this.#inside("ss", "--kill", "--tcp", "state", "established");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#holder.kill("SIGKILL");
    await this.#holder.status;
  }

  #inside(...command: string[]): Promise<boolean> {
    const [program, ...args] = [...this.prefix, ...command];
    return succeeds(program!, args);
  }
}

async function succeeds(program: string, args: readonly string[]): Promise<boolean> {
  try {
    const command = new Deno.Command(program, { args: [...args], stdout: "null", stderr: "null" });
    return (await command.output()).success;
  } catch {
    return false;
  }
}
