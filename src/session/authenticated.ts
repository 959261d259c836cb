import { WormholeError } from "../base/errors.ts";
import type { Link, PeerConnection } from "../transport/connection.ts";

/**
 * Mints a {@linkcode PeerConnection} from a link whose key is `expectedKey` (32 bytes, vouched for by a PAKE,
 * a ticket or the list of known peers).
 *
 * @throws {WormholeError} PEER_UNAUTHENTICATED when the link belongs to another key.
 */
export function authenticated(link: Link, expectedKey: Uint8Array): PeerConnection {
  if (!sameKey(link.peerKey, expectedKey)) {
    throw new WormholeError(
      "PEER_UNAUTHENTICATED",
      `Cannot trust "${link.remote}": it is another machine than the one that was paired`,
    );
  }
  return link as PeerConnection;
}

/** Tells whether two public keys are equal; keys are public, so the time taken may tell. */
export function sameKey(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === 32 && b.length === 32 && a.every((byte, at) => byte === b[at]);
}
