/**
 * Writes messages.json and hostile_messages.json. A format change runs it and commits what changed; the files, not
 * this program, are what both languages test against. Run: deno run -A tests/vectors/make_messages.ts
 */
import { encode, Tagged } from "cborg";
import { encodeCbor } from "../../src/wire/cbor.ts";
import { type Columns, encodeMessage, type Message, writeColumns, writeRequest } from "../../src/wire/mod.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const filled = (length: number, value: number) => new Uint8Array(length).fill(value);
const none = new Uint8Array();
const u32 = (...numbers: number[]) => new Uint8Array(new Uint32Array(numbers).buffer);
const totals = { files: 0, directories: 0, symlinks: 0, bytes: 0 };
const entry = {
  kind: "file",
  parent: undefined,
  name: none,
  mode: 0o644,
  size: 0,
  mtime: 0n,
  target: none,
} as const;

const MESSAGES: [name: string, description: string, message: Message][] = [
  ["hello", "first message of each side", {
    type: "hello",
    version: { major: 1, minor: 0 },
    agent: "wormhole/0.1.0",
    abilities: { zstd: true, lz4: false, streams: 64, name: "x", key: filled(2, 1) },
    nonce: filled(16, 0xaa),
  }],
  ["hello_least", "nothing but what must be", {
    type: "hello",
    version: { major: 0, minor: 65535 },
    agent: "",
    abilities: {},
    nonce: filled(16, 0),
  }],
  ["offer_files", "a folder and a file whose name is not UTF-8", {
    type: "offer",
    kind: "files",
    transfer: filled(16, 1),
    roots: [
      { name: bytes("photos"), kind: "directory", size: 2 ** 40, files: 3 },
      { name: new Uint8Array([0xff, 0xfe]), kind: "file", size: 1, files: 1 },
    ],
    more: 2,
    totals: { files: 4, directories: 1, symlinks: 1, bytes: Number.MAX_SAFE_INTEGER },
    counting: true,
  }],
  ["offer_text", "a text goes in the offer", {
    type: "offer",
    kind: "text",
    transfer: filled(16, 2),
    roots: [],
    totals,
    counting: false,
    text: "grüße \u{1f600}\n",
  }],
  ["offer_empty_text", "an empty text is not a missing one", {
    type: "offer",
    kind: "text",
    transfer: filled(16, 2),
    roots: [],
    totals,
    counting: false,
    text: "",
  }],
  ["offer_stream", "standard input", {
    type: "offer",
    kind: "stream",
    transfer: filled(16, 3),
    roots: [{ name: bytes("stdin"), kind: "stream", size: 0, files: 1 }],
    totals: { ...totals, files: 1 },
    counting: false,
  }],
  ["answer_yes", "accepted", { type: "answer", accept: true, abilities: { zstd: true }, streams: 256 }],
  ["answer_no", "refused for want of space", {
    type: "answer",
    accept: false,
    reason: "NO_SPACE",
    abilities: {},
    streams: 1,
  }],
  ["manifest_page", "every kind of entry", {
    type: "manifest_page",
    page: 0,
    ...writeColumns([
      { ...entry, kind: "directory", name: bytes("d"), mode: 0o755, mtime: 1_700_000_000_123_456_789n },
      { ...entry, parent: 0, name: bytes("a.txt"), size: Number.MAX_SAFE_INTEGER, mtime: -1n },
      { ...entry, parent: 0, kind: "symlink", name: bytes("link"), mode: 0o777, target: bytes("a.txt") },
      { ...entry, kind: "stream", name: bytes("stdin"), mode: 0o7777, mtime: 2n ** 63n - 1n },
    ], { first: 0, last: false }),
  }],
  ["manifest_page_versions", "a file that the sender can name again", {
    type: "manifest_page",
    page: 1,
    ...writeColumns([{ ...entry, name: bytes("b"), size: 5 }], { first: 4, last: true }),
    versions: new Uint8Array(new BigUint64Array([0x0123456789abcdefn]).buffer),
  }],
  ["manifest_page_last_empty", "an empty last page, with things left out", {
    type: "manifest_page",
    page: 4294967295,
    ...writeColumns([], { first: 2 ** 30 - 1, last: true }),
    omitted: 2,
  }],
  ["page_credit", "eight pages", { type: "page_credit", through: 7 }],
  ["page_credit_highest", "highest page number", { type: "page_credit", through: 4294967295 }],
  ["request_manifest", "", { type: "request_manifest", entry: 23 }],
  ["request_manifest_content", "cut by content", { type: "request_manifest", entry: 24, cut: "content" }],
  ["manifest_response", "two chunks", {
    type: "manifest_response",
    entry: 24,
    size: 4194305,
    offsets: new Uint8Array(new BigUint64Array([0n, 4194304n]).buffer),
    sizes: new Uint8Array(new Uint32Array([4194304, 1]).buffer),
    hashes: filled(64, 9),
    last: true,
  }],
  ["request_chunks", "runs and a range", {
    type: "request_chunks",
    ...writeRequest({
      runs: [[0, 4094], [4096, 4096]],
      ranges: [{ entry: 5, offset: 2 ** 40, length: 4194304 }],
    }),
  }],
  ["request_chunks_nothing", "empty columns", {
    type: "request_chunks",
    ...writeRequest({ runs: [], ranges: [] }),
  }],
  ["request_chunks_released", "nothing up to entry 2047 is asked for any more", {
    type: "request_chunks",
    ...writeRequest({ runs: [[4, 4]], ranges: [] }),
    released: 2047,
  }],
  ["have", "chunks 0, 1 and 8", { type: "have", entry: 255, chunks: new Uint8Array([3, 1]) }],
  ["bulk_streams", "on the control stream's connection", { type: "bulk_streams", count: 4 }],
  ["bulk_streams_link", "on another link", { type: "bulk_streams", link: 7, count: 256 }],
  ["bulk_received", "two streams and two links", {
    type: "bulk_received",
    time: 4294967296,
    streams: u32(3, 65535),
    frames: u32(4294967295, 1),
    links: new Uint8Array(new BigUint64Array([2n ** 40n, 0n]).buffer),
  }],
  ["bulk_received_least", "nothing new", {
    type: "bulk_received",
    time: 0,
    streams: none,
    frames: none,
    links: none,
  }],
  ["bulk_lost", "broke after two frames", { type: "bulk_lost", stream: 65535, frames: 2 }],
  ["bulk_refused", "could not connect", { type: "bulk_refused", link: 0, count: 12 }],
  ["link_lost", "", { type: "link_lost", link: 1 }],
  ["bulk_gone", "broke at the sender", { type: "bulk_gone", stream: 65535 }],
  ["done", "all in place", {
    type: "done",
    files: 3,
    directories: 1,
    symlinks: 0,
    bytes: 4294967296,
    failed: [],
    failed_count: 0,
    manifest_hash: filled(32, 7),
  }],
  ["done_partial", "one of the failures has no code that we know", {
    type: "done",
    files: 0,
    directories: 0,
    symlinks: 0,
    bytes: 0,
    failed: [{ entry: 2, code: "SOURCE_CHANGED" }, { entry: 2 ** 30 - 1, code: "INTERNAL" }],
    failed_count: 1000,
  }],
  ["done_ack", "no fields", { type: "done_ack" }],
  ["done_ack_receipt", "with the sender's receipt", { type: "done_ack", manifest_hash: filled(32, 8) }],
  ["ping", "", { type: "ping", nonce: 4294967295 }],
  ["ping_busy", "of a sender whose disk is slow", { type: "ping", nonce: 0, busy: true }],
  ["ping_held_up", "of a sender whose data does not get through", { type: "ping", nonce: 0, busy: false }],
  ["pong", "", { type: "pong", nonce: 0 }],
  ["cancel", "Ctrl-C", { type: "cancel", code: "INTERRUPTED" }],
  ["error", "the transfer failed", { type: "error", code: "NO_SPACE" }],
  ["error_entry", "one entry failed", { type: "error", code: "UNSUPPORTED", entry: 1 }],
  ["totals", "counted after the offer", {
    type: "totals",
    totals: { files: 10_000_000, directories: 1, symlinks: 0, bytes: 2 ** 40 },
  }],
  ["totals_sparse", "files with holes", {
    type: "totals",
    totals: { files: 1, directories: 0, symlinks: 0, bytes: 2 ** 40, allocated: 4096 },
  }],
];

