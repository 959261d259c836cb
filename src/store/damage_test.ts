/**
 * What becomes of the index and the journal when their files are damaged: they answer what was remembered, or nothing;
 * they never throw but to refuse, and they work on.
 */
import { isWormholeError } from "../base/errors.ts";
import { assertEquals, assertThrows, assertTrue } from "../base/testing.ts";
import { FileIndex, type KnownFile } from "./file_index.ts";
import { IDENTITY_BYTES, STAMP_BYTES } from "./file_stamp.ts";
import { Journal } from "./journal.ts";

/** Damaged copies of each kind; all from one seed, so that a failure can be seen again. */
const SEEDS = 40;

const HASHED = 1_700_000_000_000;

type Damage = (bytes: Uint8Array<ArrayBuffer>, random: Random) => Uint8Array<ArrayBuffer>;

const DAMAGES: Record<string, Damage> = {
  "one bit flipped": (bytes, random) => flipped(bytes, random, 1),
  "64 bits flipped": (bytes, random) => flipped(bytes, random, 64),
  "cut off": (bytes, random) => bytes.slice(0, random.below(bytes.length)),
  "a page of zeros": (bytes, random) => bytes.fill(0, ...pageOf(bytes, random)),
  "a page of garbage": (bytes, random) => {
    const [from, to] = pageOf(bytes, random);
    for (let i = from; i < to; i++) bytes[i] = random.below(256);
    return bytes;
  },
  "two pages changed places": (bytes, random) => {
    const [a, b] = [pageOf(bytes, random), pageOf(bytes, random)];
    const kept = bytes.slice(...a);
    bytes.set(bytes.slice(...b), a[0]);
    bytes.set(kept, b[0]);
    return bytes;
  },
};

for (const [name, damage] of Object.entries(DAMAGES)) {
  Deno.test(`FileIndex answers right or not at all with ${name}`, async () => {
    await using folder = await damageFolder();
    const files = knownFiles();
    {
      using index = FileIndex.open(folder.path, { maxChunks: 100_000 });
      index.remember(files);
    }
    const whole = await Deno.readFile(folder.path);
    let replaced = 0;
    let answers = 0;
    for (let seed = 0; seed < SEEDS; seed++) {
      await folder.clear();
      await Deno.writeFile(folder.path, damage(whole.slice(), new Random(seed)));
      const used = useIndex(folder.path, files);
      replaced += used.replaced;
      answers += used.answers;
    }
    assertTrue(answers > 0, "nothing was answered at all");
    assertTrue(name === "one bit flipped" || replaced > 0, "no damage was ever noticed");
  });
}

Deno.test("FileIndex answers right or not at all with a damaged write-ahead log", async () => {
  await using folder = await damageFolder();
  const files = knownFiles();
  let whole: { main: Uint8Array<ArrayBuffer>; log: Uint8Array<ArrayBuffer> };
  {
    using index = FileIndex.open(folder.path, { maxChunks: 100_000 });
    index.remember(files);
    whole = { main: await Deno.readFile(folder.path), log: await Deno.readFile(`${folder.path}-wal`) };
  }
  assertTrue(whole.log.length > 100_000, "nothing is in the log");
  for (let seed = 0; seed < SEEDS; seed++) {
    const random = new Random(seed);
    const damage = Object.values(DAMAGES)[seed % Object.keys(DAMAGES).length]!;
    await folder.clear();
    await Deno.writeFile(folder.path, whole.main);
    await Deno.writeFile(`${folder.path}-wal`, damage(whole.log.slice(), random));
    if (seed % 3 === 0) await Deno.writeFile(`${folder.path}-shm`, whole.log.slice(0, 32768));
    useIndex(folder.path, files);
  }
});

