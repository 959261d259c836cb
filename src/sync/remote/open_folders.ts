/** Folders that are locked by the sessions of this program, so that one whose machine is gone does not keep its folder. */
import type { Clock } from "../../base/clock.ts";
import { isWormholeError } from "../../base/errors.ts";
import type { SyncChannel } from "./channel.ts";
import type { Served, ServedRun } from "./serve_folder.ts";

/** How long a session that has the folder may take to give a sign of life, in ms. */
const ALIVE_MS = 2000;

interface Open {
  readonly channel: SyncChannel;
  /** Resolves when the folder is free. */
  readonly free: Promise<void>;
}

/** See the top of this file. */
export class OpenFolders {
  readonly #clock: Clock;
  readonly #open = new Map<string, Open>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * Begins a run. Where another session of this program has the folder and its machine does not answer, that one is ended: after a
   * cut connection the same machine comes again sooner than its silence is noticed.
   *
   * @throws {WormholeError} BUSY when somebody is at work on it; as {@linkcode Served.begin}.
   */
  async begin(
    served: Served,
    about: Parameters<Served["begin"]>[0],
    { channel, signal }: { channel: SyncChannel; signal: AbortSignal },
  ): Promise<ServedRun> {
    const { place } = served;
    let run: ServedRun;
    try {
      run = await served.begin(about, { signal });
    } catch (error) {
      const other = this.#open.get(place);
      if (other === undefined || !isWormholeError(error, "BUSY")) throw error;
      if (await other.channel.isAlive(ALIVE_MS, this.#clock)) throw error;
      await other.channel.fail(error);
      await other.free;
      run = await served.begin(about, { signal });
    }
    const { promise: free, resolve } = Promise.withResolvers<void>();
    const open = { channel, free };
    this.#open.set(place, open);
    return {
      ...run,
      [Symbol.asyncDispose]: async () => {
        await run[Symbol.asyncDispose]();
        if (this.#open.get(place) === open) this.#open.delete(place);
        resolve();
      },
    };
  }
}
