/** A client that asks a hub one thing after the other and keeps what it is told. */

/** One message of a hub. */
export interface Told {
  readonly type: string;
  readonly [field: string]: unknown;
}

/** One WebSocket; everything rejects once it is gone. */
export class HubClient implements Disposable {
  readonly told: Told[] = [];
  readonly #socket: WebSocket;
  readonly #waiters: { types: readonly string[]; resolve(told: Told): void; reject(error: Error): void }[] =
    [];
  #gone = false;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.addEventListener("message", ({ data }) => {
      const told: Told = JSON.parse(data);
      this.told.push(told);
      const at = this.#waiters.findIndex(({ types }) => types.includes(told.type));
      if (at >= 0) this.#waiters.splice(at, 1)[0]!.resolve(told);
    });
    const gone = () => {
      this.#gone = true;
      for (const { reject } of this.#waiters.splice(0)) reject(new Error("the hub is gone"));
    };
    socket.addEventListener("close", gone);
    socket.addEventListener("error", (event) => {
      event.preventDefault();
      gone();
    });
  }

  /** Connects and binds as `side`. */
  static async connect(url: URL, side: string, appid = "test"): Promise<HubClient> {
    const client = new HubClient(new WebSocket(url));
    await client.wait("welcome");
    client.say({ type: "bind", appid, side });
    return client;
  }

  say(message: object): void {
    if (this.#gone) throw new Error("the hub is gone");
    this.#socket.send(JSON.stringify(message));
  }

  /** Waits for the next message of one of `types`. */
  wait(...types: string[]): Promise<Told> {
    if (this.#gone) return Promise.reject(new Error("the hub is gone"));
    const { promise, resolve, reject } = Promise.withResolvers<Told>();
    this.#waiters.push({ types, resolve, reject });
    return promise;
  }

  /** Says `message` and waits for its answer, or an error. */
  async ask(message: object, answer: string): Promise<Told> {
    const waiting = this.wait(answer, "error");
    waiting.catch(() => {}); // It is given below; saying may fail before.
    this.say(message);
    return await waiting;
  }

  [Symbol.dispose](): void {
    this.#socket.close();
  }
}
