/** Every message of a sync session as one table. Spec: spec/sync.md. */
import {
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
  version,
  word,
} from "./fields.ts";
import * as limits from "./limits.ts";
import { LOCK_MESSAGES, TOLD_LOCK } from "./lock_message.ts";
import { messageCodec, type MessageIn, type UnknownMessage } from "./message_codec.ts";

const HASH = bytes(32, { min: 32 });
const IDENTITY = bytes(16, { min: 16 });
const STAMP = bytes(40, { min: 40 });
const PATH = bytes(limits.MAX_PATH_BYTES, { min: 1 });
const MODE = uint(0o777);
const SLOT = uint(0xffffffff);
const FILES = limits.MAX_STAGED_FILES;
const TOTAL = limits.MAX_STAGED_TOTAL;

/** Which way content may go, as the serving side sees it: from it, to it, or both. */
const WAY = word("both", "pull", "push");

const MESSAGES = {
  hello: {
    number: 32,
    fields: {
      /** [major, minor]; the major must be ours. */
      version: version(),
      /** Program and version, for people. */
      agent: text(limits.MAX_AGENT_BYTES),
      /** 16 random bytes. */
      nonce: bytes(16, { min: 16 }),
    },
  },
  /** Which folder it will be about. */
  look: { number: 33, fields: { path: bytes(limits.MAX_TARGET_BYTES) } },
  looked: {
    number: 34,
    fields: {
      /** Where it really is. */
      place: PATH,
      /** Which root it is; absent where nothing was ever synchronized. */
      identity: optional(IDENTITY),
      /** What there is a right to; absent: both. */
      way: optional(WAY),
    },
  },
  begin: {
    number: 35,
    fields: {
      one_file_system: bool,
      skip_symlinks: bool,
      /** Nothing will be changed, and nothing is made in the folder. */
      dry_run: bool,
      /** What the run is going to do; absent: both. */
      way: optional(WAY),
    },
  },
  begun: {
    number: 36,
    fields: {
      identity: optional(IDENTITY),
      folds_case: bool,
      normalizes: bool,
      permissions: bool,
      symlinks: bool,
    },
  },
  ask_ignored: { number: 37, fields: {} },
  ignored: {
    number: 38,
    fields: {
      /** Lines of the ignore file in the root, and one for each path that somebody has locked. */
      rules: text(limits.MAX_TEXT_BYTES),
      /** Those locks; paths are below the root. */
      locks: optional(list(TOLD_LOCK, limits.MAX_TOLD_LOCKS)),
      /** Locks beyond those. */
      more: optional(uint(0xffffffff)),
    },
  },
  scan: { number: 39, fields: { exclude: text(limits.MAX_TEXT_BYTES) } },
  scanned: {
    number: 40,
    fields: {
      entries: uint(limits.MAX_SYNC_ENTRIES),
      pages: uint(limits.MAX_SNAPSHOT_PAGES),
      /** BLAKE3-256 of the ids of all pages. */
      digest: HASH,
      is_empty: bool,
      problems: list(record({ path: PATH, code }), limits.MAX_SCAN_PROBLEMS),
      /** Problems beyond those. */
      more: uint(limits.MAX_SYNC_ENTRIES),
    },
  },
  ask_ids: { number: 41, fields: {} },
  ids: { number: 42, fields: { ids: bytes(limits.MAX_PAGE_IDS * 32), last: bool } },
  ask_pages: {
    number: 43,
    fields: {
      /** u32 each: number of a page. */
      pages: column("u32", limits.MAX_ASKED_PAGES),
      /** 32 bytes each: id of an older page that may be much the same; zeros for none. */
      bases: bytes(limits.MAX_ASKED_PAGES * 32),
    },
  },
  page: {
    number: 44,
    fields: {
      bytes: bytes(limits.MAX_SNAPSHOT_PAGE_BYTES),
      /** Of the page itself. */
      size: uint(limits.MAX_SNAPSHOT_PAGE_BYTES),
      /** What `bytes` are: the page, zstd of it, or zstd of its difference (XOR) from the base. */
      form: word("plain", "zstd", "difference"),
    },
  },
  ask_space: { number: 45, fields: {} },
  space: { number: 46, fields: { bytes: uint() } },
  /** What is to be copied, and in which direction; `files` messages follow. */
  stage: {
    number: 47,
    fields: {
      way: word("pull", "push"),
      files: uint(TOTAL, { min: 1 }),
    },
  },
  files: {
    number: 48,
    fields: {
      count: uint(FILES, { min: 1 }),
      /** u32 each: the number by which `change` names it. */
      slots: column("u32", FILES),
      /** u8 each: 1 file, 3 symlink. */
      kinds: column("u8", FILES),
      /** u64 each. */
      sizes: column("u64", FILES),
      /** i64 each: ns since 1970. */
      mtimes: column("i64", FILES),
      /** u16 each: permission bits. */
      modes: column("u16", FILES),
      /** 32 bytes each. */
      contents: bytes(FILES * 32),
      /** u32 each. */
      path_lengths: column("u32", FILES),
      /** Where they are at the other end, concatenated. */
      paths: bytes(limits.MAX_PATHS_BYTES),
    },
  },
  /** What need not, or cannot, travel. u32 each: slots. */
  ready: {
    number: 49,
    fields: {
      failed: column("u32", TOTAL),
      /** u16 each: error numbers. */
      codes: column("u16", TOTAL),
      /** Slots whose content is there already. */
      held: column("u32", TOTAL),
    },
  },
  /** Whether a link with a transfer follows. */
  go: { number: 50, fields: { link: bool } },
  staged: { number: 51, fields: { failed: column("u32", TOTAL), codes: column("u16", TOTAL) } },
  change: {
    number: 52,
    fields: {
      steps: list(
        record({
          do: word("make", "put", "take", "drop", "move", "mode"),
          path: PATH,
          from: optional(PATH),
          slot: optional(SLOT),
          was: optional(STAMP),
          keep: optional(PATH),
          mode: optional(MODE),
        }),
        limits.MAX_STEPS,
      ),
    },
  },
  changed: {
    number: 53,
    fields: {
      /** 40 bytes for each step, zeros where nothing is there. */
      stamps: bytes(limits.MAX_STEPS * 40),
      /** u32 each: index of a step that failed. */
      failed: column("u32", limits.MAX_STEPS),
      codes: column("u16", limits.MAX_STEPS),
    },
  },
  flush: { number: 54, fields: {} },
  flushed: { number: 55, fields: {} },
  /** The run is over; `done`: it came to its end. */
  end: { number: 56, fields: { done: bool } },
  ended: { number: 57, fields: {} },
  /** Say `news` once something has changed in the folder. */
  watch: { number: 58, fields: {} },
  news: { number: 59, fields: {} },
  /** What was asked for cannot be done. */
  refused: { number: 60, fields: { code } },
  ping: { number: 61, fields: { nonce: uint(0xffffffff) } },
  pong: { number: 62, fields: { nonce: uint(0xffffffff) } },
  ...LOCK_MESSAGES,
} as const satisfies Record<string, { number: number; fields: Fields }>;

const CODEC = messageCodec(MESSAGES);

/** Any message of a sync session, told apart by `type`. */
export type SyncMessage = MessageIn<typeof MESSAGES>;

/** Name of a message. */
export type SyncMessageType = SyncMessage["type"];

/** A message of one type. */
export type SyncMessageOf<T extends SyncMessageType> = Extract<SyncMessage, { readonly type: T }>;

/** Numbers of the messages, for the spec and the vectors. */
export const SYNC_MESSAGE_NUMBERS: Readonly<Record<SyncMessageType, number>> = CODEC.numbers;

/** Gives the frame content of `message`. */
export function encodeSyncMessage(message: SyncMessage): Uint8Array {
  return CODEC.encode(message);
}

/** Gives the message of a frame, checked field by field. @throws {WormholeError} PROTOCOL, LIMIT_EXCEEDED. */
export function decodeSyncMessage(frame: Uint8Array): SyncMessage | UnknownMessage {
  return CODEC.decode(frame);
}
