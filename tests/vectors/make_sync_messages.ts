/**
 * Writes sync_messages.json and hostile_sync_messages.json. A format change runs it and commits what changed; the files, not
 * this program, are what is tested against. Run: deno run -A tests/vectors/make_sync_messages.ts
 */
import { encode, Tagged } from "cborg";
import { concat } from "../../src/base/bytes.ts";
import { encodeCbor } from "../../src/wire/cbor.ts";
import { encodeSyncMessage, type SyncMessage } from "../../src/wire/mod.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const filled = (length: number, value: number) => new Uint8Array(length).fill(value);
const none = new Uint8Array();
const u16 = (...numbers: number[]) => new Uint8Array(new Uint16Array(numbers).buffer);
const u32 = (...numbers: number[]) => new Uint8Array(new Uint32Array(numbers).buffer);
const u64 = (...numbers: bigint[]) => new Uint8Array(new BigUint64Array(numbers).buffer);

const MESSAGES: [name: string, description: string, message: SyncMessage][] = [
  ["hello", "first message of each side", {
    type: "hello",
    version: { major: 1, minor: 0 },
    agent: "wormhole/0.1.0",
    nonce: filled(16, 0xaa),
  }],
  ["look", "a folder below the home folder", { type: "look", path: bytes("notes") }],
  ["look_only", "the only folder that there is a right to", { type: "look", path: none }],
  ["looked", "it was synchronized before", { type: "looked", place: bytes("/home/ann/notes"), identity: filled(16, 3) }],
  ["looked_new", "it never was; its name is not UTF-8", { type: "looked", place: Uint8Array.of(0x2f, 0xff) }],
  ["looked_one_way", "it may be read and not changed", { type: "looked", place: bytes("/srv/photos"), way: "pull" }],
  ["begin", "a run", { type: "begin", one_file_system: true, skip_symlinks: false, dry_run: false }],
  ["begin_one_way", "a run that changes it and reads nothing of it", {
    type: "begin",
    one_file_system: false,
    skip_symlinks: false,
    dry_run: false,
    way: "push",
  }],
  ["begun", "the folder is locked", {
    type: "begun",
    identity: filled(16, 3),
    folds_case: false,
    normalizes: true,
    permissions: true,
    symlinks: true,
  }],
  ["ask_ignored", "what the ignore file says", { type: "ask_ignored" }],
  ["ignored", "two rules", { type: "ignored", rules: "*.tmp\n/build" }],
  ["ignored_locked", "somebody works on a file", {
    type: "ignored",
    rules: "/d/report.odt",
    locks: [{ path: bytes("d/report.odt"), owner: "ann@desk", shared: false, holder: "here", age_ms: 1, left_ms: 3_599_999 }],
    more: 2,
  }],
  ["scan", "with the rules of both", { type: "scan", exclude: "*.tmp\n/build\n*.o" }],
  ["scanned", "a file could not be read", {
    type: "scanned",
    entries: 1000,
    pages: 3,
    digest: filled(32, 9),
    is_empty: false,
    problems: [{ path: bytes("a/b"), code: "PERMISSION_DENIED" }],
    more: 7,
  }],
  ["ask_ids", "the pages are others than before", { type: "ask_ids" }],
  ["ids", "two pages", { type: "ids", ids: filled(64, 1), last: true }],
  ["ask_pages", "those that are not known", {
    type: "ask_pages",
    pages: u32(0, 2),
    bases: concat(filled(32, 0), filled(32, 4)),
  }],
  ["page", "one of them", { type: "page", bytes: filled(8, 0), size: 8, form: "plain" }],
  ["page_difference", "how another one differs from an older one", {
    type: "page",
    bytes: filled(12, 7),
    size: 34_000,
    form: "difference",
  }],
  ["ask_space", "how much fits", { type: "ask_space" }],
  ["space", "a terabyte", { type: "space", bytes: 2 ** 40 }],
  ["stage_push", "two files go to the folder", { type: "stage", way: "push", files: 2 }],
  ["stage_pull", "one comes from it", { type: "stage", way: "pull", files: 1 }],
  ["files", "a file and a symlink", {
    type: "files",
    count: 2,
    slots: u32(0, 7),
    kinds: Uint8Array.of(1, 3),
    sizes: u64(5n, 3n),
    mtimes: u64(1n, 2n ** 64n - 1n),
    modes: u16(0o644, 0o777),
    contents: filled(64, 2),
    path_lengths: u32(1, 3),
    paths: bytes("ab/c"),
  }],
  ["ready", "one is there, one cannot be had", {
    type: "ready",
    failed: u32(7),
    codes: u16(30),
    held: u32(0),
  }],
  ["go", "a link with a transfer follows", { type: "go", link: true }],
  ["staged", "everything has come", { type: "staged", failed: none, codes: none }],
  ["change", "one step of each kind", {
    type: "change",
    steps: [
      { do: "make", path: bytes("d"), mode: 0o755 },
      { do: "put", path: bytes("a"), slot: 0, was: filled(40, 1), keep: bytes("a.conflict") },
      { do: "put", path: bytes("d/b"), slot: 7 },
      { do: "take", path: bytes("c"), was: filled(40, 2) },
      { do: "drop", path: bytes("e") },
      { do: "move", path: bytes("g"), from: bytes("f"), was: filled(40, 3) },
      { do: "mode", path: bytes("h"), was: filled(40, 4), mode: 0o600 },
    ],
  }],
  ["changed", "one of two failed", { type: "changed", stamps: filled(80, 5), failed: u32(1), codes: u16(30) }],
  ["flush", "it is to survive a power cut", { type: "flush" }],
  ["flushed", "it does", { type: "flushed" }],
  ["end", "the run came to its end", { type: "end", done: true }],
  ["ended", "the folder is free", { type: "ended" }],
  ["watch", "tell when something changes", { type: "watch" }],
  ["news", "something has", { type: "news" }],
  ["refused", "no right to that folder", { type: "refused", code: "REFUSED" }],
  ["ping", "is somebody there", { type: "ping", nonce: 2 ** 32 - 1 }],
  ["pong", "yes", { type: "pong", nonce: 0 }],
  ["lock", "a file for an hour, in turn", {
    type: "lock",
    token: filled(16, 0x5a),
    path: bytes("notes/report.odt"),
    shared: false,
    owner: "ann@laptop",
    ttl_ms: 3_600_000,
    wait: true,
  }],
  ["renew", "ten minutes more", { type: "renew", token: filled(16, 0x5a), ttl_ms: 600_000 }],
  ["unlock", "it is not needed any more", { type: "unlock", token: filled(16, 0x5a) }],
  ["lock_state", "it is held", {
    type: "lock_state",
    state: "held",
    lock: { path: bytes("/home/ann/notes/report.odt"), owner: "ann@laptop", shared: false, holder: "you", age_ms: 0, left_ms: 3_600_000 },
  }],
  ["lock_state_waiting", "somebody else waits for the folder", {
    type: "lock_state",
    state: "waiting",
    lock: { path: bytes("/home/ann/notes"), owner: "ben@tablet", shared: true, holder: "other" },
  }],
  ["ask_locks", "everything that there is a right to", { type: "ask_locks", path: none }],
  ["locks", "there are more than fit", {
    type: "locks",
    locks: [{ path: bytes("/home/ann/x"), owner: "", shared: true, holder: "here", age_ms: 5, left_ms: 0 }],
    more: 2 ** 32 - 1,
  }],
];

