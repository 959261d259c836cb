/** A TCP relay on loopback whose connections can be cut one by one, as a network does. */

/** Forwards connections to `port` of this machine. */
export class CuttingProxy implements AsyncDisposable {
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #port: number;
  readonly #pairs: [Deno.TcpConn, Deno.TcpConn][] = [];
  readonly #running: Promise<void>[] = [];

  constructor(port: number) {
    this.#port = port;
    this.#running.push(this.#accept());
  }

  /** Where to dial. */
  get port(): number {
    return (this.#listener.addr as Deno.NetAddr).port;
  }

  /** How many connections there have been. */
  get count(): number {
    return this.#pairs.length;
  }

  /** Cuts connection `index`, counted from 0 in the order of arrival, in both directions. */
  cut(index: number): void {
    for (const end of this.#pairs[index]!) close(end);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    for (const pair of this.#pairs) pair.forEach(close);
    await Promise.all(this.#running);
  }

  async #accept(): Promise<void> {
    for await (const from of this.#listener) {
      const to = await Deno.connect({ hostname: "127.0.0.1", port: this.#port });
      this.#pairs.push([from, to]);
      this.#running.push(forward(from, to), forward(to, from));
    }
  }
}

async function forward(from: Deno.TcpConn, to: Deno.TcpConn): Promise<void> {
  await from.readable.pipeTo(to.writable).catch(() => {}); // Cut here or closed there: both are wanted.
}

function close(end: Deno.TcpConn): void {
  try {
    end.close();
  } catch {
    // It has ended by itself.
  }
}
