/**
 * Every control message as one table, which gives the types, the encoder and the decoder. Specs: spec/*.md.
 */
import {
  abilities,
  bool,
  bytes,
  code,
  column,
  type Fields,
  list,
  optional,
  record,
  text,
  uint,
  type ValueOf,
  version,
  word,
} from "./fields.ts";
import * as limits from "./limits.ts";
import { messageCodec, type UnknownMessage } from "./message_codec.ts";

export { IGNORABLE, type MessageCodec, type UnknownMessage } from "./message_codec.ts";

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

/** What the sender says about sizes and counts. */
export type Totals = MessageOf<"offer">["totals"];
/** One thing of an offer. */
export type OfferRoot = MessageOf<"offer">["roots"][number];
/** The entries of one manifest page as columns. */
export type Columns = ValueOf<typeof COLUMN_FIELDS>;

const CODEC = messageCodec(MESSAGES);

/** Numbers of the messages, for the spec and the vectors. */
export const MESSAGE_NUMBERS: Readonly<Record<MessageType, number>> = CODEC.numbers;

/** Gives the frame content of `message`: one canonical CBOR map, `t` is its number. */
export function encodeMessage(message: Message): Uint8Array {
  return CODEC.encode(message);
}

/** Gives the message of a frame, checked field by field. @throws {WormholeError} as {@linkcode MessageCodec.decode}. */
export function decodeMessage(frame: Uint8Array): Message | UnknownMessage {
  return CODEC.decode(frame);
}
