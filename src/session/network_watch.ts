/** What becomes of this machine's network while a session lasts, and whether the link in use has gone with it. */
import type { Clock } from "../base/clock.ts";
import { isWormholeError } from "../base/errors.ts";
import type { Link } from "../transport/connection.ts";

/** How often this machine's addresses are looked at, in ms: costs 20 µs each time. */
export const LOOK_MS = 500;

/**
 * How long a link that can move to another address, as QUIC's can, has for that, in ms: iroh takes 1 s
 * and more (bench/nat_matrix.ts).
 */
export const MOVE_MS = 2000;

/**
 * The same for a link that was idle just then, in ms: QUIC asks for a sign of life every 5 s (`KEEP_ALIVE` in
 * ffi/src/net/quic_config.rs), and nobody waits for what it carries.
 */
export const IDLE_MOVE_MS = 7000;

/** Packets between two looks at a link that is idle: a sign of life, its answer, and the like on a spare path. */
const IDLE_PACKETS = 4;

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
export async function hasLeft(
  link: Pick<Link, "stats">,
  { addresses, clock, signal }: WatchOptions,
): Promise<boolean> {
  let before: ReadonlySet<string> = new Set();
  // Of the last two looks: the network may have gone right after the last one.
  let earlier = [0, 0];
  try {
    while (!signal.aborted) {
      const now = new Set(await addresses());
      const { local, received } = await look(link);
      if (local !== undefined) {
        if (!now.has(local)) return !signal.aborted;
      } else if (!before.isSubsetOf(now)) {
        await clock.sleep(received - earlier[0]! > IDLE_PACKETS ? MOVE_MS : IDLE_MOVE_MS, { signal });
        if ((await look(link)).received === received) return true;
      }
      before = now;
      earlier = [earlier[1]!, received];
      await clock.sleep(LOOK_MS, { signal });
    }
  } catch (error) {
    // The link has ended by itself, or the addresses cannot be told: whoever uses the link notices what there is.
    if (!signal.aborted && !isWormholeError(error)) throw error;
  }
  return false;
}

/** Gives the address that a link cannot do without, or how much has come over it: of QUIC also what carries nothing. */
async function look(link: Pick<Link, "stats">): Promise<{ local?: string; received: number }> {
  const { local, bytesReceived, packetsReceived = bytesReceived } = await link.stats();
  return { received: packetsReceived, ...local !== undefined && { local } };
}
