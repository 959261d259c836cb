/**
 * How both ends agree on one of the links that a race made: the dialling side sends {@linkcode SELECTED} as the
 * first control frame of the link that won and closes the others; the listening side takes the link on which
 * that frame arrives. No answer is needed: a dial only succeeds once the listening side has accepted its key.
 */
import { anySignal } from "../base/any_signal.ts";
import { isWormholeError, WormholeError } from "../base/errors.ts";
import type { Link } from "../transport/connection.ts";
import { decodeCbor, encodeCbor } from "../wire/cbor.ts";
import { isMap } from "../wire/fields.ts";
import { MAX_LINKS } from "../wire/limits.ts";
import { sameKey } from "./authenticated.ts";

/** The frame that selects a link: the CBOR map `{selected: true}`; later versions may add fields. */
export const SELECTED: Uint8Array = encodeCbor({ selected: true });

/** Links that may wait for their selection; a race makes a handful, and more than that is an attack or a bug. */
const MAX_WAITING_LINKS = 64;

/** Tells the listening side that this is further link `number` of the session; to be sent before anything else. */
export function join(link: Link, number: number): Promise<void> {
  return link.send(encodeCbor({ joins: number }));
}

/** Gives the number in a link's first frame; undefined when it begins otherwise. */
export function joinedNumber(frame: Uint8Array): number | undefined {
  const value = decodeCbor(frame);
  const number = isMap(value) ? value.joins : undefined;
  return typeof number === "number" && number >= 1 && number < MAX_LINKS ? number : undefined;
}

/** What makes links for {@linkcode acceptSelected}: an endpoint. */
export interface Acceptor {
  accept(options: { signal?: AbortSignal }): Promise<Link>;
}

/**
 * Gives the link that the holder of `peerKey` selects; closes every other one.
 *
 * @throws {WormholeError} PROTOCOL when something else arrives first; what `acceptor` throws.
 */
export async function acceptSelected(
  acceptor: Acceptor,
  { peerKey, signal }: { peerKey: Uint8Array; signal?: AbortSignal },
): Promise<Link> {
  const stop = new AbortController();
  const ends = anySignal(signal, stop.signal);
  const waiting = new Set<Link>();
  const selected = Promise.withResolvers<Link>();
  const judge = async (link: Link) => {
    waiting.add(link);
    try {
      const frame = await link.recv({ signal: ends });
      if (frame === undefined) return; // It lost the race at the other end.
      assertSelected(frame);
      if (stop.signal.aborted) return; // Another link was faster.
      stop.abort();
      waiting.delete(link);
      selected.resolve(link);
    } catch (error) {
      if (isWormholeError(error, "PROTOCOL", "LIMIT_EXCEEDED")) selected.reject(error);
      // Any other failure ends this link only: another one may still be selected.
      else if (!isWormholeError(error) && !ends.aborted) selected.reject(error);
    } finally {
      if (waiting.delete(link)) await discard(link);
    }
  };
  const acceptAll = async () => {
    for (;;) {
      const link = await acceptor.accept({ signal: ends });
      if (stop.signal.aborted || waiting.size >= MAX_WAITING_LINKS) await discard(link);
      else if (sameKey(link.peerKey, peerKey)) judge(link);
      else await discard(link, "REFUSED");
    }
  };
  acceptAll().catch(selected.reject);
  try {
    return await selected.promise;
  } finally {
    stop.abort();
    await Promise.all(Array.from(waiting, (link) => discard(link)));
  }
}

/** Tells the listening side that this is the link to use; to be sent before anything else. */
export function select(link: Link): Promise<void> {
  return link.send(SELECTED);
}

function assertSelected(frame: Uint8Array): void {
  const value = decodeCbor(frame);
  if (isMap(value) && value.selected === true) return;
  throw new WormholeError(
    "PROTOCOL",
    "Cannot use the connection: the other machine sent something else before it selected it",
  );
}

/** A link that was not chosen carries nothing, so how its end goes matters to nobody. */
async function discard(link: Link, code?: "REFUSED"): Promise<void> {
  await link.close(code).catch(() => {});
}
