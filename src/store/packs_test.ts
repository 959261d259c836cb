import { assertEquals, assertTrue } from "../base/testing.ts";
import { encodeName } from "../base/names.ts";
import { hashChunks } from "../native/hash.ts";
import { NativeQueue } from "../native/queue.ts";
import { Store, type StoreFinding, type StorePlaces } from "./care.ts";
import type { KnownFile } from "./file_index.ts";

const MIB = 2 ** 20;

Deno.test("keep() puts chunks that no pack has into packs, where they are found when the files are gone", async () => {
  await using test = await TestStore.create();
  const files = [await test.file("a", [1, 2, 3]), await test.file("b", [3, 4])];
  await using store = await test.open();
  store.index.remember(files);
  assertEquals(await store.packs.keep(files), { chunks: 4, bytes: 4 * MIB + 4 * 36 + 48 });
  assertEquals(await store.packs.keep(files), { chunks: 0, bytes: 0 }, "all of it is kept");
  await Deno.remove(test.path("a"));
  await Deno.remove(test.path("b"));
  assertEquals((await store.clean()).files, 2);
  for (const [i, place] of store.index.lookup(files[0]!.chunks.ids).entries()) {
    assertTrue(place !== undefined && !place.settled, `chunk ${i}`);
    const pack = await Deno.readFile(new TextDecoder().decode(place.path));
    assertEquals(pack.slice(place.offset, place.offset + place.length), content([i + 1]));
  }
  const { packs, packBytes, quota } = await store.stats();
  assertEquals([packs, packBytes, quota], [1, 4 * MIB + 4 * 36 + 48, 100 * MIB]);
});

Deno.test("keep() passes over files that have changed, and makes no pack of nothing", async () => {
  await using test = await TestStore.create();
  const changed = await test.file("a", [1]);
  await Deno.writeFile(test.path("a"), content([2]));
  await using store = await test.open();
  assertEquals(await store.packs.keep([changed]), { chunks: 0, bytes: 0 });
  assertEquals(await test.packNames(), []);
});

Deno.test("packs make a lost index anew", async () => {
  await using test = await TestStore.create();
  const file = await test.file("a", [1, 2]);
  {
    await using store = await test.open();
    await store.packs.keep([file]);
  }
  await Deno.remove(test.path("cache"), { recursive: true });
  await using store = await test.open();
  assertEquals(store.index.lookup(file.chunks.ids), [undefined, undefined]);
  assertEquals(await store.packs.adopt(), []);
  assertEquals(store.index.lookup(file.chunks.ids).map((place) => place?.offset), [0, MIB]);
});

Deno.test("the quota drops the packs longest out of use, and what comes in at once does not push itself out", async () => {
  await using test = await TestStore.create({ quota: 5 * MIB });
  await using store = await test.open();
  const files = [];
  for (let i = 0; i < 4; i++) {
    test.now += 1000;
    files.push(await test.file(`${i}`, [10 * i, 10 * i + 1]));
    assertEquals((await store.packs.keep([files[i]!])).chunks, 2);
    test.now += 1000;
    store.index.lookup(files[0]!.chunks.ids);
  }
  const has = files.map(({ chunks }) => store.index.lookup(chunks.ids)[0] !== undefined);
  assertEquals(has, [true, false, false, true], "the one that is used and the newest");
  assertEquals((await test.packNames()).length, 2);
  const large = await test.file("large", [50, 51, 52, 53, 54, 55]);
  assertEquals((await store.packs.keep([large])).stopped, "quota");
  assertEquals((await test.packNames()).length, 2, "nothing was dropped for what does not fit");
  await using smaller = await test.open({ quota: 3 * MIB });
  const { packs, packBytes } = await smaller.clean();
  assertEquals([packs, packBytes > 2 * MIB], [1, true]);
});

Deno.test("verify() finds what is damaged, sets it aside, and clean() drops that", async () => {
  await using test = await TestStore.create();
  const files = [await test.file("a", [1, 2]), await test.file("b", [3]), await test.file("c", [4])];
  await using store = await test.open();
  store.index.remember(files);
  for (const file of files) await store.packs.keep([file]);
  assertEquals((await found(store)).map(({ kind }) => kind), ["pack", "pack", "pack"]);
  const [bit, cut] = await test.packNames();
  await test.change(bit!, (bytes) => {
    bytes[MIB >> 1]! ^= 1;
    return bytes;
  });
  await test.change(cut!, (bytes) => bytes.slice(0, -1));
  const findings = await found(store);
  assertEquals(findings.map((finding) => "code" in finding && finding.code).sort(), [
    "CORRUPT",
    "CORRUPT",
    false,
  ]);
  assertEquals((await test.packNames()).filter((name) => name.endsWith(".damaged")).length, 2);
  const places = files.flatMap(({ chunks }) => store.index.lookup(chunks.ids));
  assertTrue(places.every((place) => place !== undefined), "the files themselves are still known");
  assertEquals((await store.clean()).leftovers, 2);
  assertEquals((await test.packNames()).length, 1);
});

