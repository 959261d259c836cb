/**
 * Further links of a session, over the transport that lost the race, or beside a relay over connections that its hub joins: the side
 * that dialled makes one when a transfer asks for it, the other side takes it. Both prove the same keys as the first
 * link; wire/spec/streams.md §1. What happens when the first link is lost is in `reconnect.ts`.
 */
import { type Clock, systemClock } from "../base/clock.ts";
import { isWormholeError, WormholeError } from "../base/errors.ts";
import { hostOf, hostPort } from "../base/host_port.ts";
import { isLan } from "../transport/chooser.ts";
import type { Link } from "../transport/connection.ts";
import { dialFirst } from "../transport/dial.ts";
import { type Hint, isLoopback } from "../transport/hints.ts";
import { authenticated, type NextLink } from "./authenticated.ts";
import { withDeadline } from "./deadline.ts";
import type { Door } from "./door.ts";
import { join } from "./selection.ts";

/** How long the other transport may take to answer: where it is blocked nobody waits for it anyway. */
const DIAL_MS = 5000;

/** What {@linkcode dialFurther} needs. */
export interface DialFurtherOptions {
  /** The link that the session is about. */
  readonly first: Link;
  /** Everything that may be dialled, best first. */
  readonly hints: readonly Hint[];
  readonly dial: (hint: Hint, options: { signal: AbortSignal }) => Promise<Link>;
  /** Dials over a connection that the relay's hub joins; left out where it does not. */
  readonly dialJoined?: (options: { signal: AbortSignal }) => Promise<Link>;
  /** 32 bytes. */
  readonly peerKey: Uint8Array;
  readonly clock?: Clock;
}

/** Gives how the dialling side comes to a further link: once, and only where another transport could matter. */
export function dialFurther(
  { first, hints, dial, dialJoined, peerKey, clock = systemClock }: DialFurtherOptions,
): NextLink {
  let dialled = false;
  return async ({ signal }) => {
    if (dialled) return undefined;
    dialled = true;
    const others = otherHints(hints, first);
    // What loses the race to a relay can hardly be dialled directly.
    const joined = dialJoined !== undefined && await isRelayed(first) ? dialJoined : undefined;
    if (joined === undefined && (others.length === 0 || !await couldMatter(first))) return undefined;
    const dialOther = joined ?? (({ signal }) => dialFirst(others, { dial, clock, signal }));
    let link: Link | undefined;
    try {
      link = await withDeadline((signal) => dialOther({ signal }), {
        ms: DIAL_MS,
        late: (cause) => new WormholeError("TIMEOUT", "Cannot make a further link: no answer", { cause }),
        clock,
        ...signal && { signal },
      });
      await join(link, 1);
      return { number: 1, link: authenticated(link, peerKey) };
    } catch (error) {
      await link?.close().catch(() => {}); // It was never used.
      if (signal?.aborted || !isWormholeError(error)) throw error;
      // One transport is enough.
      return undefined;
    }
  };
}

/** What {@linkcode acceptFurther} needs where the hub of the relay joins connections. */
export interface AcceptFurtherOptions {
  /** The link that the session is about. */
  readonly first: Link;
  /** Goes to that hub to be dialled there once. */
  readonly meet: (options: { signal: AbortSignal }) => Promise<void>;
}

/**
 * Gives how the listening side comes to further links: it takes each that the other side joins, for which it goes once
 * to where the other side can dial it.
 */
export function acceptFurther(door: Pick<Door, "joined">, options?: AcceptFurtherOptions): NextLink {
  let met = options === undefined;
  return async ({ signal }) => {
    if (met) return await door.joined({ ...signal && { signal } });
    met = true;
    const { first, meet } = options!;
    const taken = new AbortController();
    const going = isRelayed(first).then(async (relayed) => {
      if (relayed && !taken.signal.aborted) await meet({ signal: taken.signal });
    }).catch((error) => {
      // One link is enough.
      if (!taken.signal.aborted && !isWormholeError(error)) throw error;
    });
    try {
      return await door.joined({ ...signal && { signal } });
    } finally {
      taken.abort(new WormholeError("CANCELLED", "nobody needs to be met any more"));
      await going;
    }
  };
}

/** Direct hints of other transports than the first link's, its own host before others. */
function otherHints(hints: readonly Hint[], first: Link): Hint[] {
  const others = hints.filter(({ transport, proxy }) => transport !== first.kind && !proxy);
  const host = (hint: Hint) => first.remote.startsWith(hostPort({ ...hint, port: 0 }).replace(/0$/, ""));
  return [...others.filter(host), ...others.filter((hint) => !host(hint))];
}

/** Tells whether a relay carries a link; one between two paths counts as it began. */
async function isRelayed(link: Link): Promise<boolean> {
  return (await link.stats()).relayed ?? link.remote.startsWith("relay ");
}

/** On one machine nothing needs a second transport, and on a LAN TCP needs none. */
async function couldMatter(first: Link): Promise<boolean> {
  if (isLoopback(hostOf(first.remote))) return false;
  const { rttMs } = await first.stats();
  return !(first.kind === "tcp" && rttMs > 0 && isLan(rttMs));
}
