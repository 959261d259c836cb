/** UDP sockets in namespaces, by which tests learn what a router does to packets. */
import { fromFileUrl } from "../../../src/base/paths.ts";
import { type Host, lines } from "./lab.ts";

/** A packet that arrived. */
export interface Packet {
  /** `ip:port`. */
  readonly from: string;
  readonly text: string;
}

/** A socket on a host. */
export class Probe implements AsyncDisposable {
  /** `ip:port` on its own network. */
  readonly address: string;
  readonly #child: Deno.ChildProcess;
  readonly #input: WritableStreamDefaultWriter<Uint8Array>;
  readonly #packets = new Queue<Packet>();
  readonly #sent = new Queue<unknown>();
  readonly #reading: Promise<void>;

  private constructor(
    child: Deno.ChildProcess,
    { address, lines }: { address: string; lines: AsyncIterator<string> },
  ) {
    this.#child = child;
    this.#input = child.stdin.getWriter();
    this.address = address;
    this.#reading = this.#read(lines);
  }

  static async on(host: Host): Promise<Probe> {
    const script = fromFileUrl(new URL("./probe.ts", import.meta.url));
    const [program, ...prefix] = host.prefix;
    const args = [...prefix, Deno.execPath(), "run", "-A", "--quiet", "--no-lock", script, host.address];
    const child = new Deno.Command(program!, { args, stdin: "piped", stdout: "piped" }).spawn();
    const output = lines(child.stdout);
    const { port } = JSON.parse((await output.next()).value ?? "{}");
    return new Probe(child, { address: `${host.address}:${port}`, lines: output });
  }

  /** Resolves when it has left. */
  async send(to: string, text: string): Promise<void> {
    await this.#input.write(new TextEncoder().encode(`${JSON.stringify({ to, text })}\n`));
    await this.#sent.next();
  }

  /** Gives the next packet that arrives. */
  next(): Promise<Packet> {
    return this.#packets.next();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#input.close().catch(() => {}); // It may be gone.
    await this.#reading;
    await this.#child.status;
  }

  async #read(lines: AsyncIterator<string>): Promise<void> {
    for (;;) {
      const { value, done } = await lines.next();
      if (done) return;
      const told = JSON.parse(value);
      if (told.sent) this.#sent.add(told);
      else this.#packets.add(told);
    }
  }
}

/** Values that wait for who takes them, or takers that wait for values. */
class Queue<T> {
  readonly #values: T[] = [];
  readonly #takers: ((value: T) => void)[] = [];

  add(value: T): void {
    const taker = this.#takers.shift();
    if (taker) taker(value);
    else this.#values.push(value);
  }

  next(): Promise<T> {
    if (this.#values.length > 0) return Promise.resolve(this.#values.shift()!);
    return new Promise((resolve) => this.#takers.push(resolve));
  }
}