Deno.test("FileIndex answers right or not at all when its file is damaged while it is open", async () => {
  await using folder = await damageFolder();
  const files = knownFiles();
  const garbage = new Uint8Array(4096).fill(0xa5);
  let replaced = 0;
  for (let seed = 0; seed < SEEDS; seed++) {
    await folder.clear();
    {
      using index = FileIndex.open(folder.path, { maxChunks: 100_000 });
      index.remember(files);
    }
    using index = FileIndex.open(folder.path, { maxChunks: 100_000, onReplaced: () => replaced++ });
    const random = new Random(seed);
    const size = Deno.statSync(folder.path).size;
    if (seed % 4 === 0) Deno.truncateSync(folder.path, random.below(size));
    else {
      using file = Deno.openSync(folder.path, { write: true });
      file.seekSync(4096 * random.below(size / 4096), Deno.SeekMode.Start);
      file.writeSync(garbage);
    }
    ask(index, files);
    index.remember(files);
    ask(index, files);
  }
  assertTrue(replaced > 0, "no damage was ever noticed");
});

Deno.test("FileIndex goes on when its file is deleted while it is open", async () => {
  await using folder = await damageFolder();
  const files = knownFiles();
  using index = FileIndex.open(folder.path, { maxChunks: 100_000 });
  index.remember(files.slice(0, 5));
  await folder.clear();
  index.remember(files);
  using other = FileIndex.open(folder.path, { maxChunks: 100_000 });
  other.remember(files.slice(5));
  ask(index, files);
  ask(other, files);
  assertEquals(other.check(), []);
});

Deno.test("two processes that find the same damage agree on one new index", async () => {
  await using folder = await damageFolder();
  const files = knownFiles();
  {
    using index = FileIndex.open(folder.path, { maxChunks: 100_000 });
    index.remember(files);
  }
  const said: string[] = [];
  const onReplaced = (message: string) => said.push(message);
  using a = FileIndex.open(folder.path, { maxChunks: 100_000, onReplaced });
  using b = FileIndex.open(folder.path, { maxChunks: 100_000, onReplaced });
  Deno.writeFileSync(folder.path, new Uint8Array(Deno.statSync(folder.path).size).fill(0xa5), {
    create: false,
  });
  for (const index of [a, b, a, b]) {
    index.remember(files);
    assertTrue(ask(index, files) > 0);
  }
  assertEquals(said.length, 1);
  assertEquals([a.check(), b.check()], [[], []]);
  using c = FileIndex.open(folder.path, { maxChunks: 100_000 });
  assertTrue(ask(c, files) > 0);
});

Deno.test("an index that another process has locked is told as such, and still answers", async () => {
  await using folder = await damageFolder();
  const files = knownFiles();
  using index = FileIndex.open(folder.path, { maxChunks: 100_000 });
  index.remember(files);
  const { DatabaseSync } = await import("node:sqlite");
  using other = new DatabaseSync(folder.path);
  other.exec("BEGIN IMMEDIATE");
  assertTrue(ask(index, files) > 0);
  assertThrows(() => index.remember(files), "TIMEOUT", "another process");
});

for (const [name, damage] of Object.entries(DAMAGES)) {
  Deno.test(`Journal gives what was written or nothing with ${name}`, async () => {
    await using folder = await damageFolder();
    const written = fillJournal(folder.path);
    const whole = await Deno.readFile(folder.path);
    let good = 0;
    for (let seed = 0; seed < SEEDS; seed++) {
      await folder.clear();
      await Deno.writeFile(folder.path, damage(whole.slice(), new Random(seed)));
      good += useJournal(folder.path, written);
    }
    assertTrue(good > 0 || name === "cut off", "nothing was left at all");
  });
}

Deno.test("a journal that is damaged in the middle of a transfer is made anew, and says so", async () => {
  await using folder = await damageFolder();
  const said: string[] = [];
  fillJournal(folder.path);
  using journal = Journal.open(folder.path, { bootId: "a", onReplaced: (message) => said.push(message) });
  const id = new Uint8Array(16).fill(1);
  Deno.writeFileSync(folder.path, new Uint8Array(Deno.statSync(folder.path).size).fill(0xa5), {
    create: false,
  });
  assertThrows(() => journal.addVerified(id, new Uint8Array(48), 1), "CORRUPT", "made anew");
  assertEquals(said.length, 1);
  journal.begin(transferOf(id));
  journal.addVerified(id, new Uint8Array(48), 1);
  assertEquals(journal.verified(id).length, 1);
});

