import { sameBytes } from "../base/bytes.ts";
import { isIP } from "node:net";
import { type Clock, systemClock } from "../base/clock.ts";
import { isWormholeError, WormholeError } from "../base/errors.ts";
import { processProxies } from "../config/proxies.ts";
import { ed25519Public } from "../native/pairing.ts";
import type { Link, PeerConnection } from "../transport/connection.ts";
import { dialFirst } from "../transport/dial.ts";
import { Endpoint, machineAddresses } from "../transport/endpoint.ts";
import { addProxied, type DialTarget, type Hint, hintText, orderHints } from "../transport/hints.ts";
import { type Acquainted, metPeer, type OwnSide } from "./acquaintance.ts";
import { authenticated } from "./authenticated.ts";
import { withDeadline } from "./deadline.ts";
import { behind, Door } from "./door.ts";
import { dialFurther } from "./further_links.ts";
import { introduce } from "./introduce.ts";
import { joinKey } from "./join_key.ts";
import { connectedEvent } from "./connected_event.ts";
import { CONNECT_TIMEOUT_MS, type Meeting, type SessionOptions } from "./options.ts";
import { Reach } from "./reach.ts";
import { ReceiverRenewal } from "./renewal.ts";
import { select } from "./selection.ts";

/** Pauses before another try when the other machine did not know our key yet, in ms: each is twice the one before. */
const FIRST_PAUSE_MS = 12, MAX_PAUSE_MS = 100;

/** Options of {@linkcode joinSession}. */
export interface JoinSessionOptions extends SessionOptions {
  /** Goes to where the code's other side waits: `findRendezvous`. */
  readonly meet: (options: { signal?: AbortSignal }) => Promise<Meeting>;
  /** Name or IP address that the person gave for the other machine; dialled before its own hints. */
  readonly peerHost?: string;
}

/**
 * Meets whoever made the code and connects to it; the receiver's part.
 *
 * The connection owns this side's endpoint.
 *
 * @throws {WormholeError} what `meet` throws, CODE_WRONG and its kin, REFUSED, and CONNECT_FAILED naming what was tried.
 */
export async function joinSession({ meet, ...options }: JoinSessionOptions): Promise<PeerConnection> {
  const { onEvent, signal } = options;
  onEvent?.({ type: "looking" });
  return await joinAcquainted(options, async ({ reachable, twin }) => {
    await using stack = new AsyncDisposableStack();
    const meeting = stack.use(await meet({ ...signal && { signal } }));
    const introduced = await introduce(meeting, {
      ...options,
      role: "receiver",
      twin: ed25519Public(twin),
      own: await reachable(meeting.mailbox.relay),
    });
    const kept = stack.move();
    return { ...introduced, [Symbol.asyncDispose]: () => kept.disposeAsync() };
  });
}

/**
 * Opens an endpoint, has the other machine found by `acquaint`, and connects to it. `twin`: seed of the key that this side proves
 * when both have the same machine key.
 *
 * @throws {WormholeError} what `acquaint` throws, and CONNECT_FAILED naming what was tried.
 */
