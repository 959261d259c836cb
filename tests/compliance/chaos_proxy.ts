/** A TCP network on loopback that does what networks do: it cuts, freezes and refuses. */

/** What goes through between two machines; the one behind `port` of this machine is dialled. */
export class ChaosProxy implements AsyncDisposable {
  /** What becomes of bytes and of new connections. */
  state: "open" | "frozen" | "refusing" = "open";
  /** Bytes that went to whoever dialled. */
  bytesBack = 0;
  #mark: { bytes: number; then: () => void } | undefined;
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #port: number;
  readonly #ends = new Set<Deno.TcpConn>();
  readonly #running: Promise<void>[] = [];

  constructor(port: number) {
    this.#port = port;
    this.#running.push(this.#accept());
  }

  /** Where to dial. */
  get port(): number {
    return (this.#listener.addr as Deno.NetAddr).port;
  }

  /** Calls `then` once when so many bytes have gone back in all. */
  after(bytesBack: number, then: () => void): void {
    this.#mark = { bytes: bytesBack, then };
  }

  /** Ends every connection that there is, as a router that restarts does. */
  cut(): void {
    for (const end of this.#ends) close(end);
    this.#ends.clear();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    this.cut();
    await Promise.all(this.#running);
  }

  #back(bytes: number): void {
    this.bytesBack += bytes;
    if (this.#mark === undefined || this.bytesBack < this.#mark.bytes) return;
    const { then } = this.#mark;
    this.#mark = undefined;
    then();
  }

  async #accept(): Promise<void> {
    for await (const from of this.#listener) {
      if (this.state === "refusing") {
        close(from);
        continue;
      }
      const to = await Deno.connect({ hostname: "127.0.0.1", port: this.#port });
      this.#ends.add(from).add(to);
      this.#running.push(this.#forward(from, to), this.#forward(to, from, true));
    }
  }

  async #forward(from: Deno.TcpConn, to: Deno.TcpConn, isBack = false): Promise<void> {
    try {
      for await (const bytes of from.readable) {
        // What is frozen is swallowed, so that nothing comes late once it thaws: such a connection is dead.
        if (this.state === "frozen" || !this.#ends.has(to)) continue;
        for (let at = 0; at < bytes.length;) at += await to.write(bytes.subarray(at));
        if (isBack) this.#back(bytes.length);
      }
    } catch {
      // Cut here or closed there: both are wanted.
    }
    close(to);
  }
}

function close(end: Deno.TcpConn): void {
  try {
    end.close();
  } catch {
    // It has ended by itself.
  }
}
