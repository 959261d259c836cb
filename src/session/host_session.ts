import { WormholeError } from "../base/errors.ts";
import { formatCode } from "../pairing/code.ts";
import type { Link, PeerConnection } from "../transport/connection.ts";
import { Endpoint, machineAddresses } from "../transport/endpoint.ts";
import type { DialTarget, RelayHint } from "../transport/hints.ts";
import { type Acquainted, metPeer, type OwnSide } from "./acquaintance.ts";
import { authenticated } from "./authenticated.ts";
import { withDeadline } from "./deadline.ts";
import { behind, Door } from "./door.ts";
import { acceptFurther } from "./further_links.ts";
import { dialledKey } from "./introduction.ts";
import { introduce } from "./introduce.ts";
import { joinKey } from "./join_key.ts";
import { connectedEvent } from "./connected_event.ts";
import { CONNECT_TIMEOUT_MS, type Meeting, type SessionOptions } from "./options.ts";
import { Reach } from "./reach.ts";
import { SenderRenewal } from "./renewal.ts";
import { acceptSelected } from "./selection.ts";

/** Options of {@linkcode hostSession}. */
export interface HostSessionOptions extends SessionOptions {
  /** Opens the place to meet under a new code: `openRendezvous`. */
  readonly meet: (options: { signal?: AbortSignal }) => Promise<Meeting>;
}

/**
 * Makes a code, waits for whoever has it, and gives the connection that it makes; the sender's part.
 *
 * The connection owns this side's endpoint: disposing of it frees the port.
 *
 * @throws {WormholeError} ADDRESS_IN_USE, what `meet` throws, CODE_WRONG and its kin, REFUSED, and CONNECT_FAILED when
 * the paired machine makes no connection in time.
 */
export async function hostSession({ meet, ...options }: HostSessionOptions): Promise<PeerConnection> {
  const { onEvent, signal } = options;
  return await hostAcquainted(options, async ({ reachable }) => {
    await using stack = new AsyncDisposableStack();
    const meeting = stack.use(await meet({ ...signal && { signal } }));
    const { code, port, expiresInMs } = meeting;
    // Before anybody is told the code: there may be no way at all.
    const own = await reachable(meeting.mailbox.relay);
    onEvent?.({ type: "code", code: formatCode(code), port, expiresInMs });
    const introduced = await introduce(meeting, { ...options, role: "sender", own });
    const kept = stack.move();
    return { ...introduced, [Symbol.asyncDispose]: () => kept.disposeAsync() };
  });
}

/**
 * Opens an endpoint, has the other machine found by `acquaint`, and gives the connection that it makes.
 *
 * @throws {WormholeError} ADDRESS_IN_USE, what `acquaint` throws, and CONNECT_FAILED when the machine makes no connection
 * in time.
 */
export async function hostAcquainted(
  options: SessionOptions,
  acquaint: (own: OwnSide) => Promise<Acquainted>,
): Promise<PeerConnection> {
  const { queue, identity, transports, port, portMapping, connectTimeoutMs = CONNECT_TIMEOUT_MS } = options;
  const { lan, crypto: tools, onEvent, clock, signal } = options;
  // Both take a moment, and neither needs the other.
  const opening = Endpoint.open(queue, { seed: identity.seed, transports, port, portMapping, signal });
  const reach = new Reach(transports);
  opening.catch(() => {}); // Its failure is met below, after the meeting is there to be disposed.
  try {
    await using acquainted = await acquaint({
      reachable: async (offer) => reach.announce(await opening, offer),
    });
    const { peer, secret } = acquainted;
    const endpoint = await opening;
    const peerKey = dialledKey(peer, identity.publicKey);
    const relay = reach.relay(peer, identity.publicKey);
    await endpoint.allow(peerKey, relay);
    const link = await withDeadline(
      (signal) => acceptSelected(endpoint, { peerKey, signal }),
      { ms: connectTimeoutMs, late: noConnection(connectTimeoutMs, { relay }), clock, signal },
    );
    const door = new Door(endpoint, { peerKey, secret, ...clock && { clock } });
    const key = reach.canJoin(relay) ? joinKey(tools, secret) : undefined;
    const meet = key && (({ signal }: { signal: AbortSignal }) => endpoint.meetJoined(key, { signal }));
    const nextLink = (first: Link) =>
      transports.length > 1 || meet ? acceptFurther(door, meet && { first, meet }) : undefined;
    const renewal = new SenderRenewal({
      door,
      secret,
      peerKey,
      hints: reach.hints(peer),
      ...relay && { relay },
      remote: link.remote,
      dial: (hint: DialTarget, { signal }) => endpoint.dial(hint, { peerKey, signal }),
      addresses: () => machineAddresses(queue),
      onMoved: () => endpoint.renewRelay(),
      ...lan && { seek: { lan, crypto: tools, port: async () => (await endpoint.hints())[0]?.port } },
      nextLink,
      ...clock && { clock },
    });
    const connection = authenticated(link, peerKey, {
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

function noConnection(
  ms: number,
  { relay }: { relay: RelayHint | undefined },
): (cause: unknown) => WormholeError {
  const tried = relay
    ? "no connection came about, directly or over the relay,"
    : "no direct connection came about";
  return (cause) =>
    new WormholeError(
      "CONNECT_FAILED",
      `Cannot connect to the other machine: the two machines found each other, but ${tried} ` +
        `within ${Math.round(ms / 1000)} s; a firewall on this machine may block incoming connections, ` +
        "or the two are in networks that do not reach each other",
      { cause },
    );
}