export async function joinAcquainted(
  { peerHost, ...options }: SessionOptions & Pick<JoinSessionOptions, "peerHost">,
  acquaint: (own: OwnSide & { readonly twin: Uint8Array }) => Promise<Acquainted>,
): Promise<PeerConnection> {
  const { queue, identity, transports, port, portMapping, connectTimeoutMs = CONNECT_TIMEOUT_MS } = options;
  const { lan, crypto: tools, onEvent, clock = systemClock, signal } = options;
  const open = (seed: Uint8Array) => Endpoint.open(queue, { seed, transports, port, portMapping, signal });
  const reach = new Reach(transports);
  let opening = open(identity.seed);
  opening.catch(() => {}); // Its failure is met below, after the meeting is there to be disposed.
  const twinSeed = crypto.getRandomValues(new Uint8Array(32));
  try {
    await using acquainted = await acquaint({
      reachable: async (offer) => reach.announce(await opening, offer),
      twin: twinSeed,
    });
    const { peer, secret } = acquainted;
    if (sameBytes(peer.key, identity.publicKey)) {
      // One person's two windows on one machine.
      await (await opening).close();
      opening = open(twinSeed);
    }
    const endpoint = await opening;
    const given = peerHost === undefined ? [] : await addressesOf(peerHost);
    const hints = addresses(reach.hints(peer), { given, own: await machineAddresses(queue) });
    const relay = reach.relay(peer, identity.publicKey);
    const targets = relay ? [...hints, relay] : hints;
    const link = await withDeadline(
      (signal) => connect(endpoint, { targets, peerKey: peer.key, clock, signal }),
      { ms: connectTimeoutMs, late: noConnection(connectTimeoutMs, targets), clock, signal },
    );
    const dial = (hint: DialTarget, { signal }: { signal: AbortSignal }) =>
      endpoint.dial(hint, { peerKey: peer.key, signal });
    // From now on the sender may dial too, when the connection is lost.
    await endpoint.allow(peer.key, relay);
    const door = new Door(endpoint, { peerKey: peer.key, secret, clock });
    const key = reach.canJoin(relay) ? joinKey(tools, secret) : undefined;
    const dialJoined = key &&
      (({ signal }: { signal: AbortSignal }) => endpoint.dialJoined(key, { peerKey: peer.key, signal }));
    const further = { hints, dial, ...dialJoined && { dialJoined }, peerKey: peer.key, clock };
    const nextLink = (first: Link) => dialFurther({ first, ...further });
    const renewal = new ReceiverRenewal({
      door,
      secret,
      peerKey: peer.key,
      hints,
      ...relay && { relay },
      remote: link.remote,
      dial,
      addresses: () => machineAddresses(queue),
      onMoved: () => endpoint.renewRelay(),
      ...lan && { seek: { lan, crypto: tools, port: async () => (await endpoint.hints())[0]?.port } },
      nextLink,
      clock,
    });
    const connection = authenticated(link, peer.key, {
      endpoint: behind(door, endpoint),
      renewal,
      nextLink: nextLink(link),
    });
    options.onMet?.(metPeer(acquainted, link.remote));
    onEvent?.(await connectedEvent(link));
    return connection;
  } catch (error) {
    const endpoint = await opening.catch(() => undefined);
    await endpoint?.close();
    throw error;
  }
}

/** Dials until the other machine lets us in: it may learn our key a moment after we learned its. */
async function connect(
  endpoint: Endpoint,
  { targets, peerKey, clock, signal }: {
    targets: readonly DialTarget[];
    peerKey: Uint8Array;
    clock: Clock;
    signal: AbortSignal;
  },
): Promise<Link> {
  const dial = (hint: DialTarget, { signal }: { signal: AbortSignal }) =>
    endpoint.dial(hint, { peerKey, signal });
  for (let pause = FIRST_PAUSE_MS;; pause = Math.min(2 * pause, MAX_PAUSE_MS)) {
    let link: Link | undefined;
    try {
      link = await dialFirst(targets, { dial, clock, signal });
      await select(link);
      return link;
    } catch (error) {
      await link?.close().catch(() => {}); // It is of no use either way; why is in `error`.
      if (!mayYetLetUsIn(error)) throw error;
    }
    await clock.sleep(pause, { signal });
  }
}

function mayYetLetUsIn(error: unknown): boolean {
  return isWormholeError(error, "PEER_UNAUTHENTICATED", "CONNECTION_LOST") ||
    isWormholeError(error, "CONNECT_FAILED") && isWormholeError(error.cause, "PEER_UNAUTHENTICATED");
}

/** Gives what to dial, best first: the given hosts with each of the peer's ports, the peer's own addresses, then by proxy. */
function addresses(
  hints: readonly Hint[],
  { given, own }: { given: readonly string[]; own: readonly string[] },
): Hint[] {
  const all = [
    ...given.flatMap((host) => hints.map((hint) => ({ ...hint, host }))),
    ...orderHints(hints, own),
  ];
  return addProxied([...new Map(all.map((hint) => [hintText(hint), hint])).values()], processProxies());
}

/** Looks up what the person gave; an address stands for itself. */
async function addressesOf(host: string): Promise<string[]> {
  if (isIP(host) !== 0) return [host];
  const { lookup } = await import("node:dns/promises");
  try {
    return (await lookup(host, { all: true })).map(({ address }) => address);
  } catch (cause) {
    throw new WormholeError("CONNECT_FAILED", `Cannot look up "${host}": there is no such host`, { cause });
  }
}

function noConnection(ms: number, targets: readonly DialTarget[]): (cause: unknown) => WormholeError {
  return (cause) =>
    new WormholeError(
      "CONNECT_FAILED",
      "Cannot connect to the other machine: the two machines found each other, but no connection came " +
        `about within ${Math.round(ms / 1000)} s; tried ${targets.map(hintText).join(", ")}`,
      { cause },
    );
}