/** Opens a damaged index, asks it everything, and uses it on. */
function useIndex(path: string, files: readonly KnownFile[]): { replaced: number; answers: number } {
  let replaced = 0;
  try {
    using index = FileIndex.open(path, { maxChunks: 100_000, onReplaced: () => replaced++ });
    const answers = ask(index, files);
    index.remember(files.slice(0, 10));
    ask(index, files);
    index.forget(files[3]!.stamp);
    index.totals();
    return { replaced, answers };
  } catch (error) {
    // A flipped bit may make it a newer version's, or one that is only to be read.
    if (!isWormholeError(error, "VERSION_UNSUPPORTED", "READ_ONLY")) throw error;
    return { replaced, answers: 0 };
  }
}

/** Asks for everything in every way; gives how many answers there were, all of which are right. */
function ask(index: FileIndex, files: readonly KnownFile[]): number {
  let answers = 0;
  const paths = new Map(files.map((file) => [text(file.path), file]));
  const right = (known: KnownFile) => {
    const { chunks: { sizes, ...chunks }, ...rest } = paths.get(text(known.path))!;
    const { chunks: { sizes: gotSizes, ...gotChunks }, ...got } = known;
    assertEquals({ ...got, ...gotChunks, sizes: gotSizes ?? null }, {
      ...rest,
      ...chunks,
      sizes: sizes ?? null,
    });
    answers++;
  };
  for (const file of files) {
    const { chunks, stamp, path } = file;
    const found = index.find(stamp, chunks.chunking);
    if (found !== undefined) right({ ...file, chunks: found });
    for (const known of index.atPath(path)) {
      assertEquals(known.path, path);
      right(known);
    }
    for (const known of index.ofSize(chunks.size, { limit: 3 })) right(known);
    for (const [i, place] of index.lookup(chunks.ids).entries()) {
      if (place === undefined) continue;
      const owner = paths.get(text(place.path))!;
      assertEquals(place.stamp, owner.stamp);
      assertEquals(place.settled, true);
      const id = chunks.ids.slice(32 * i, 32 * i + 32);
      const at = placesOf(owner).get(`${place.offset} ${place.length}`);
      assertEquals(at, id, "another chunk's place");
      answers++;
    }
  }
  for (const known of index.all()) right(known);
  return answers;
}

const placesByFile = new WeakMap<KnownFile, Map<string, Uint8Array>>();

/** Gives the id of each chunk of a file by `offset length`. */
function placesOf(file: KnownFile): Map<string, Uint8Array> {
  const known = placesByFile.get(file);
  if (known) return known;
  const { chunking, size, ids, sizes } = file.chunks;
  const places = new Map<string, Uint8Array>();
  for (let i = 0, at = 0; 32 * i < ids.length; i++) {
    const length = sizes?.[i] ?? Math.min(chunking as number, size - at);
    places.set(`${at} ${length}`, ids.slice(32 * i, 32 * i + 32));
    at += length;
  }
  placesByFile.set(file, places);
  return places;
}

/** 24 files: some cut by content, some long enough that their lists overflow a page. */
function knownFiles(): KnownFile[] {
  const random = new Random(7);
  return Array.from({ length: 24 }, (_, inode) => {
    const count = inode % 10 === 0 ? 200 : 1 + random.below(8);
    const sizes = Uint32Array.from({ length: count }, () => 1000 + random.below(100_000));
    const isCdc = inode % 2 === 0;
    const size = isCdc
      ? sizes.reduce((sum, each) => sum + each, 0)
      : (count - 1) * 65536 + 1 + random.below(65536);
    const ids = Uint8Array.from({ length: 32 * count }, () => random.below(256));
    const stamp = new DataView(new ArrayBuffer(STAMP_BYTES));
    stamp.setBigUint64(0, 1n, true);
    stamp.setBigUint64(IDENTITY_BYTES / 2, BigInt(inode + 1), true);
    stamp.setBigUint64(16, BigInt(size), true);
    stamp.setBigInt64(24, BigInt(HASHED - 60_000 - inode) * 1_000_000n, true);
    stamp.setBigInt64(32, BigInt(HASHED - 60_000 - inode) * 1_000_000n, true);
    return {
      path: new TextEncoder().encode(`/home/somebody/files/${inode}`),
      stamp: new Uint8Array(stamp.buffer),
      settled: true,
      chunks: isCdc ? { chunking: "cdc", size, ids, sizes } : { chunking: 65536, size, ids },
    };
  });
}

