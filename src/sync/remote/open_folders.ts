/** Folders that are locked by the sessions of this program, so that one whose machine is gone does not keep its folder. */
import type { Clock } from "../../base/clock.ts";
import { WormholeError } from "../../base/errors.ts";
import { overlaps } from "../../locks/mod.ts";
import type { SyncChannel } from "./channel.ts";
import type { Served, ServedRun } from "./serve_folder.ts";

/** How long a session that has the folder may take to give a sign of life, in ms. */
const ALIVE_MS = 2000;

interface Open {
  readonly place: string;
  readonly channel: SyncChannel;
  /** Resolves when the folder is free. */
  readonly free: Promise<void>;
}

/** See the top of this file. */
export class OpenFolders {
  readonly #clock: Clock;
  readonly #open = new Set<Open>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * Begins a run. Nobody has a folder while somebody else has it, one in it or one that it is in: what that one changes could lead
   * this one's root elsewhere. Where another session's machine does not answer, that one is ended: after a cut connection the same
   * machine comes again sooner than its silence is noticed.
   *
   * @throws {WormholeError} BUSY when somebody is at work on it; as {@linkcode Served.begin}.
   */
  async begin(
    served: Served,
    about: Parameters<Served["begin"]>[0],
    { channel, signal }: { channel: SyncChannel; signal: AbortSignal },
  ): Promise<ServedRun> {
    const { place } = served;
    await this.#end(place);
    const { promise: free, resolve } = Promise.withResolvers<void>();
    const open = { place, channel, free };
    // Before anything is waited for, so that of two who come at once one is first.
    this.#open.add(open);
    const leave = () => {
      this.#open.delete(open);
      resolve();
    };
    try {
      const run = await served.begin(about, { signal });
      return {
        ...run,
        [Symbol.asyncDispose]: async () => {
          try {
            await run[Symbol.asyncDispose]();
          } finally {
            leave();
          }
        },
      };
    } catch (error) {
      leave();
      throw error;
    }
  }

  /** Ends the sessions that are in the way of `place` and whose machines are gone. @throws {WormholeError} BUSY when one is there. */
  async #end(place: string): Promise<void> {
    for (;;) {
      const other = [...this.#open].find((open) => overlaps(open.place, place));
      if (other === undefined) return;
      const busy = new WormholeError("BUSY", `Cannot synchronize "${place}": another run is at work on it`);
      if (await other.channel.isAlive(ALIVE_MS, this.#clock)) throw busy;
      await other.channel.fail(busy);
      await other.free;
    }
  }
}
