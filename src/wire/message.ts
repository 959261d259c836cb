/**
 * Every control message as one table, which gives the types, the encoder and the decoder. Specs: spec/*.md.
 */
import { WormholeError } from "../base/errors.ts";
import { decodeCbor, encodeCbor } from "./cbor.ts";
import {
  abilities,
  bool,
  bytes,
  code,
  column,
  type Field,
  type Fields,
  isMap,
  list,
  optional,
  record,
  text,
  uint,
  type ValueOf,
  word,
} from "./fields.ts";
import * as limits from "./limits.ts";

const ENTRY = uint(limits.MAX_ENTRIES - 1);
const COUNT = uint(limits.MAX_ENTRIES);
const ABILITIES = abilities(limits.MAX_ABILITIES, limits.MAX_ABILITY_BYTES);
const PAGE = limits.MAX_PAGE_ENTRIES;
const LINK = uint(limits.MAX_LINKS - 1);
const STREAM = uint(limits.MAX_STREAM_NUMBERS - 1);

/** The entries of one manifest page as columns (contracts.md §1, spec/manifest.md §2). */
export const COLUMN_FIELDS = {
  /** Id of the first entry. */
  first: ENTRY,
  /** Entries in this page. */
  count: uint(PAGE),
  /** u8 each: 1 file, 2 directory, 3 symlink, 4 stream. */
  kinds: column("u8", PAGE),
  /** u32 each: id of the parent directory, 0xFFFFFFFF for a root. */
  parents: column("u32", PAGE),
  /** u16 each: bytes of the name. */
  name_lengths: column("u16", PAGE),
  /** The names, concatenated. */
  names: bytes(PAGE * limits.MAX_NAME_BYTES),
  /** u32 each: permission bits. */
  modes: column("u32", PAGE),
  /** u64 each: bytes of the file or of the symlink's target, 2^64-1 for a stream. */
  sizes: column("u64", PAGE),
  /** i64 each: ns since 1970. */
  mtimes: column("i64", PAGE),
  /** The symlinks' targets, concatenated. */
  targets: bytes(limits.MAX_FRAME_BYTES),
  /** No page follows. */
  last: bool,
} as const satisfies Fields;

const TOTALS = record({
  /** Files and streams. */
  files: COUNT,
  directories: COUNT,
  symlinks: COUNT,
  /** Sum of the file sizes. */
  bytes: uint(limits.MAX_FILE_BYTES),
  /** What of it lies on the sender's disk, where that is less: files with holes. */
  allocated: optional(uint(limits.MAX_FILE_BYTES)),
});

