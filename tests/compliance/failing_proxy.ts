/** A network that misbehaves, on loopback: TCP connections that are frozen, reset or cut. */

/** Forwards TCP connections to `port` of this machine, as long as each may pass. */
export class ChaosTcp implements AsyncDisposable {
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #port: number;
  readonly #pairs: Pair[] = [];
  readonly #running: Promise<void>[] = [];
  #left = Infinity;
  #due: () => void = () => {};
  #onConnection: (index: number) => void = () => {};

  constructor(port: number) {
    this.#port = port;
    this.#running.push(this.#accept());
  }

  get port(): number {
    return (this.#listener.addr as Deno.NetAddr).port;
  }

  /** Connections so far, in the order of arrival. */
  get count(): number {
    return this.#pairs.length;
  }

  /** Told of every connection before anything passes over it. */
  onConnection(tell: (index: number) => void): void {
    this.#onConnection = tell;
  }

  /** Calls `run` once when so many bytes have come in all. */
  after(bytes: number, run: () => void): void {
    this.#left = bytes;
    this.#due = run;
  }

  /** Passes nothing any more over connection `index`; both ends think that it lives. */
  freeze(index: number): void {
    this.#pairs[index]!.passes = 0;
  }

  /** Passes so many bytes more in each direction, then ends both: as a rule in the middle of a frame. */
  cutAfter(index: number, bytes: number): void {
    Object.assign(this.#pairs[index]!, { passes: bytes, thenCut: true });
  }

  /** Closes with bytes unread, which TCP tells as a reset. */
  reset(index: number): void {
    this.freeze(index);
    setTimeout(() => this.#pairs[index]!.ends.forEach(close), 20);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    for (const pair of this.#pairs) {
      pair.over.resolve();
      pair.ends.forEach(close);
    }
    await Promise.all(this.#running);
  }

  async #accept(): Promise<void> {
    for await (const from of this.#listener) {
      const to = await Deno.connect({ hostname: "127.0.0.1", port: this.#port });
      const over = Promise.withResolvers<void>();
      const pair: Pair = { ends: [from, to], passes: Infinity, thenCut: false, over };
      this.#onConnection(this.#pairs.push(pair) - 1);
      this.#running.push(this.#pass(pair, from, to), this.#pass(pair, to, from));
    }
  }

  async #pass(pair: Pair, from: Deno.TcpConn, to: Deno.TcpConn): Promise<void> {
    const space = new Uint8Array(16 * 1024);
    try {
      for (;;) {
        const length = await from.read(space);
        if (length === null) break;
        this.#count(length);
        const passes = Math.min(length, pair.passes);
        pair.passes -= passes;
        for (let at = 0; at < passes;) at += await to.write(space.subarray(at, passes));
        if (pair.passes > 0) continue;
        if (!pair.thenCut) await pair.over.promise;
        break;
      }
    } catch {
      // Closed here or there: both are wanted.
    }
    pair.ends.forEach(close);
  }

  #count(bytes: number): void {
    const before = this.#left;
    this.#left -= bytes;
    if (before > 0 && this.#left <= 0) this.#due();
  }
}

interface Pair {
  readonly ends: [Deno.TcpConn, Deno.TcpConn];
  /** Bytes that may still pass, each way. */
  passes: number;
  thenCut: boolean;
  readonly over: PromiseWithResolvers<void>;
}

function close(end: Deno.TcpConn): void {
  try {
    end.close();
  } catch {
    // It has ended by itself.
  }
}