const hello = { t: 0, version: [1, 0], agent: "x", abilities: {}, nonce: filled(16, 0) };
const offer = { t: 1, kind: "files", transfer: filled(16, 0), roots: [], totals, counting: false };
const root = { name: bytes("a"), kind: "file", size: 1, files: 1 };

const columns: Columns = writeColumns([], { first: 0, last: true });
const page = raw({ type: "manifest_page", page: 0, ...columns });

const HOSTILE: [description: string, cbor: Uint8Array | string, code: string][] = [
  ["nothing", "", "PROTOCOL"],
  ["only a break", "ff", "PROTOCOL"],
  ["a number", "00", "PROTOCOL"],
  ["a list", "80", "PROTOCOL"],
  ["an empty map: no type", "a0", "PROTOCOL"],
  ["type is text", "a1617461 30".replace(" ", ""), "PROTOCOL"],
  ["type is negative", "a1617420", "PROTOCOL"],
  ["unknown type below 128", "a16174187f", "PROTOCOL"],
  ["type above 65535", "a161741a00010000", "LIMIT_EXCEEDED"],
  ["type of 2^64-1", "a161741bffffffffffffffff", "LIMIT_EXCEEDED"],
  ["bytes after the message", "a161740b00", "PROTOCOL"],
  ["cut off in the key", "a161", "PROTOCOL"],
  ["cut off before the value", "a16174", "PROTOCOL"],
  ["indefinite map", "bf61740bff", "PROTOCOL"],
  ["indefinite bytes", "a261740e6178 5f4100ff".replace(" ", ""), "PROTOCOL"],
  ["number longer than needed", "a16174180b", "PROTOCOL"],
  ["key length longer than needed", "a17801740b", "PROTOCOL"],
  ["key twice", "a261740b61740b", "PROTOCOL"],
  ["keys out of order", "a26178006174 0b".replace(" ", ""), "PROTOCOL"],
  ["key is a number", "a1000b", "PROTOCOL"],
  ["float", "a261740b6178f93c00", "PROTOCOL"],
  ["undefined", "a261740b6178f7", "PROTOCOL"],
  ["simple value", "a261740b6178f820", "PROTOCOL"],
  ["reserved length 28", "a261740b61781c", "PROTOCOL"],
  ["unknown tag (date)", "a261740b6178c100", "PROTOCOL"],
  ["bignum tag", "a261740b6178c24101", "PROTOCOL"],
  ["typed array of a list", "a261740b6178d84080", "PROTOCOL"],
  ["text that is not UTF-8", "a261740b617861ff", "PROTOCOL"],
  ["surrogate in text", "a261740b617863eda080", "PROTOCOL"],
  ["byte string longer than the frame", "a261740b61785a7fffffff", "PROTOCOL"],
  ["byte string of 2^64-1", "a261740b61785bffffffffffffffff", "PROTOCOL"],
  ["list of 2^32-1", "a261740b61789affffffff", "LIMIT_EXCEEDED"],
  ["map of 2^64-1", "bbffffffffffffffff", "LIMIT_EXCEEDED"],
  ["list longer than the frame", "a261740b61789903e8", "PROTOCOL"],
  ["nested 9 deep", "a261740b6178" + "81".repeat(8) + "00", "LIMIT_EXCEEDED"],
  ["nested 5000 deep", "a261740b6178" + "81".repeat(5000) + "00", "LIMIT_EXCEEDED"],
  ["20000 items", encode({ t: 11, x: new Array(20_000).fill(0) }), "LIMIT_EXCEEDED"],
  ["__proto__ is only a key", encode({ t: 12, ["__proto__x"]: 1 }), "PROTOCOL"],
  ["hello without nonce", encodeCbor({ ...hello, nonce: undefined }), "PROTOCOL"],
  ["hello with null nonce", encodeCbor({ ...hello, nonce: null }), "PROTOCOL"],
  ["hello with a short nonce", encodeCbor({ ...hello, nonce: filled(15, 0) }), "PROTOCOL"],
  ["hello with a long nonce", encodeCbor({ ...hello, nonce: filled(17, 0) }), "LIMIT_EXCEEDED"],
  ["hello with half a version", encodeCbor({ ...hello, version: [1] }), "PROTOCOL"],
  ["hello with a negative version", encodeCbor({ ...hello, version: [-1, 0] }), "PROTOCOL"],
  ["hello with a long agent", encodeCbor({ ...hello, agent: "x".repeat(129) }), "LIMIT_EXCEEDED"],
  ["hello with 65 abilities", encodeCbor({ ...hello, abilities: many(65) }), "LIMIT_EXCEEDED"],
  [
    "hello with a long ability",
    encodeCbor({ ...hello, abilities: { ["x".repeat(257)]: 1 } }),
    "LIMIT_EXCEEDED",
  ],
  ["offer of an unknown kind", encodeCbor({ ...offer, kind: "disk" }), "PROTOCOL"],
  ["offer of 1001 roots", encodeCbor({ ...offer, roots: new Array(1001).fill(root) }), "LIMIT_EXCEEDED"],
  ["root without a name", encodeCbor({ ...offer, roots: [{ ...root, name: none }] }), "PROTOCOL"],
  ["root whose name is text", encodeCbor({ ...offer, roots: [{ ...root, name: "a" }] }), "PROTOCOL"],
  [
    "root with a name of 256 bytes",
    encodeCbor({ ...offer, roots: [{ ...root, name: filled(256, 97) }] }),
    "LIMIT_EXCEEDED",
  ],
  ["root of negative size", encodeCbor({ ...offer, roots: [{ ...root, size: -1 }] }), "PROTOCOL"],
  ["root of 2^53 bytes", encodeCbor({ ...offer, roots: [{ ...root, size: 2n ** 53n }] }), "LIMIT_EXCEEDED"],
  ["2^63 files", encodeCbor({ ...offer, totals: { ...totals, files: 2n ** 63n } }), "LIMIT_EXCEEDED"],
  ["-2^63 bytes", encodeCbor({ ...offer, totals: { ...totals, bytes: -(2n ** 63n) } }), "PROTOCOL"],
  ["counting is a number", encodeCbor({ ...offer, counting: 1 }), "PROTOCOL"],
  ["text of 960 KiB + 1", encodeCbor({ ...offer, text: "x".repeat(960 * 1024 + 1) }), "LIMIT_EXCEEDED"],
  ["answer of 0 streams", encodeCbor({ t: 2, accept: true, abilities: {}, streams: 0 }), "PROTOCOL"],
  [
    "answer of 257 streams",
    encodeCbor({ t: 2, accept: true, abilities: {}, streams: 257 }),
    "LIMIT_EXCEEDED",
  ],
  ["page of 4097 entries", encodeCbor({ ...page, count: 4097 }), "LIMIT_EXCEEDED"],
  ["page of -1 entries", encodeCbor({ ...page, count: -1 }), "PROTOCOL"],
  ["page that starts at 2^30", encodeCbor({ ...page, first: 2 ** 30 }), "LIMIT_EXCEEDED"],
  ["sizes are plain bytes", encodeCbor({ ...page, sizes: none }), "PROTOCOL"],
  ["sizes are u32", encodeCbor({ ...page, sizes: new Tagged(70, none) }), "PROTOCOL"],
  ["sizes are 9 bytes", encodeCbor({ ...page, sizes: new Tagged(71, filled(9, 0)) }), "PROTOCOL"],
  ["4097 kinds", encodeCbor({ ...page, kinds: new Tagged(64, filled(4097, 1)) }), "LIMIT_EXCEEDED"],
  ["credit of 2^32", encodeCbor({ t: 4, through: 2 ** 32 }), "LIMIT_EXCEEDED"],
  ["credit of -1", encodeCbor({ t: 4, through: -1 }), "PROTOCOL"],
  ["request of entry 2^30", encodeCbor({ t: 5, entry: 2 ** 30 }), "LIMIT_EXCEEDED"],
  [
    "too many runs",
    encodeCbor({
      t: 7,
      runs: new Tagged(70, filled(8 * 32769, 0)),
      range_entries: new Tagged(70, none),
      range_offsets: new Tagged(71, none),
      range_lengths: new Tagged(71, none),
    }),
    "LIMIT_EXCEEDED",
  ],
  [
    "have of 256 KiB + 1",
    encodeCbor({ t: 8, entry: 0, chunks: filled(256 * 1024 + 1, 0) }),
    "LIMIT_EXCEEDED",
  ],
  ["no bulk streams", encodeCbor({ t: 9, count: 0 }), "PROTOCOL"],
  [
    "done with 1001 failures",
    encodeCbor({
      t: 10,
      ...totals,
      failed: new Array(1001).fill({ entry: 0, code: 1 }),
      failed_count: 1001,
    }),
    "LIMIT_EXCEEDED",
  ],
  [
    "failure without a code",
    encodeCbor({ t: 10, ...totals, failed: [{ entry: 0 }], failed_count: 1 }),
    "PROTOCOL",
  ],
  ["257 bulk streams", encodeCbor({ t: 9, count: 257 }), "LIMIT_EXCEEDED"],
  ["bulk streams on link 8", encodeCbor({ t: 9, link: 8, count: 1 }), "LIMIT_EXCEEDED"],
  ["bulk streams on link -1", encodeCbor({ t: 9, link: -1, count: 1 }), "PROTOCOL"],
  ["1025 acknowledged streams", received({ streams: filled(4100, 0) }), "LIMIT_EXCEEDED"],
  ["1025 counts of frames", received({ frames: filled(4100, 0) }), "LIMIT_EXCEEDED"],
  ["nine links", received({ links: filled(72, 0) }), "LIMIT_EXCEEDED"],
  ["half a stream number", received({ streams: filled(2, 0) }), "PROTOCOL"],
  ["acknowledgement at time -1", received({ time: -1 }), "PROTOCOL"],
  ["stream 65536 is lost", encodeCbor({ t: 17, stream: 65536, frames: 0 }), "LIMIT_EXCEEDED"],
  ["lost after -1 frames", encodeCbor({ t: 17, stream: 0, frames: -1 }), "PROTOCOL"],
  ["lost after 2^32 frames", encodeCbor({ t: 17, stream: 0, frames: 2 ** 32 }), "LIMIT_EXCEEDED"],
  ["nothing is refused", encodeCbor({ t: 18, link: 0, count: 0 }), "PROTOCOL"],
  ["the control link is lost", encodeCbor({ t: 19, link: 0 }), "PROTOCOL"],
  ["link 8 is lost", encodeCbor({ t: 19, link: 8 }), "LIMIT_EXCEEDED"],
  ["stream 65536 is gone", encodeCbor({ t: 20, stream: 65536 }), "LIMIT_EXCEEDED"],
  ["ping of 2^32", encodeCbor({ t: 12, nonce: 2 ** 32 }), "LIMIT_EXCEEDED"],
  ["error code above 65535", encodeCbor({ t: 15, code: 65536 }), "LIMIT_EXCEEDED"],
  ["error about entry -1", encodeCbor({ t: 15, code: 1, entry: -1 }), "PROTOCOL"],
  ["frame over 1 MiB", encodeCbor({ t: 11, x: filled(1024 * 1024, 0) }), "LIMIT_EXCEEDED"],
];

