import { WormholeError } from "../base/errors.ts";
import { formatCode } from "../pairing/code.ts";
import type { PeerConnection } from "../transport/connection.ts";
import { Endpoint, machineAddresses } from "../transport/endpoint.ts";
import type { Hint } from "../transport/hints.ts";
import { type Acquainted, metPeer, type OwnSide } from "./acquaintance.ts";
import { authenticated } from "./authenticated.ts";
import { withDeadline } from "./deadline.ts";
import { behind, Door } from "./door.ts";
import { acceptFurther } from "./further_links.ts";
import { dialledKey } from "./introduction.ts";
import { introduce } from "./introduce.ts";
import { CONNECT_TIMEOUT_MS, type Meeting, type SessionOptions } from "./options.ts";
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
  return await hostAcquainted(options, async ({ hints }) => {
    await using stack = new AsyncDisposableStack();
    const meeting = stack.use(await meet({ ...signal && { signal } }));
    const { code, port, expiresInMs } = meeting;
    onEvent?.({ type: "code", code: formatCode(code), port, expiresInMs });
    const introduced = await introduce(meeting, { ...options, role: "sender", hints: await hints() });
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
  const { queue, identity, transports, port, connectTimeoutMs = CONNECT_TIMEOUT_MS } = options;
  const { lan, crypto: tools, onEvent, clock, signal } = options;
  // Both take a moment, and neither needs the other.
  const opening = Endpoint.open(queue, { seed: identity.seed, transports, port, signal });
  opening.catch(() => {}); // Its failure is met below, after the meeting is there to be disposed.
  try {
    await using acquainted = await acquaint({ hints: async () => (await opening).hints() });
    const { peer, secret } = acquainted;
    const endpoint = await opening;
    const peerKey = dialledKey(peer, identity.publicKey);
    await endpoint.allow(peerKey);
    const link = await withDeadline(
      (signal) => acceptSelected(endpoint, { peerKey, signal }),
      { ms: connectTimeoutMs, late: noConnection(connectTimeoutMs), clock, signal },
    );
    const door = new Door(endpoint, { peerKey, secret, ...clock && { clock } });
    const nextLink = () => transports.length > 1 ? acceptFurther(door) : undefined;
    const renewal = new SenderRenewal({
      door,
      secret,
      peerKey,
      hints: peer.hints.filter(({ transport }) => transports.includes(transport)),
      remote: link.remote,
      dial: (hint: Hint, { signal }) => endpoint.dial(hint, { peerKey, signal }),
      addresses: () => machineAddresses(queue),
      ...lan && { seek: { lan, crypto: tools, port: async () => (await endpoint.hints())[0]?.port } },
      nextLink,
      ...clock && { clock },
    });
    const connection = authenticated(link, peerKey, {
      endpoint: behind(door, endpoint),
      renewal,
      nextLink: nextLink(),
    });
    options.onMet?.(metPeer(acquainted, link.remote));
    onEvent?.({ type: "connected", kind: link.kind, remote: link.remote, direct: true });
    return connection;
  } catch (error) {
    const endpoint = await opening.catch(() => undefined);
    await endpoint?.close();
    throw error;
  }
}

function noConnection(ms: number): (cause: unknown) => WormholeError {
  return (cause) =>
    new WormholeError(
      "CONNECT_FAILED",
      "Cannot connect to the other machine: the two machines found each other, but no direct connection came " +
        `about within ${
          Math.round(ms / 1000)
        } s; a firewall on this machine may block incoming connections, ` +
        "or the two are in networks that do not reach each other",
      { cause },
    );
}
