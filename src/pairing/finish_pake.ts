import { WormholeError } from "../base/errors.ts";
import type { Spake2 } from "./crypto.ts";

/**
 * Gives the key that the peer's first message makes with ours.
 *
 * @throws {WormholeError} what `wrong` gives when it is our own message; PROTOCOL when it is malformed.
 */
export function finishPake(
  spake: Spake2,
  { message, wrong }: { message: Uint8Array; wrong(): WormholeError },
): Uint8Array {
  // A server that sends our own message back would otherwise be taken for the peer.
  if (message.toHex() === spake.message.toHex()) throw wrong();
  try {
    return spake.finish(message);
  } catch (cause) {
    throw new WormholeError("PROTOCOL", "Cannot pair: the other side's first message is malformed", {
      cause,
    });
  }
}