/** The message as its decoded CBOR map, to be spoilt. */
function raw(message: Message & { type: "manifest_page" }): Record<string, unknown> {
  const { type: _, ...fields } = message;
  const tag = (number: number, data: Uint8Array) => new Tagged(number, data);
  return {
    ...fields,
    t: 3,
    kinds: tag(64, columns.kinds),
    parents: tag(70, columns.parents),
    name_lengths: tag(69, columns.name_lengths),
    modes: tag(70, columns.modes),
    sizes: tag(71, columns.sizes),
    mtimes: tag(79, columns.mtimes),
  };
}

/** An acknowledgement with some of it spoilt. */
function received(
  { time = 0, ...columns }: { time?: number; streams?: Uint8Array; frames?: Uint8Array; links?: Uint8Array },
): Uint8Array {
  const { streams = none, frames = none, links = none } = columns;
  return encodeCbor({
    t: 16,
    time,
    streams: new Tagged(70, streams),
    frames: new Tagged(70, frames),
    links: new Tagged(71, links),
  });
}

function many(count: number): Record<string, number> {
  return Object.fromEntries(Array.from({ length: count }, (_, i) => [`ability${i}`, i]));
}

/** JSON with byte strings as `{"hex": …}`. */
function json(value: unknown): string {
  return JSON.stringify(value, (_, each) => each instanceof Uint8Array ? { hex: each.toHex() } : each);
}

function write(name: string, rows: unknown[]): void {
  const text = `[\n${rows.map((row) => `  ${json(row)}`).join(",\n")}\n]\n`;
  Deno.writeTextFileSync(new URL(name, import.meta.url), text);
}

write(
  "messages.json",
  MESSAGES.map(([name, description, message]) => ({
    name,
    description,
    message,
    cbor: encodeMessage(message).toHex(),
  })),
);
// Rows over 64 KiB are built by the test from their description; a file of megabytes of zeros helps nobody.
write(
  "hostile_messages.json",
  HOSTILE.map(([description, cbor, code]) => ({
    description,
    cbor: typeof cbor === "string" ? cbor : cbor.toHex(),
    code,
  })).filter(({ cbor }) => cbor.length <= 128 * 1024),
);
