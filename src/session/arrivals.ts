import { isWormholeError, WormholeError } from "../base/errors.ts";
import type { PeerConnection, Renewal } from "../transport/connection.ts";

/** Keeps waiting for the other machine to come, whatever else goes on, so that none of its links is missed. */
export class Arrivals implements AsyncDisposable {
  isLost = false;
  readonly #stop = new AbortController();
  readonly #waiting: Promise<void>;
  #ready: PeerConnection | undefined;
  #expected: ((connection: PeerConnection) => void) | undefined;

  constructor(renewal: Renewal) {
    this.#waiting = this.#wait(renewal);
  }

  /** Calls `take` with the next one, at once when it is there, until disposed of. */
  expect(take: (connection: PeerConnection) => void): Disposable {
    const ready = this.#ready;
    this.#ready = undefined;
    if (ready !== undefined) take(ready);
    else this.#expected = take;
    return { [Symbol.dispose]: () => void (this.#expected = undefined) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new WormholeError("CLOSED", "Cannot wait for the other machine: the session is over"));
    await this.#waiting;
    await this.#ready?.close().catch(() => {}); // Nobody took it.
  }

  async #wait(renewal: Renewal): Promise<void> {
    const { signal } = this.#stop;
    try {
      for (;;) {
        const arrived = await renewal.arrival({ isLost: () => this.isLost, signal });
        const take = this.#expected;
        this.#expected = undefined;
        if (take !== undefined) take(arrived);
        else {
          await this.#ready?.close().catch(() => {}); // The newer one is the one that counts.
          this.#ready = arrived;
        }
      }
    } catch (error) {
      // When the endpoint has failed, dialling tells; without a wait nobody comes in.
      if (!isWormholeError(error)) throw error;
    }
  }
}