const plain = (t: number, fields: Record<string, unknown>) => encodeCbor({ t, ...fields });
const files = {
  count: 1,
  slots: new Tagged(70, u32(0)),
  kinds: new Tagged(64, Uint8Array.of(1)),
  sizes: new Tagged(71, u64(1n)),
  mtimes: new Tagged(79, u64(1n)),
  modes: new Tagged(69, u16(0)),
  contents: filled(32, 0),
  path_lengths: new Tagged(70, u32(1)),
  paths: bytes("a"),
};
const step = { do: "drop", path: bytes("a") };
const scanned = {
  entries: 1,
  pages: 1,
  digest: filled(32, 0),
  is_empty: false,
  problems: [] as unknown[],
  more: 0,
};

const lock = { token: filled(16, 1), path: bytes("a"), shared: false, owner: "", ttl_ms: 1000, wait: false };
const told = { path: bytes("/a"), owner: "", shared: false, holder: "here" };

const HOSTILE: [description: string, frame: Uint8Array, code: "PROTOCOL" | "LIMIT_EXCEEDED"][] = [
  ["a number of a transfer's message", plain(0, {}), "PROTOCOL"],
  ["a number between the two", plain(31, {}), "PROTOCOL"],
  ["a number that is not given yet", plain(63, {}), "PROTOCOL"],
  ["no map", encode(7), "PROTOCOL"],
  ["a hello without a nonce", plain(32, { version: [1, 0], agent: "" }), "PROTOCOL"],
  ["a hello of a long agent", plain(32, { version: [1, 0], agent: "x".repeat(129), nonce: filled(16, 0) }), "LIMIT_EXCEEDED"],
  ["a look at a long path", plain(33, { path: filled(4097, 0x61) }), "LIMIT_EXCEEDED"],
  ["a look at text", plain(33, { path: "a" }), "PROTOCOL"],
  ["an identity that is short", plain(34, { place: bytes("/a"), identity: filled(15, 0) }), "PROTOCOL"],
  ["an identity that is long", plain(34, { place: bytes("/a"), identity: filled(17, 0) }), "LIMIT_EXCEEDED"],
  ["no place", plain(34, { place: none }), "PROTOCOL"],
  ["a beginning without a field", plain(35, { one_file_system: true, skip_symlinks: true }), "PROTOCOL"],
  ["a number for a yes", plain(35, { one_file_system: 1, skip_symlinks: true, dry_run: true }), "PROTOCOL"],
  ["bytes for rules", plain(38, { rules: none }), "PROTOCOL"],
  ["too many entries", plain(40, { ...scanned, entries: 2 ** 24 + 1 }), "LIMIT_EXCEEDED"],
  ["too many pages", plain(40, { ...scanned, pages: 2 ** 18 + 1 }), "LIMIT_EXCEEDED"],
  ["a short digest", plain(40, { ...scanned, digest: filled(31, 0) }), "PROTOCOL"],
  ["too many problems", plain(40, { ...scanned, problems: Array(1001).fill({ path: bytes("a"), code: 1 }) }), "LIMIT_EXCEEDED"],
  ["a problem without a path", plain(40, { ...scanned, problems: [{ code: 1 }] }), "PROTOCOL"],
  ["a negative count", plain(40, { ...scanned, more: -1 }), "PROTOCOL"],
  ["too many ids", plain(42, { ids: filled(16 * 1024 * 32 + 1, 0), last: true }), "LIMIT_EXCEEDED"],
  ["pages as bytes", plain(43, { pages: u32(1), bases: filled(32, 0) }), "PROTOCOL"],
  ["pages of another width", plain(43, { pages: new Tagged(69, u16(1)), bases: filled(32, 0) }), "PROTOCOL"],
  ["half a number", plain(43, { pages: new Tagged(70, filled(3, 0)), bases: none }), "PROTOCOL"],
  ["a page that is too long", plain(44, { bytes: filled(896 * 1024 + 1, 0), size: 0, form: "plain" }), "LIMIT_EXCEEDED"],
  ["a page that would be too long", plain(44, { bytes: none, size: 896 * 1024 + 1, form: "zstd" }), "LIMIT_EXCEEDED"],
  ["a page in another form", plain(44, { bytes: none, size: 1, form: "lz4" }), "PROTOCOL"],
  ["space beyond 2^53", plain(46, { bytes: 2n ** 60n }), "LIMIT_EXCEEDED"],
  ["a third way", plain(47, { way: "both", files: 1 }), "PROTOCOL"],
  ["nothing to stage", plain(47, { way: "push", files: 0 }), "PROTOCOL"],
  ["too much to stage", plain(47, { way: "push", files: 65_537 }), "LIMIT_EXCEEDED"],
  ["no files", plain(48, { ...files, count: 0 }), "PROTOCOL"],
  ["too many files", plain(48, { ...files, count: 4097 }), "LIMIT_EXCEEDED"],
  ["too many contents", plain(48, { ...files, contents: filled(4096 * 32 + 1, 0) }), "LIMIT_EXCEEDED"],
  ["too long paths", plain(48, { ...files, paths: filled(768 * 1024 + 1, 0x61) }), "LIMIT_EXCEEDED"],
  ["failures without codes", plain(49, { failed: new Tagged(70, none), held: new Tagged(70, none) }), "PROTOCOL"],
  ["no step at all", plain(52, {}), "PROTOCOL"],
  ["too many steps", plain(52, { steps: Array(1025).fill(step) }), "LIMIT_EXCEEDED"],
  ["a step that there is not", plain(52, { steps: [{ ...step, do: "remove" }] }), "PROTOCOL"],
  ["a step without a path", plain(52, { steps: [{ do: "drop" }] }), "PROTOCOL"],
  ["an empty path", plain(52, { steps: [{ ...step, path: none }] }), "PROTOCOL"],
  ["a path that is too long", plain(52, { steps: [{ ...step, path: filled(65_537, 0x61) }] }), "LIMIT_EXCEEDED"],
  ["a short stamp", plain(52, { steps: [{ ...step, was: filled(39, 0) }] }), "PROTOCOL"],
  ["a set-uid bit", plain(52, { steps: [{ ...step, mode: 0o4755 }] }), "LIMIT_EXCEEDED"],
  ["a slot beyond u32", plain(52, { steps: [{ ...step, slot: 2 ** 32 }] }), "LIMIT_EXCEEDED"],
  ["too many stamps", plain(53, { stamps: filled(1025 * 40, 0), failed: new Tagged(70, none), codes: new Tagged(69, none) }), "LIMIT_EXCEEDED"],
  ["an end without a word how", plain(56, {}), "PROTOCOL"],
  ["a refusal without a code", plain(60, {}), "PROTOCOL"],
  ["a ping without a number", plain(61, {}), "PROTOCOL"],
  ["a way that there is not", plain(34, { place: bytes("/a"), way: "read" }), "PROTOCOL"],
  ["a run that goes no way", plain(35, { one_file_system: true, skip_symlinks: true, dry_run: true, way: "" }), "PROTOCOL"],
  ["a number for locks that is not given yet", plain(70, {}), "PROTOCOL"],
  ["a lock of a short token", plain(64, { ...lock, token: filled(15, 1) }), "PROTOCOL"],
  ["a lock of a long token", plain(64, { ...lock, token: filled(17, 1) }), "LIMIT_EXCEEDED"],
  ["a lock without a token", plain(64, { ...lock, token: "" }), "PROTOCOL"],
  ["a lock of a long path", plain(64, { ...lock, path: filled(4097, 0x61) }), "LIMIT_EXCEEDED"],
  ["a lock of somebody with a long name", plain(64, { ...lock, owner: "x".repeat(257) }), "LIMIT_EXCEEDED"],
  ["a lock for less than a second", plain(64, { ...lock, ttl_ms: 999 }), "PROTOCOL"],
  ["a lock for more than a day", plain(64, { ...lock, ttl_ms: 86_400_001 }), "LIMIT_EXCEEDED"],
  ["a lock that waits for a while", plain(64, { ...lock, wait: 1 }), "PROTOCOL"],
  ["a lock for longer than a day, by and by", plain(65, { token: filled(16, 1), ttl_ms: 86_400_001 }), "LIMIT_EXCEEDED"],
  ["a release of nothing", plain(66, {}), "PROTOCOL"],
  ["a state of no lock", plain(67, { state: "held" }), "PROTOCOL"],
  ["a state that there is not", plain(67, { state: "broken", lock: told }), "PROTOCOL"],
  ["a holder that there is not", plain(67, { state: "held", lock: { ...told, holder: "root" } }), "PROTOCOL"],
  ["a lock that is left for ever", plain(67, { state: "held", lock: { ...told, left_ms: 86_400_001 } }), "LIMIT_EXCEEDED"],
  ["a lock without a path", plain(69, { locks: [{ ...told, path: none }], more: 0 }), "PROTOCOL"],
  ["too many locks", plain(69, { locks: Array(513).fill(told), more: 0 }), "LIMIT_EXCEEDED"],
  ["too many locks beside the rules", plain(38, { rules: "", locks: Array(513).fill(told) }), "LIMIT_EXCEEDED"],
  ["more locks than there can be", plain(69, { locks: [], more: 2 ** 32 }), "LIMIT_EXCEEDED"],
];

function write(name: string, value: unknown): void {
  const text = JSON.stringify(value, (_, each) => {
    if (each instanceof Uint8Array) return { hex: each.toHex() };
    return each;
  }, 1);
  Deno.writeTextFileSync(new URL(name, import.meta.url), `${text}\n`);
}

write(
  "sync_messages.json",
  MESSAGES.map(([name, description, message]) => ({
    name,
    description,
    message,
    cbor: encodeSyncMessage(message).toHex(),
  })),
);
// What only its size makes wrong is made by the test: a vector of a megabyte helps nobody.
write(
  "hostile_sync_messages.json",
  HOSTILE.filter(([, frame]) => frame.length < 8192)
    .map(([description, frame, code]) => ({ description, cbor: frame.toHex(), code })),
);
