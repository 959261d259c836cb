import { assertEquals, assertRejects, assertTrue } from "../base/testing.ts";
import { COMPRESSION_RULES } from "../content/mod.ts";
import { hashBuffer } from "./hash.ts";
import { memoryPair } from "./net.ts";
import { NativeQueue } from "./queue.ts";
import { type ExpectResult, NativeReceive, type RootPlan } from "./receive.ts";
import { fileStamps, packPieces, type Piece } from "./reuse.ts";
import { NativeSend } from "./send.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const NONE = new Uint8Array();
const SIZE = 300_000;
const CONTENT = new Uint8Array(SIZE).map((_, at) => at ^ at >> 8);

interface Bench {
  readonly queue: NativeQueue;
  readonly send: NativeSend;
  readonly receive: NativeReceive;
  readonly folder: string;
  /** Takes the one page, which has the one file. */
  expect(page?: Partial<Parameters<NativeReceive["expect"]>[0]>): Promise<ExpectResult>;
}

/** A file "file" that is offered to a session which receives into the folder "into". */
async function bench(policy: RootPlan["policy"], run: (bench: Bench) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await using queue = NativeQueue.open();
    await Deno.mkdir(`${folder}/into`);
    await Deno.writeFile(`${folder}/file`, CONTENT);
    const roots = [{ path: bytes(`${folder}/file`), name: bytes("file") }];
    await using send = await NativeSend.open(queue, { roots, chunk_bytes: 4 << 20, remember_bytes: 1000 });
    await using receive = await NativeReceive.open(queue, {
      destination: bytes(`${folder}/into`),
      pool_bytes: 1 << 20,
      remember_bytes: 1000,
    });
    const { columns } = await send.page(10);
    const plans = [{ entry: 0, final_name: bytes("file"), policy }];
    const expect: Bench["expect"] = (page) =>
      receive.expect({ columns, wanted: new Uint8Array([1]), roots: plans, ...page });
    await run({ queue, send, receive, folder, expect });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

function piece(start: number, end: number, settled: boolean): Piece {
  const id = hashBuffer(CONTENT.subarray(start, end));
  return { offset: start, length: end - start, source: 0, sourceOffset: start, settled, id };
}

Deno.test("NativeReceive.place() makes a file of local bytes and says what is missing", async () => {
  await bench("fresh", async ({ queue, receive, folder, expect }) => {
    assertEquals(await expect({ held: new Uint8Array([1]) }), {
      requested: NONE,
      ranges: NONE,
      held: new Uint8Array(4),
      kept: NONE,
      resumed: 0,
      skipped: 0,
      complete: 0,
      failed: [],
    });
    const path = bytes(`${folder}/file`);
    const stamp = await fileStamps(queue, [path]);
    const sources = [{ path, stamp }, { path: bytes(`${folder}/no`), stamp }];
    const pieces = packPieces([piece(0, 1000, false), { ...piece(5000, 6000, true), source: 1 }]);
    const { ranges, ...rest } = await receive.place({ entry: 0, sources, pieces, hold: true });
    assertEquals(rest, { placed: 1000, complete: false, stale: [1], rejected: 0 });
    assertEquals(
      new BigUint64Array(ranges.slice().buffer),
      new BigUint64Array([0n, 1000n, BigInt(SIZE - 1000)]),
    );
    const wrong = packPieces([{ ...piece(1000, 2000, false), sourceOffset: 0 }, piece(2000, SIZE, true)]);
    assertEquals((await receive.place({ entry: 0, sources, pieces: wrong, hold: true })).rejected, 1);
    const all = packPieces([piece(0, SIZE, true)]);
    assertEquals(await receive.place({ entry: 0, sources, pieces: all }), {
      ranges: NONE,
      placed: 1000,
      complete: true,
      stale: [],
      rejected: 0,
    });
    const report = await receive.wait();
    assertEquals([report.bytes, report.files_done, report.outstanding], [SIZE, 1, 0]);
    assertEquals((await receive.commit()).files, 1);
    assertEquals(await Deno.readFile(`${folder}/into/file`), CONTENT);
    const placed = await receive.stamps(new Uint8Array([0, 0, 0, 0, 9, 0, 0, 0]));
    const final = bytes(`${await Deno.realPath(`${folder}/into`)}/file`);
    assertEquals(placed.paths, [final, NONE]);
    assertEquals(placed.stamps, new Uint8Array([...await fileStamps(queue, [final]), ...new Uint8Array(40)]));
  });
});

Deno.test("NativeReceive.place() refuses pieces that cannot be, and stops when it is cancelled", async () => {
  await bench("fresh", async ({ queue, receive, folder, expect }) => {
    await expect({ held: new Uint8Array([1]) });
    const path = bytes(`${folder}/file`);
    const sources = [{ path, stamp: await fileStamps(queue, [path]) }];
    const place = (pieces: Uint8Array, signal?: AbortSignal) =>
      receive.place({ entry: 0, sources, pieces }, { signal });
    await assertRejects(
      () => place(packPieces([piece(0, 10, true), piece(5, 15, true)])),
      "INVALID_ARGUMENT",
    );
    await assertRejects(() => place(new Uint8Array(63)), "INVALID_ARGUMENT");
    await assertRejects(
      () => receive.place({ entry: 0, sources: [{ path, stamp: NONE }], pieces: NONE }),
      "INVALID_ARGUMENT",
    );
    const aborter = new AbortController();
    const placing = place(packPieces([piece(0, 1000, true)]), aborter.signal);
    aborter.abort(new Error("enough"));
    let reason: unknown;
    await placing.catch((error) => reason = error);
    assertEquals((reason as Error).message, "enough");
    // Over before, during or after it was cancelled: what is missing is told either way.
    const { whole, ranges, complete } = await receive.release(0);
    assertTrue(!complete && whole === (ranges.length === 0));
    await assertRejects(() => place(NONE), "INVALID_ARGUMENT");
  });
});

Deno.test("NativeReceive.release() lets a held file be asked for", async () => {
  await bench("fresh", async ({ receive, expect }) => {
    await expect({ held: new Uint8Array([1]) });
    assertEquals(await receive.release(0), { whole: true, complete: false, ranges: NONE });
    assertEquals((await receive.release(7)).complete, true);
  });
});

Deno.test("NativeReceive.expect() keeps a file that has its stamp, until it has another", async () => {
  for (const touch of [false, true]) {
    await bench("overwrite", async ({ queue, receive, folder, expect }) => {
      const final = `${folder}/into/file`;
      await Deno.writeFile(final, CONTENT);
      const stamp = await fileStamps(queue, [bytes(final)]);
      const kept = { kept: new Uint8Array([1]), kept_stamps: stamp };
      const result = await expect(kept);
      assertEquals([result.kept.length, result.complete, result.resumed], [4, 1, SIZE]);
      assertEquals([result.requested, result.held], [NONE, NONE]);
      if (touch) await Deno.writeTextFile(final, "mine");
      const { files, failed } = await receive.commit();
      if (touch) {
        assertEquals([files, failed.map(({ entry, kind }) => [entry, kind])], [0, [[0, 30]]]);
        assertEquals(await Deno.readTextFile(final), "mine");
      } else {
        assertEquals([files, failed], [1, []]);
        assertEquals((await Deno.stat(final)).mtime, (await Deno.stat(`${folder}/file`)).mtime);
        const placed = await receive.stamps(new Uint8Array(4));
        assertEquals(placed.stamps, await fileStamps(queue, placed.paths));
        assertTrue(placed.stamps.some((byte) => byte !== 0));
      }
    });
  }
});

Deno.test("NativeReceive.expect() asks for a file that cannot be kept", async () => {
  await bench("overwrite", async ({ queue, folder, expect }) => {
    await Deno.writeFile(`${folder}/into/file`, CONTENT);
    const stamp = await fileStamps(queue, [bytes(`${folder}/into/file`)]);
    await Deno.writeFile(`${folder}/into/file`, CONTENT.subarray(1));
    const result = await expect({ kept: new Uint8Array([1]), kept_stamps: stamp });
    assertEquals([result.kept, result.requested], [NONE, new Uint8Array(8)]);
  });
  await bench("fresh", async ({ expect }) => {
    await assertRejects(() => expect({ kept: new Uint8Array([1]) }), "INVALID_ARGUMENT");
  });
});

Deno.test("NativeSend tells what it hashed and where that is, also after it was sent", async () => {
  await bench("fresh", async ({ queue, send, receive, folder, expect }) => {
    const path = bytes(`${await Deno.realPath(folder)}/file`);
    const stamp = await fileStamps(queue, [path]);
    assertEquals(await send.stamp(0), { path, stamp });
    await assertRejects(() => send.stamp(1), "UNSUPPORTED");
    const { requested } = await expect();
    const rules = COMPRESSION_RULES;
    await send.start({ pool_bytes: 64 << 20, chunk_bytes: 4 << 20, codec: 0, level: 0, rules });
    await send.push({ runs: requested, ranges: NONE });
    const { a, b } = await memoryPair(queue);
    await receive.start({ connection: b, streams: 1 });
    await send.streams({ connection: a, streams: 1 });
    const hashed: number[] = [];
    while ((await receive.wait()).outstanding > 0);
    while (hashed.length === 0) hashed.push(...(await send.wait()).hashed);
    const head = new Uint8Array(new Uint32Array([0, SIZE, 0, 0]).buffer);
    assertEquals(new Uint8Array(hashed), new Uint8Array([...head, ...hashBuffer(CONTENT)]));
    const { stamps, paths } = await send.stamps(new Uint8Array([0, 0, 0, 0, 1, 0, 0, 0]));
    assertEquals([stamps, paths], [new Uint8Array([...stamp, ...new Uint8Array(40)]), [path, NONE]]);
  });
});

Deno.test("fileStamps() knows regular files only", async () => {
  const folder = await Deno.makeTempDir();
  try {
    await using queue = NativeQueue.open();
    await Deno.writeTextFile(`${folder}/file`, "text");
    await Deno.symlink("file", `${folder}/link`);
    const names = ["file", "link", ".", "no"];
    const stamps = await fileStamps(queue, names.map((name) => bytes(`${folder}/${name}`)));
    const are = names.map((_, index) =>
      stamps.subarray(40 * index, 40 * (index + 1)).some((byte) => byte !== 0)
    );
    assertEquals([stamps.length, are], [160, [true, false, false, false]]);
    await assertRejects(() => fileStamps(queue, Array(4097).fill(NONE)), "INVALID_ARGUMENT");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