Deno.test("verify() with files finds one whose content is not what the index says, and forgets it", async () => {
  await using test = await TestStore.create();
  const good = await test.file("good", [1, 2]);
  const wrong = await test.file("wrong", [3]);
  const changed = await test.file("changed", [5]);
  const ids = (await test.file("other", [4])).chunks.ids;
  await using store = await test.open();
  store.index.remember([good, { ...wrong, chunks: { ...wrong.chunks, ids } }, changed]);
  await Deno.writeFile(test.path("changed"), content([6]));
  const findings = await found(store, { files: true });
  assertEquals(findings.map((finding) => [finding.path, "code" in finding]), [
    [test.path("good"), false],
    [test.path("wrong"), true],
  ]);
  assertEquals(store.index.lookup(ids), [undefined]);
});

Deno.test("clear() drops everything", async () => {
  await using test = await TestStore.create();
  const file = await test.file("a", [1]);
  await using store = await test.open();
  store.index.remember([file]);
  await store.packs.keep([file]);
  const { files, packs } = await store.clear();
  assertEquals([files, packs], [2, 1]);
  assertEquals(store.index.lookup(file.chunks.ids), [undefined]);
  assertEquals(await test.packNames(), []);
});

Deno.test("two processes that fill, clean and read one store harm nothing", async () => {
  await using test = await TestStore.create({ quota: 12 * MIB });
  const program = (seed: number) => `
    import { hammer } from ${JSON.stringify(new URL("./hammer_testing.ts", import.meta.url).href)};
    await hammer(${JSON.stringify(test.dir)}, ${seed});
  `;
  const ends = await Promise.all([1, 2].map((seed) =>
    new Deno.Command(Deno.execPath(), {
      args: ["eval", "--no-lock", program(seed)],
      stdout: "null",
      stderr: "piped",
    }).output()
  ));
  for (const { code, stderr } of ends) assertEquals(code, 0, new TextDecoder().decode(stderr));
  await using store = await test.open({ quota: 12 * MIB });
  assertEquals((await found(store)).filter((finding) => "code" in finding), []);
  assertEquals((await store.clean()).leftovers, 0);
  assertEquals(store.index.check(), []);
});

async function found(store: Store, options: { files?: boolean } = {}): Promise<StoreFinding[]> {
  return await Array.fromAsync(store.verify(options));
}

/** `chunks` of 1 MiB each, of which each number has its own. */
function content(chunks: readonly number[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(MIB * chunks.length);
  chunks.forEach((chunk, i) => bytes.fill(chunk + 1, MIB * i, MIB * (i + 1)));
  return bytes;
}

class TestStore implements AsyncDisposable {
  readonly dir: string;
  readonly #queue = NativeQueue.open();
  readonly #quota: number;
  now = 1_700_000_000_000;

  private constructor(dir: string, quota: number) {
    this.dir = dir;
    this.#quota = quota;
  }

  static async create({ quota = 100 * MIB }: { quota?: number } = {}): Promise<TestStore> {
    return new TestStore(await Deno.makeTempDir(), quota);
  }

  path(name: string): string {
    return `${this.dir}/${name}`;
  }

  /** Makes a file and gives what would be remembered of it. */
  async file(name: string, chunks: readonly number[]): Promise<KnownFile> {
    const path = this.path(name);
    await Deno.writeFile(path, content(chunks));
    const { hashes, size, stamp } = await hashChunks(this.#queue, path, { chunkBytes: MIB });
    return { path: encodeName(path), stamp, settled: true, chunks: { chunking: MIB, size, ids: hashes } };
  }

  open({ quota = this.#quota }: Partial<StorePlaces> = {}): Promise<Store> {
    return Store.open({
      cacheDir: this.path("cache"),
      dataDir: this.path("data"),
      maxChunks: 10_000,
      quota,
      now: () => this.now,
    });
  }

  async packNames(): Promise<string[]> {
    try {
      return (await Array.fromAsync(Deno.readDir(this.path("data/store/packs")))).map(({ name }) => name)
        .sort();
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return [];
      throw error;
    }
  }

  async change(
    pack: string,
    change: (bytes: Uint8Array<ArrayBuffer>) => Uint8Array<ArrayBuffer>,
  ): Promise<void> {
    const path = this.path(`data/store/packs/${pack}`);
    const bytes = change(await Deno.readFile(path));
    await Deno.chmod(path, 0o600);
    await Deno.writeFile(path, bytes);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#queue.close();
    await Deno.remove(this.dir, { recursive: true });
  }
}