const MESSAGES = {
  hello: {
    number: 0,
    fields: {
      /** [major, minor]; the major must be ours. */
      version: version(),
      /** Program and version, for people: `wormhole/0.1.0`. */
      agent: text(limits.MAX_AGENT_BYTES),
      /** Options that this side knows; unknown ones are ignored. */
      abilities: ABILITIES,
      /** 16 random bytes. */
      nonce: bytes(16, { min: 16 }),
    },
  },
  offer: {
    number: 1,
    fields: {
      kind: word("files", "text", "stream"),
      /** 16 random bytes that name the transfer. */
      transfer: bytes(16, { min: 16 }),
      /** The things named on the command line; empty for a text. */
      roots: list(
        record({
          name: bytes(limits.MAX_NAME_BYTES, { min: 1 }),
          kind: word("file", "directory", "symlink", "stream"),
          /** Bytes of the file, or of everything in the directory as far as counted. */
          size: uint(limits.MAX_FILE_BYTES),
          /** Files in it: 1 for a file. */
          files: COUNT,
        }),
        limits.MAX_OFFER_ROOTS,
      ),
      /** Roots beyond those listed. */
      more: optional(COUNT),
      totals: TOTALS,
      /** The sender is still counting: the totals are what it has seen so far. */
      counting: bool,
      /** The text, when that is what is offered. */
      text: optional(text(limits.MAX_TEXT_BYTES)),
    },
  },
  answer: {
    number: 2,
    fields: {
      accept: bool,
      /** Why not. */
      reason: optional(code),
      /** Options that the receiver chose among those of the sender's hello. */
      abilities: ABILITIES,
      /** Most bulk streams that the receiver wants. */
      streams: uint(limits.MAX_BULK_STREAMS, { min: 1 }),
    },
  },
  manifest_page: {
    number: 3,
    fields: {
      /** Counts pages from 0. */
      page: uint(0xffffffff),
      ...COLUMN_FIELDS,
      /** Things that the sender could not read while it made this page. */
      omitted: optional(COUNT),
      /** u64 each: the sender's name for a file in its present state; 0 for none. */
      versions: optional(column("u64", PAGE)),
    },
  },
  page_credit: {
    number: 4,
    fields: {
      /** Highest page that may be sent. */
      through: uint(0xffffffff),
    },
  },
  request_manifest: {
    number: 5,
    fields: {
      entry: ENTRY,
      /** How the file is cut: by its content, or every 4 MiB when left out. */
      cut: optional(word("content")),
    },
  },
  manifest_response: {
    number: 6,
    fields: {
      entry: ENTRY,
      /** Bytes of the whole file. */
      size: uint(limits.MAX_FILE_BYTES),
      /** u64 each: where a chunk begins. */
      offsets: column("u64", limits.MAX_RESPONSE_CHUNKS),
      /** u32 each: bytes of a chunk. */
      sizes: column("u32", limits.MAX_RESPONSE_CHUNKS),
      /** 32 bytes each: BLAKE3-256 of a chunk. */
      hashes: bytes(limits.MAX_RESPONSE_CHUNKS * 32),
      last: bool,
    },
  },
  request_chunks: {
    number: 7,
    fields: {
      /** u32 pairs: first and last entry of each run of whole files. */
      runs: column("u32", limits.MAX_REQUEST_RUNS * 2),
      /** u32 each: entry of a range. */
      range_entries: column("u32", limits.MAX_REQUEST_RUNS),
      /** u64 each: where a range begins. */
      range_offsets: column("u64", limits.MAX_REQUEST_RUNS),
      /** u64 each: bytes of a range. */
      range_lengths: column("u64", limits.MAX_REQUEST_RUNS),
      /** No entry up to this one will be asked for any more. */
      released: optional(ENTRY),
    },
  },
  have: {
    number: 8,
    fields: {
      entry: ENTRY,
      /** One bit for each 4 MiB chunk, least significant bit first. */
      chunks: bytes(limits.MAX_HAVE_BYTES),
    },
  },
  bulk_streams: {
    number: 9,
    fields: {
      /** 0, the connection of the control stream, when left out. */
      link: optional(LINK),
      /** Streams that the sender opens there beyond those it has opened. */
      count: uint(limits.MAX_BULK_STREAMS, { min: 1 }),
    },
  },
  done: {
    number: 10,
    fields: {
      files: COUNT,
      directories: COUNT,
      symlinks: COUNT,
      bytes: uint(limits.MAX_FILE_BYTES),
      /** The first entries that did not arrive. */
      failed: list(record({ entry: ENTRY, code }), limits.MAX_LISTED_FAILURES),
      /** All entries that did not arrive. */
      failed_count: COUNT,
      /** What the receiver noted of the transfer; spec/chunks.md §4. */
      manifest_hash: optional(bytes(32, { min: 32 })),
    },
  },
  done_ack: {
    number: 11,
    fields: {
      /** What the sender noted. */
      manifest_hash: optional(bytes(32, { min: 32 })),
    },
  },
  ping: {
    number: 12,
    fields: {
      nonce: uint(0xffffffff),
      /** What a sender has done since its last ping: read or encoded content, or nothing but wait for the link. */
      busy: optional(bool),
    },
  },
  pong: { number: 13, fields: { nonce: uint(0xffffffff) } },
  cancel: { number: 14, fields: { code } },
  error: {
    number: 15,
    fields: {
      code,
      /** The entry that it is about; without one the transfer has failed. */
      entry: optional(ENTRY),
    },
  },
  bulk_received: {
    number: 16,
    fields: {
      /** ms on the receiver's clock. */
      time: uint(),
      /** u32 each: number of a stream. */
      streams: column("u32", limits.MAX_ACKNOWLEDGED_STREAMS),
      /** u32 each: frames of it that have arrived so far. */
      frames: column("u32", limits.MAX_ACKNOWLEDGED_STREAMS),
      /** u64 each: bytes that came over each link, by link number. */
      links: column("u64", limits.MAX_LINKS),
    },
  },
  bulk_lost: {
    number: 17,
    fields: {
      stream: STREAM,
      /** Whole frames of it that arrived. */
      frames: uint(0xffffffff),
    },
  },
  bulk_refused: {
    number: 18,
    fields: {
      link: LINK,
      /** What the announcement said. */
      count: uint(limits.MAX_BULK_STREAMS, { min: 1 }),
    },
  },
  link_lost: { number: 19, fields: { link: uint(limits.MAX_LINKS - 1, { min: 1 }) } },
  bulk_gone: { number: 20, fields: { stream: STREAM } },
  /** The sender has finished counting after its offer. */
  totals: { number: 128, fields: { totals: TOTALS } },
} as const satisfies Record<string, { number: number; fields: Fields }>;

