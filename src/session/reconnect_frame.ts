import { WormholeError } from "../base/errors.ts";
import { decodeCbor, encodeCbor } from "../wire/cbor.ts";
import { bytes, isMap, record, uint } from "../wire/fields.ts";

/** What the first frame of a link that reconnects says; wire/spec/handshake.md §3. */
export interface Reconnect {
  /** 16 bytes that only the two ends of this session know. */
  readonly secret: Uint8Array;
  /**
   * From the receiver: the number of this link, higher than that of any earlier one. From the sender: the number of the
   * last link that it took, 0 for the first.
   */
  readonly link: number;
}

/** Bytes of a session's secret. */
export const SECRET_BYTES = 16;

/** Caps the number of a link, so that it is a u32. */
export const MAX_LINK_NUMBER = 0xffff_ffff;

const FIELDS = record({
  reconnects: bytes(SECRET_BYTES, { min: SECRET_BYTES }),
  link: uint(MAX_LINK_NUMBER),
});

/** Encodes the frame; vectors in tests/vectors/reconnects.json. */
export function encodeReconnect({ secret, link }: Reconnect): Uint8Array {
  return encodeCbor(FIELDS.write({ reconnects: secret, link }));
}

/**
 * Decodes a link's first frame; undefined when it is about something else. Unknown fields are ignored.
 *
 * @throws {WormholeError} PROTOCOL when it is malformed.
 */
export function decodeReconnect(frame: Uint8Array): Reconnect | undefined {
  const value = decodeCbor(frame);
  if (!isMap(value)) throw new WormholeError("PROTOCOL", "Cannot read how a link begins: it is no map");
  if (value.reconnects === undefined) return undefined;
  const { reconnects, link } = FIELDS.read(value, "");
  return { secret: reconnects, link };
}
