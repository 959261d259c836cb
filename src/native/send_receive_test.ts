import { COMPRESSION_RULES } from "../content/mod.ts";
import { assertEquals, assertRejects } from "../base/testing.ts";
import { closeConnection, type ConnectionHandle, memoryPair } from "./net.ts";
import { NativeQueue } from "./queue.ts";
import { NativeReceive, type ReceiveReport } from "./receive.ts";
import { NativeSend } from "./send.ts";

const CHUNK_BYTES = 64 * 1024;
const bytes = (text: string) => new TextEncoder().encode(text);

/** Both engines with one file of `size` bytes offered and asked for, and nothing between them yet. */
async function engines(
  size: number,
  run: (
    both: { queue: NativeQueue; send: NativeSend; receive: NativeReceive; into: string },
  ) => Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await using queue = NativeQueue.open();
    const into = `${folder}/into`;
    await Deno.mkdir(into);
    const content = new Uint8Array(size).map((_, at) => at ^ at >> 8);
    await Deno.writeFile(`${folder}/file`, content);
    const roots = [{ path: bytes(`${folder}/file`), name: bytes("file") }];
    await using send = await NativeSend.open(queue, { roots, chunk_bytes: CHUNK_BYTES });
    await using receive = await NativeReceive.open(queue, { destination: bytes(into), pool_bytes: 1 << 20 });
    const { columns } = await send.page(10);
    const { requested } = await receive.expect({
      columns,
      wanted: new Uint8Array([255]),
      roots: [{ entry: 0, final_name: bytes("file"), policy: "fresh" }],
    });
    const setup = {
      pool_bytes: 1 << 20,
      chunk_bytes: CHUNK_BYTES,
      codec: 0,
      level: 0,
      rules: COMPRESSION_RULES,
    };
    await send.start(setup);
    await send.push({ runs: requested, ranges: new Uint8Array() });
    await run({ queue, send, receive, into });
    assertEquals(await Deno.readFile(`${into}/file`), content);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Passes on what the receiver says until everything has arrived. */
async function finish(send: NativeSend, receive: NativeReceive): Promise<ReceiveReport> {
  for (;;) {
    const report = await receive.wait();
    for (const [stream, frames, state] of report.streams) {
      if (state === "lost") await send.lost({ stream, frames });
      else await send.acknowledge([[stream, frames]]);
    }
    if (report.outstanding === 0) return report;
  }
}

async function link(queue: NativeQueue, receive: NativeReceive): Promise<ConnectionHandle> {
  const { a, b } = await memoryPair(queue);
  await receive.start({ connection: b, streams: 8 });
  return a;
}

Deno.test("NativeSend goes on over another connection when one dies", async () => {
  await engines(200 * CHUNK_BYTES, async ({ queue, send, receive }) => {
    const [first, second] = [await link(queue, receive), await link(queue, receive)];
    await send.streams({ connection: first, streams: 2 });
    await closeConnection(queue, { connection: first });
    await send.streams({ connection: second, streams: 1 });
    // What nobody has heard of at the receiver is settled as well.
    for (const stream of [0, 1]) await receive.giveUp(stream);
    const { links } = await finish(send, receive);
    assertEquals(links.map(({ ended }) => ended), [true, false]);
    assertEquals((await receive.commit()).files, 1);
    await send.end();
  });
});

Deno.test("NativeSend opens and retires streams while it sends", async () => {
  await engines(200 * CHUNK_BYTES, async ({ queue, send, receive }) => {
    const connection = await link(queue, receive);
    for (const streams of [3, 1, 4]) await send.streams({ connection, streams });
    await finish(send, receive);
    const { links } = await send.wait();
    assertEquals(links.map(({ streams }) => streams), [4]);
    assertEquals((await receive.commit()).files, 1);
  });
});

Deno.test("NativeSend refuses words that cannot be true", async () => {
  await engines(3 * CHUNK_BYTES, async ({ queue, send, receive }) => {
    const connection = await link(queue, receive);
    await send.streams({ connection, streams: 1 });
    await assertRejects(() => send.acknowledge([[0, 1000]]), "PROTOCOL");
    await assertRejects(() => send.acknowledge([[7, 0]]), "PROTOCOL");
    await assertRejects(() => send.lost({ stream: 0, frames: 1000 }), "PROTOCOL");
    await assertRejects(() => receive.giveUp(65_536), "PROTOCOL");
    await finish(send, receive);
    assertEquals((await receive.commit()).files, 1);
  });
});
