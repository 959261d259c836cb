/** What becomes of this machine's network while a session lasts, and whether the link in use has gone with it. */
import type { Clock } from "../base/clock.ts";
import { isWormholeError } from "../base/errors.ts";
import type { Link } from "../transport/connection.ts";

/** How often this machine's addresses are looked at, in ms: costs 20 µs each time. */
export const LOOK_MS = 500;

/**
 * How long a link that can move to another address, as QUIC's can, has for that, in ms: iroh takes 1 s
 * and more (bench/nat_matrix.ts). One that is idle just then may be given up for nothing, which costs another one.
 */
export const MOVE_MS = 2000;

/** Options of {@linkcode addressSets}. */
export interface WatchOptions {
  /** Gives this machine's addresses. */
  readonly addresses: () => Promise<readonly string[]>;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/**
 * Gives this machine's addresses, and again whenever they are others than before, until the signal aborts: then it ends.
 *
 * @throws {WormholeError} when they cannot be told.
 */
export async function* addressSets(
  { addresses, clock, signal }: WatchOptions,
): AsyncGenerator<ReadonlySet<string>, void, undefined> {
  let before: string | undefined;
  while (!signal.aborted) {
    const now = (await addresses()).toSorted();
    if (signal.aborted) return;
    if (now.join() !== before) yield new Set(now);
    before = now.join();
    try {
      await clock.sleep(LOOK_MS, { signal });
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }
}

/**
 * Waits until `link` is dead because this machine has left the network that it was made on: the system tells nobody, and
 * without a sign of life it would take 12 s to notice. Gives false when the signal aborts or nothing can be told.
 */
export async function hasLeft(link: Pick<Link, "stats">, options: WatchOptions): Promise<boolean> {
  const { clock, signal } = options;
  let before: ReadonlySet<string> = new Set();
  try {
    for await (const now of addressSets(options)) {
      const { local, bytesReceived } = await link.stats();
      if (local !== undefined) {
        if (!now.has(local)) return true;
      } else if (!before.isSubsetOf(now)) {
        await clock.sleep(MOVE_MS, { signal });
        if ((await link.stats()).bytesReceived === bytesReceived) return true;
      }
      before = now;
    }
  } catch (error) {
    // The link has ended by itself, or the addresses cannot be told: whoever uses the link notices what there is.
    if (!signal.aborted && !isWormholeError(error)) throw error;
  }
  return false;
}
