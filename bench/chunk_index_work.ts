/**
 * One process of bench/chunk_index.ts: `fill` makes an index of so many files, `ask` opens it and asks. Prints numbers
 * as JSON; rates are chunks per s, times s, sizes bytes.
 */
import { FileIndex, type KnownFile } from "../src/store/file_index.ts";

const MIB = 2 ** 20;

/** Chunks that one call remembers: what arrived of some 100 GiB. */
const BATCH_CHUNKS = 25_600;

/** Questions of each kind. */
const WHOLE_CHUNKS = 1_000_000, SINGLE = 20_000, MISSES = 500_000, MISSES_AT_ONCE = 1000;

const [mode, path, files, perFile] = Deno.args;
const shape = { path: path!, files: Number(files), perFile: Number(perFile) };
console.log(JSON.stringify(mode === "fill" ? fill(shape) : ask(shape)));

interface Shape {
  readonly path: string;
  readonly files: number;
  readonly perFile: number;
}

function fill({ path, files, perFile }: Shape): Record<string, number> {
  let [seconds, slowest] = [0, 0];
  {
    using index = FileIndex.open(path, { maxChunks: 2 * files * perFile });
    const atOnce = Math.max(1, Math.floor(BATCH_CHUNKS / perFile));
    for (let first = 0; first < files; first += atOnce) {
      const batch: KnownFile[] = [];
      for (let file = first; file < Math.min(files, first + atOnce); file++) {
        batch.push(fileOf(file, perFile));
      }
      const start = performance.now();
      index.remember(batch);
      const took = (performance.now() - start) / 1000;
      seconds += took;
      slowest = Math.max(slowest, took);
    }
  }
  const chunks = files * perFile;
  return {
    chunks,
    insert_rate: chunks / seconds,
    slowest,
    bytes_per_chunk: Deno.statSync(path).size / chunks,
    fill_peak: peak(),
  };
}

function ask({ path, files, perFile }: Shape): Record<string, number> {
  const before = peak();
  const opening = performance.now();
  using index = FileIndex.open(path, { maxChunks: 2 * files * perFile });
  index.lookup(idsOf(0, 1));
  const open = (performance.now() - opening) / 1000;
  const file = (i: number) => Math.floor((i * 0.618034) % 1 * files);
  const rate = (count: number, work: () => number) => {
    const start = performance.now();
    const found = work();
    return { rate: count / ((performance.now() - start) / 1000), found };
  };
  const lists = Array.from(
    { length: Math.min(20_000, Math.ceil(WHOLE_CHUNKS / perFile)) },
    (_, i) => idsOf(file(i), perFile),
  );
  const whole = rate(lists.length * perFile, () => sum(lists, (ids) => hits(index, ids)));
  const ones = Array.from({ length: SINGLE }, (_, i) => {
    const at = 32 * ((i * 7919) % perFile);
    return idsOf(file(i + 0.5), perFile).slice(at, at + 32);
  });
  const single = rate(SINGLE, () => sum(ones, (id) => hits(index, id)));
  const absent = Array.from({ length: MISSES / MISSES_AT_ONCE }, (_, i) => idsOf(files + i, MISSES_AT_ONCE));
  const misses = rate(MISSES, () => sum(absent, (ids) => hits(index, ids)));
  if (whole.found !== lists.length * perFile || single.found !== SINGLE || misses.found !== 0) {
    throw new Error(`wrong answers: ${whole.found}, ${single.found}, ${misses.found}`);
  }
  return {
    open,
    whole_rate: whole.rate,
    single_rate: single.rate,
    miss_rate: misses.rate,
    ask_peak: peak() - before,
  };
}

function hits(index: FileIndex, ids: Uint8Array): number {
  return index.lookup(ids).filter((place) => place !== undefined).length;
}

function sum<T>(items: readonly T[], of: (item: T) => number): number {
  return items.reduce((total, item) => total + of(item), 0);
}

function fileOf(file: number, chunks: number): KnownFile {
  const size = 4 * MIB * (chunks - 1) + 1 + file % (4 * MIB);
  const stamp = new DataView(new ArrayBuffer(40));
  stamp.setBigUint64(0, 66305n, true);
  stamp.setBigUint64(8, BigInt(1_000_000 + file), true);
  stamp.setBigUint64(16, BigInt(size), true);
  stamp.setBigInt64(24, 1_700_000_000_000_000_000n + BigInt(file), true);
  stamp.setBigInt64(32, 1_700_000_000_000_000_000n + BigInt(file), true);
  return {
    path: new TextEncoder().encode(`/home/somebody/Pictures/2026/11/holiday-${file}.mov`),
    stamp: new Uint8Array(stamp.buffer),
    settled: true,
    chunks: { chunking: 4 * MIB, size, ids: idsOf(file, chunks) },
  };
}

/** Ids that look like hashes, the same for the same file (xorshift32). */
function idsOf(file: number, chunks: number): Uint8Array<ArrayBuffer> {
  const words = new Uint32Array(8 * chunks);
  let state = (Math.imul(Math.floor(file) + 1, 0x9e3779b1) ^ 0x5bd1e995) >>> 0 || 1;
  for (let i = 0; i < words.length; i++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    words[i] = Math.imul(state, 0x85ebca6b) ^ i;
  }
  return new Uint8Array(words.buffer);
}

/** Peak of this process's memory. */
function peak(): number {
  return Number(/VmHWM:\s+(\d+)/.exec(Deno.readTextFileSync("/proc/self/status"))![1]) * 1024;
}