/** Name of a message. */
export type MessageType = keyof typeof MESSAGES;

/** A message of one type. */
export type MessageOf<T extends MessageType> = { readonly type: T } & ValueOf<(typeof MESSAGES)[T]["fields"]>;

/** Any message, told apart by `type`. */
export type Message = { [T in MessageType]: MessageOf<T> }[MessageType];

/** A message from a newer minor version, to be ignored: its number is at least {@linkcode IGNORABLE}. */
export interface UnknownMessage {
  readonly type: "unknown";
  readonly number: number;
}

/** What the sender says about sizes and counts. */
export type Totals = MessageOf<"offer">["totals"];
/** One thing of an offer. */
export type OfferRoot = MessageOf<"offer">["roots"][number];
/** The entries of one manifest page as columns. */
export type Columns = ValueOf<typeof COLUMN_FIELDS>;

/** First message number that a receiver ignores when it does not know it; contracts.md §2. */
export const IGNORABLE = 128;

/** Numbers of the messages, for the spec and the vectors. */
export const MESSAGE_NUMBERS = Object.fromEntries(
  Object.entries(MESSAGES).map(([type, { number }]) => [type, number]),
) as Readonly<Record<MessageType, number>>;

interface Codec {
  readonly type: MessageType;
  readonly number: number;
  readonly fields: Field<object>;
}
const CODECS: readonly Codec[] = Object.entries(MESSAGES).map(([type, { number, fields }]) => ({
  type: type as MessageType,
  number,
  fields: record(fields) as Field<object>,
}));
const BY_TYPE = new Map(CODECS.map((codec) => [codec.type, codec]));
const BY_NUMBER = new Map(CODECS.map((codec) => [codec.number, codec]));

/** Gives the frame content of `message`: one canonical CBOR map, `t` is its number. */
export function encodeMessage(message: Message): Uint8Array {
  const { number, fields } = BY_TYPE.get(message.type)!;
  const encoded = encodeCbor({ t: number, ...fields.write(message) as object });
  if (encoded.length > limits.MAX_FRAME_BYTES) {
    throw new RangeError(`the ${message.type} message has ${encoded.length} bytes`);
  }
  return encoded;
}

/**
 * Gives the message of a frame, checked field by field.
 *
 * @throws {WormholeError} PROTOCOL when it is not canonical CBOR, of an unknown number below 128 or a field is
 * missing or of the wrong kind; LIMIT_EXCEEDED when a field is over its limit. The text names the field.
 */
export function decodeMessage(frame: Uint8Array): Message | UnknownMessage {
  const value = decodeCbor(frame);
  if (!isMap(value)) throw new WormholeError("PROTOCOL", "Cannot read a message: it is not a map");
  const number = uint(0xffff).read(Object.hasOwn(value, "t") ? value.t : undefined, "t");
  const codec = BY_NUMBER.get(number);
  if (codec !== undefined) return { type: codec.type, ...codec.fields.read(value, codec.type) } as Message;
  if (number >= IGNORABLE) return { type: "unknown", number };
  throw new WormholeError("PROTOCOL", `Cannot read a message: its type ${number} is unknown`);
}

/** Version as `[major, minor]`. */
function version(): Field<{ readonly major: number; readonly minor: number }> {
  const part = uint(0xffff);
  return {
    read(value, where) {
      // More than two numbers are fine: a later version may say more.
      const parts = list(part, 4).read(value, where);
      return { major: part.read(parts[0], `${where}[0]`), minor: part.read(parts[1], `${where}[1]`) };
    },
    write: ({ major, minor }) => [major, minor],
  };
}
