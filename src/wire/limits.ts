/**
 * The limits that everything off the wire meets before it is used, with unit and reason.
 * `spec/*.md` states them; both sides enforce them on what they receive and keep to them in what they send.
 */

/** Bytes of one control frame: 1 MiB, caps what a peer makes us allocate. */
export const MAX_FRAME_BYTES = 1024 * 1024;

/** Nesting of CBOR items in a message: the deepest of ours has 4, the rest is room for later minor versions. */
export const MAX_DEPTH = 8;

/** CBOR items in one message: 1000 roots or failures of 8 items each fit twice; caps decoding time. */
export const MAX_ITEMS = 16_384;

/** Bytes of one file name: what Linux, macOS and NTFS (in units) can store. */
export const MAX_NAME_BYTES = 255;

/** Bytes of a symlink's target: Linux `PATH_MAX`. */
export const MAX_TARGET_BYTES = 4096;

/** Directories above an entry: no tool makes deeper trees on purpose, and every level costs the receiver an open. */
export const MAX_PATH_DEPTH = 512;

/** Bytes of an entry's whole path: 16 times `PATH_MAX`, since we open directory by directory. */
export const MAX_PATH_BYTES = 64 * 1024;

/** Directories in one manifest: 8 Mi, about 400 MiB of directory table in the receiver. */
export const MAX_DIRECTORIES = 8 * 1024 * 1024;

/** Bytes of all directory names in one manifest: 256 MiB, what the receiver's directory table may hold. */
export const MAX_DIRECTORY_NAME_BYTES = 256 * 1024 * 1024;

/** Entries in one manifest: 2^30, well inside the u32 ids. */
export const MAX_ENTRIES = 2 ** 30;

/** Entries in one manifest page: 4096, about 110 KiB of columns and up to 1 MiB with names. */
export const MAX_PAGE_ENTRIES = 4096;

/** Bytes of one page's columns that a sender may make: leaves 64 KiB of a control frame for the rest. */
export const MAX_PAGE_BYTES = MAX_FRAME_BYTES - 64 * 1024;

/** Pages that may be granted ahead: 64, caps what a receiver can have in flight. */
export const MAX_PAGE_WINDOW = 64;

/** Bytes of one file: 2^53 - 1 (8 PiB), so that every size is an exact number in both languages. */
export const MAX_FILE_BYTES = Number.MAX_SAFE_INTEGER;

/** Roots that an offer lists; further ones are only counted. */
export const MAX_OFFER_ROOTS = 1000;

/** Bytes of an offered text: 960 KiB, so that the offer fits a control frame. */
export const MAX_TEXT_BYTES = 960 * 1024;

/** Abilities in one message and bytes of an ability's name or text value. */
export const MAX_ABILITIES = 64;
/** Bytes of an ability's name or of its value when that is text or bytes. */
export const MAX_ABILITY_BYTES = 256;

/** Bytes of the peer's program name and version. */
export const MAX_AGENT_BYTES = 128;

/** Bulk streams of one connection. */
export const MAX_BULK_STREAMS = 256;

/** Links of one transfer, the control stream's among them: one per transport and a few that are made anew. */
export const MAX_LINKS = 8;

/** Streams that one transfer may open in all: caps what a sender that opens and ends them makes its receiver keep. */
export const MAX_STREAM_NUMBERS = 65_536;

/** Streams in one acknowledgement: all that can be open, and as many that have ended since, twice over. */
export const MAX_ACKNOWLEDGED_STREAMS = 4 * MAX_BULK_STREAMS;

/** Roots in one manifest: 256 Ki, more than a command line can name; each costs the receiver a place of its own. */
export const MAX_MANIFEST_ROOTS = 256 * 1024;

/** Runs or ranges in one request: 32 Ki, 640 KiB of columns. */
export const MAX_REQUEST_RUNS = 32 * 1024;

/** Chunks that one manifest_response describes: 16 Ki (48 bytes each), 64 GiB of file. */
export const MAX_RESPONSE_CHUNKS = 16 * 1024;

/** Least bytes of a chunk that was cut by content, but for the last of a file. */
export const MIN_CONTENT_CHUNK_BYTES = 256 * 1024;

/** Chunks of one list: 1 Mi, 4 TiB of file cut every 4 MiB; 36 bytes of memory each. */
export const MAX_LIST_CHUNKS = 1024 * 1024;

/** Bytes of a have bitmap: 256 KiB, 8 TiB of file in 4 MiB chunks. */
export const MAX_HAVE_BYTES = 256 * 1024;

/** Failed entries that `done` lists; further ones are only counted. */
export const MAX_LISTED_FAILURES = 1000;

/** Bytes of a whole-file chunk: the unit of `have` and of verification. */
export const CHUNK_BYTES = 4 * 1024 * 1024;

/** Entries of a folder that is kept in sync with another machine's: 16 Mi, about 2 GiB of columns. */
export const MAX_SYNC_ENTRIES = 16 * 1024 * 1024;

/** Pages of a snapshot that crosses the wire: entries make fewer, since each but the last has 64 at least. */
export const MAX_SNAPSHOT_PAGES = MAX_SYNC_ENTRIES / 64;

/** Bytes of one such page: leaves the rest of a control frame for its keys. */
export const MAX_SNAPSHOT_PAGE_BYTES = 896 * 1024;

/** Ids of pages in one message: 512 KiB. */
export const MAX_PAGE_IDS = 16 * 1024;

/** Pages that one message asks for: 36 bytes each, 576 KiB. */
export const MAX_ASKED_PAGES = 16 * 1024;

/** Paths that a scan tells could not be looked at; further ones are only counted. */
export const MAX_SCAN_PROBLEMS = 1000;

/** Files and symlinks that one message names to be copied: 4096, 200 KiB beside their paths. */
export const MAX_STAGED_FILES = 4096;

/** Files and symlinks of one copying: what a native call takes. */
export const MAX_STAGED_TOTAL = 65_536;

/** Bytes of all paths of one copying: 32 MiB, 4 KiB for each of 8192 files; caps what is held before anything is copied. */
export const MAX_STAGED_PATH_BYTES = 32 * 1024 * 1024;

/** Bytes of all paths, or of all of a message that is no single column: leaves 256 KiB of a frame for the rest. */
export const MAX_PATHS_BYTES = 768 * 1024;

/** Changes in one message: each has up to 13 CBOR items. */
export const MAX_STEPS = 1024;

/** Bytes of what the holder of a lock is called. */
export const MAX_LOCK_OWNER_BYTES = 256;

/** Shortest and longest time for which a lock is asked for or lasts, in ms: 1 s and 24 h. */
export const MIN_LOCK_TTL_MS = 1000, MAX_LOCK_TTL_MS = 24 * 60 * 60 * 1000;

/** Locks that one message tells of; further ones are only counted. */
export const MAX_TOLD_LOCKS = 512;

/** Bytes of their paths and owners, and 64 for each: fits a frame beside `MAX_TEXT_BYTES` of rules. */
export const MAX_TOLD_LOCK_BYTES = 48 * 1024;
