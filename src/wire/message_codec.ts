/** From a table of messages to their encoder and decoder: one canonical CBOR map each, whose `t` is its number. */
import { WormholeError } from "../base/errors.ts";
import { decodeCbor, encodeCbor } from "./cbor.ts";
import { type Field, type Fields, isMap, record, uint, type ValueOf } from "./fields.ts";
import { MAX_FRAME_BYTES } from "./limits.ts";

/** Messages by name, each with its number and fields. */
export type MessageTable = Readonly<Record<string, { readonly number: number; readonly fields: Fields }>>;

/** Any message of a table, told apart by `type`. */
export type MessageIn<T extends MessageTable> = {
  [K in keyof T]: { readonly type: K } & ValueOf<T[K]["fields"]>;
}[keyof T];

/** A message from a newer minor version, to be ignored: its number is at least {@linkcode IGNORABLE}. */
export interface UnknownMessage {
  readonly type: "unknown";
  readonly number: number;
}

/** First message number that a receiver ignores when it does not know it; contracts.md §2. */
export const IGNORABLE = 128;

/** What {@linkcode messageCodec} gives. */
export interface MessageCodec<M extends { readonly type: PropertyKey }> {
  /** Numbers of the messages, for the spec and the vectors. */
  readonly numbers: Readonly<Record<M["type"], number>>;
  /** Gives the frame content of `message`. @throws {RangeError} when it would not fit a frame. */
  encode(message: M): Uint8Array;
  /**
   * Gives the message of a frame, checked field by field.
   *
   * @throws {WormholeError} PROTOCOL when it is not canonical CBOR, of an unknown number below 128 or a field is
   * missing or of the wrong kind; LIMIT_EXCEEDED when a field is over its limit. The text names the field.
   */
  decode(frame: Uint8Array): M | UnknownMessage;
}

/** Gives the codec of a table. */
export function messageCodec<T extends MessageTable>(table: T): MessageCodec<MessageIn<T>> {
  const codecs = Object.entries(table).map(([type, { number, fields }]) => ({
    type,
    number,
    fields: record(fields) as Field<object>,
  }));
  const byType = new Map<PropertyKey, typeof codecs[number]>(codecs.map((codec) => [codec.type, codec]));
  const byNumber = new Map(codecs.map((codec) => [codec.number, codec]));
  return {
    numbers: Object.fromEntries(codecs.map(({ type, number }) => [type, number])) as Record<keyof T, number>,
    encode(message) {
      const { number, fields } = byType.get(message.type)!;
      const encoded = encodeCbor({ t: number, ...fields.write(message) as object });
      if (encoded.length > MAX_FRAME_BYTES) {
        throw new RangeError(`the ${String(message.type)} message has ${encoded.length} bytes`);
      }
      return encoded;
    },
    decode(frame) {
      const value = decodeCbor(frame);
      if (!isMap(value)) throw new WormholeError("PROTOCOL", "Cannot read a message: it is not a map");
      const number = uint(0xffff).read(Object.hasOwn(value, "t") ? value.t : undefined, "t");
      const codec = byNumber.get(number);
      if (codec !== undefined) {
        return { type: codec.type, ...codec.fields.read(value, codec.type) } as MessageIn<T>;
      }
      if (number >= IGNORABLE) return { type: "unknown", number };
      throw new WormholeError("PROTOCOL", `Cannot read a message: its type ${number} is unknown`);
    },
  };
}
