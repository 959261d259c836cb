import { assertEquals, assertTrue } from "../../base/testing.ts";
import { CHUNK_BYTES } from "../../wire/mod.ts";
import { KnownContent } from "./known_content.ts";
import { largeFiles, Learned } from "./learned.ts";
import { columnsOf } from "../testing.ts";

const SIZE = 2 * CHUNK_BYTES + 100;
const PEER = new Uint8Array(32).fill(5);

async function folder(): Promise<{ path: string } & AsyncDisposable> {
  const path = await Deno.makeTempDir();
  return { path, [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }) };
}

function record(entry: number, { offset, length, fill }: { offset: number; length: number; fill: number }) {
  const bytes = new Uint8Array(48).fill(fill, 16);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, entry, true);
  view.setUint32(4, length, true);
  view.setBigUint64(8, BigInt(offset), true);
  return bytes;
}

/** Every entry lies at `/<entry>`, but for those in `missing`. */
function stamps(missing: number[] = []) {
  return (entries: Uint8Array) => {
    const numbers = [...new Uint32Array(entries.slice().buffer)];
    const all = new Uint8Array(40 * numbers.length);
    numbers.forEach((entry, i) => {
      new DataView(all.buffer).setBigUint64(40 * i + 8, BigInt(entry + 1), true);
      new DataView(all.buffer).setBigUint64(40 * i + 16, BigInt(SIZE), true);
    });
    const paths = numbers.map((entry) =>
      new TextEncoder().encode(missing.includes(entry) ? "" : `/${entry}`)
    );
    return Promise.resolve({ stamps: all, paths });
  };
}

Deno.test("Learned remembers whole chunks of files that are in place, and their versions", async () => {
  await using dir = await folder();
  using known = new KnownContent({ cacheDir: `${dir.path}/cache`, maxChunks: 1000 });
  const learned = new Learned();
  const versions = new Uint8Array(new BigUint64Array([0n, 7n, 8n, 9n]).buffer);
  const files = [4, 5, 6, 7].map((entry) => ({ entry, size: SIZE }));
  learned.page(files, { first: 4, versions, peer: PEER });
  learned.records(record(4, { offset: CHUNK_BYTES, length: CHUNK_BYTES, fill: 1 }));
  learned.records(record(4, { offset: 2 * CHUNK_BYTES, length: 100, fill: 2 }));
  // Not a chunk of the grid, one that is cut, one beyond the file, one of nobody.
  learned.records(record(4, { offset: 5, length: CHUNK_BYTES, fill: 3 }));
  learned.records(record(4, { offset: 0, length: 5, fill: 3 }));
  learned.records(record(4, { offset: 3 * CHUNK_BYTES, length: CHUNK_BYTES, fill: 3 }));
  learned.records(record(9, { offset: 0, length: CHUNK_BYTES, fill: 3 }));
  assertEquals(await known.ask(() => true), undefined, "nothing was remembered so far");
  await learned.remember(known, { stamps: stamps([6]), isSettled: () => true, savedBytes: 10 });
  const all = await known.ask((index) => [...index.all()].map(({ path }) => new TextDecoder().decode(path)));
  assertEquals(all, ["/4", "/5", "/7"], "6 was not placed");
  const place = (fill: number) =>
    known.ask((index) => index.lookup(new Uint8Array(32).fill(fill))[0]?.offset);
  assertEquals([await place(1), await place(2), await place(3)], [CHUNK_BYTES, 2 * CHUNK_BYTES, undefined]);
  const version = (bytes: number) => ({ peer: PEER, version: new Uint8Array([bytes, 0, 0, 0, 0, 0, 0, 0]) });
  assertTrue(await known.ask((index) => index.ofVersion(version(7), SIZE)) !== undefined);
  assertEquals(await known.ask((index) => index.totals().savedBytes), 10);
});

Deno.test("KnownContent tells once that it cannot be used, and is no reason to fail", async () => {
  await using dir = await folder();
  // A file is no folder.
  await Deno.writeTextFile(`${dir.path}/cache`, "");
  const said: string[] = [];
  const onWarning = (sentence: string) => void said.push(sentence);
  using known = new KnownContent({ cacheDir: `${dir.path}/cache`, maxChunks: 1000, onWarning });
  assertEquals(await known.ask(() => true), undefined);
  await known.tell(() => {});
  await known.tell(() => {});
  assertEquals(await known.ask(() => true), undefined);
  assertEquals(said.length, 1, `${said}`);
});

Deno.test("largeFiles() gives the files that are worth remembering", () => {
  const columns = columnsOf([
    { kind: "directory" },
    { parent: 0, size: 128 * 1024 },
    { parent: 0, size: 128 * 1024 - 1 },
    { parent: 0, size: SIZE },
  ], { first: 0 });
  assertEquals(largeFiles(columns), [{ entry: 1, size: 128 * 1024 }, { entry: 3, size: SIZE }]);
});