interface WrittenJournal {
  readonly pages: Map<string, Set<string>>;
  readonly relied: Map<string, Set<string>>;
}

/** Three transfers, of which some records were synced in an earlier run of the system, and some were not. */
function fillJournal(path: string): WrittenJournal {
  const [pages, relied] = [new Map<string, Set<string>>(), new Map<string, Set<string>>()];
  const random = new Random(3);
  using journal = Journal.open(path, { bootId: "first" });
  for (let n = 1; n <= 3; n++) {
    const id = new Uint8Array(16).fill(n);
    journal.begin(transferOf(id));
    const [ofPages, ofRecords] = [new Set<string>(), new Set<string>()];
    for (let page = 0; page < 4; page++) {
      const body = Uint8Array.from({ length: 3000 }, () => random.below(256));
      journal.addPage(id, page, body);
      ofPages.add(body.toHex());
    }
    for (let i = 0; i < 10; i++) {
      const records = Uint8Array.from({ length: 48 * 20 }, () => random.below(256));
      journal.addVerified(id, records, i);
      if (i < 5) ofRecords.add(records.toHex());
      if (i === 4) journal.settle(id, journal.mark(id));
    }
    pages.set(id.toHex(), ofPages);
    relied.set(id.toHex(), ofRecords);
  }
  return { pages, relied };
}

/** Opens a damaged journal in another run of the system, reads it, writes to it; gives the good blobs. */
function useJournal(path: string, { pages, relied }: WrittenJournal): number {
  let good = 0;
  try {
    using journal = Journal.open(path, { bootId: "second" });
    for (const { id } of journal.list()) {
      for (const records of journal.verified(id)) {
        assertTrue(relied.get(id.toHex())?.has(records.toHex()) === true, "records that were not relied on");
        good++;
      }
      try {
        for (const body of journal.pages(id)) {
          assertTrue(pages.get(id.toHex())?.has(body.toHex()) === true, "a page that was not written");
          good++;
        }
      } catch (error) {
        if (!isWormholeError(error, "CORRUPT")) throw error;
      }
    }
    const id = new Uint8Array(16).fill(9);
    journal.begin(transferOf(id));
    journal.addVerified(id, new Uint8Array(48), 1);
    assertTrue(journal.verified(id).length <= 1);
    journal.end(id);
  } catch (error) {
    if (!isWormholeError(error, "VERSION_UNSUPPORTED", "READ_ONLY", "CORRUPT")) throw error;
  }
  return good;
}

function transferOf(id: Uint8Array<ArrayBuffer>) {
  const bytes = new TextEncoder().encode("/x");
  return { id, peer: bytes, destination: bytes, staging: bytes, title: "a", bytesTotal: undefined };
}

async function damageFolder() {
  const dir = await Deno.makeTempDir();
  return {
    path: `${dir}/some.db`,
    /** Removes all that is there. */
    async clear() {
      for await (const { name } of Deno.readDir(dir)) await Deno.remove(`${dir}/${name}`);
    },
    [Symbol.asyncDispose]: () => Deno.remove(dir, { recursive: true }),
  };
}

function flipped(bytes: Uint8Array<ArrayBuffer>, random: Random, count: number): Uint8Array<ArrayBuffer> {
  for (let i = 0; i < count; i++) bytes[random.below(bytes.length)]! ^= 1 << random.below(8);
  return bytes;
}

function pageOf(bytes: Uint8Array, random: Random): [number, number] {
  const page = random.below(bytes.length / 4096);
  return [page * 4096, (page + 1) * 4096];
}

/** Numbers that are the same for the same seed (mulberry32). */
class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed * 0x9e3779b9;
  }

  /** A whole number from 0 below `limit`. */
  below(limit: number): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return Math.floor(((t ^ (t >>> 14)) >>> 0) / 4294967296 * limit);
  }
}

function text(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}
