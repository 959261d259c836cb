/** What both drivers must do with the real engine, over memory: a transport adds nothing to these. */
import { SimulatedClock } from "../../src/base/clock.ts";
import { encodeName } from "../../src/base/names.ts";
import { assertEquals, assertRejects, assertTrue } from "../../src/base/testing.ts";
import { hashBuffer } from "../../src/native/hash.ts";
import { type ExistingPolicy, runGetter, runProvider, SendSource } from "../../src/transfer/mod.ts";
import { makeHello } from "../../src/transfer/handshake.ts";
import type { Link } from "../../src/transport/connection.ts";
import {
  CHUNK_BYTES,
  type Columns,
  decodeMessage,
  encodeMessage,
  type Message,
  type MessageOf,
  writeColumns,
  writeRequest,
} from "../../src/wire/mod.ts";
import { Sandbox } from "../e2e/sandbox.ts";
import { assertSameTree, listTree, noise } from "../e2e/trees.ts";
import { memoryLinks } from "./pairs.ts";
import { getterOptions, providerOptions } from "./transfer.ts";
import type { LinkedPair } from "./transport.ts";

const MIB = 1024 * 1024;

interface Run {
  readonly pair: LinkedPair;
  readonly sandbox: Sandbox;
  readonly into: string;
}

function test(what: string, run: (run: Run) => Promise<void>): void {
  Deno.test(`the engine ${what}`, async () => {
    await using sandbox = await Sandbox.create();
    await using pair = await memoryLinks();
    await run({ pair, sandbox, into: await sandbox.folder("into") });
    const left = (await listTree(sandbox.path("into"))).filter(({ path }) => path.includes(".wormhole"));
    assertEquals(left, []);
  });
}

type Options = Partial<Parameters<typeof runGetter>[0]>;

async function move(
  { pair, into }: Run,
  paths: readonly string[],
  getter: Options = {},
  provider: Partial<Parameters<typeof runProvider>[0]> = {},
) {
  await using source = await SendSource.open(pair.queue, { paths, chunkBytes: CHUNK_BYTES });
  return await Promise.all([
    runProvider({ ...providerOptions(pair, source), ...provider }),
    runGetter({ ...getterOptions(pair, into), ...getter }),
  ]);
}

test("carries a single empty file", async (run) => {
  const path = await run.sandbox.file("from/nothing", "");
  const [sent, received] = await move(run, [path]);
  assertEquals([sent.files, received.files, received.bytes], [1, 1, 0]);
  await assertSameTree(`${run.into}/nothing`, path);
});

test("carries many empty files and nothing else", async (run) => {
  for (let i = 0; i < 300; i++) await run.sandbox.file(`from/${i}`, "");
  const [, received] = await move(run, [run.sandbox.path("from")]);
  assertEquals(received.files, 300);
  await assertSameTree(`${run.into}/from`, run.sandbox.path("from"));
});

const POLICIES: [policy: ExistingPolicy, names: string[], content: string][] = [
  ["overwrite", ["x.txt"], "new"],
  ["skip", ["x.txt"], "old"],
  ["rename", ["x (2).txt", "x.txt"], "old"],
];
for (const [existing, names, content] of POLICIES) {
  test(`does ${existing} with a file that exists`, async (run) => {
    const path = await run.sandbox.file("from/x.txt", "new");
    await run.sandbox.file("into/x.txt", "old");
    await move(run, [path], { accept: () => ({ accept: true, existing }) });
    const found = (await listTree(run.into)).slice(1).map(({ path }) => path);
    assertEquals(found, names);
    assertEquals(await Deno.readTextFile(`${run.into}/x.txt`), content);
  });
}

test("refuses what exists when nobody says what to do", async (run) => {
  const path = await run.sandbox.file("from/x.txt", "new");
  await run.sandbox.file("into/x.txt", "old");
  await using source = await SendSource.open(run.pair.queue, { paths: [path], chunkBytes: CHUNK_BYTES });
  const sending = assertRejects(() => runProvider(providerOptions(run.pair, source)), "REFUSED");
  await assertRejects(() => runGetter(getterOptions(run.pair, run.into)), "DESTINATION_EXISTS");
  await sending;
  assertEquals(await Deno.readTextFile(`${run.into}/x.txt`), "old");
});

test("takes only what a glob names, with the folders above it", async (run) => {
  for (const name of ["a.txt", "b.jpg", "sub/c.txt", "sub/d.jpg", "other/e.jpg"]) {
    await run.sandbox.file(`from/${name}`, name);
  }
  const [, received] = await move(run, [run.sandbox.path("from")], { only: ["*.txt"] });
  assertEquals([received.files, received.skipped, received.failedCount], [2, 3, 0]);
  const found = (await listTree(run.into)).slice(1).map(({ path }) => path);
  assertEquals(found, ["from", "from/a.txt", "from/sub", "from/sub/c.txt"]);
});

test("sends the rest of a tree that has a socket in it", async (run) => {
  await run.sandbox.file("from/a", "a");
  using _ = Deno.listen({ transport: "unix", path: run.sandbox.path("from/socket") });
  const [sent, received] = await move(run, [run.sandbox.path("from")]);
  assertEquals([sent.failedCount, received.failedCount], [1, 1]);
  assertTrue(sent.failed[0]!.path.endsWith("from/socket"), sent.failed[0]!.path);
  assertEquals((await listTree(run.into)).slice(1).map(({ path }) => path), ["from", "from/a"]);
});

test("reports a file that is gone or changed since it was listed", async (run) => {
  for (const name of ["gone", "grown", "kept"]) await run.sandbox.file(`from/${name}`, name);
  const answers = withholdRequests(run.pair.b);
  await using source = await SendSource.open(run.pair.queue, {
    paths: [run.sandbox.path("from")],
    chunkBytes: CHUNK_BYTES,
  });
  const moving = Promise.all([
    runProvider(providerOptions(run.pair, source)),
    runGetter({ ...getterOptions({ ...run.pair, b: answers.link }, run.into) }),
  ]);
  await answers.asked;
  await Deno.remove(run.sandbox.path("from/gone"));
  await Deno.writeTextFile(run.sandbox.path("from/grown"), "grown longer");
  answers.release();
  const [sent, received] = await moving;
  const failed = received.failed.map(({ path, code }) => [path, code]);
  assertEquals(failed.sort(), [["from/gone", "NOT_FOUND"], ["from/grown", "SOURCE_CHANGED"]]);
  assertEquals([sent.failedCount, sent.files, received.files], [2, 1, 1]);
  assertEquals((await listTree(run.into)).slice(1).map(({ path }) => path), ["from", "from/kept"]);
});

/** A link whose requests wait until they are let go. */
function withholdRequests(link: Link): { link: Link; asked: Promise<void>; release(): void } {
  const asked = Promise.withResolvers<void>();
  const gate = Promise.withResolvers<void>();
  const send = async (frame: Uint8Array) => {
    if (decodeMessage(frame).type === "request_chunks") {
      asked.resolve();
      await gate.promise;
    }
    await link.send(frame);
  };
  const slow = new Proxy(link, {
    get: (target, key) => {
      if (key === "send") return send;
      const value = Reflect.get(target, key, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
  return { link: slow, asked: asked.promise, release: () => gate.resolve() };
}

/** The other end of a link, by hand. */
class ByHand {
  constructor(readonly link: Link) {}

  async say(...messages: Message[]): Promise<void> {
    for (const message of messages) await this.link.send(encodeMessage(message));
  }

  /** Gives the next message of this type, passing others over. */
  async hear<T extends Message["type"]>(type: T): Promise<MessageOf<T>> {
    for (;;) {
      const frame = await this.link.recv();
      if (frame === undefined) throw new Error(`the link ended before "${type}"`);
      const message = decodeMessage(frame);
      if (message.type === type) return message as MessageOf<T>;
    }
  }
}

const HELLO = makeHello({ agent: "by hand", nonce: new Uint8Array(16).fill(9), streams: 4 });
const ANSWER: Message = { type: "answer", accept: true, abilities: {}, streams: 1 };

function offer(bytes: number, changes: Partial<MessageOf<"offer">> = {}): Message {
  return {
    type: "offer",
    kind: "files",
    transfer: new Uint8Array(16),
    roots: [{ name: encodeName("x"), kind: "file", size: bytes, files: 1 }],
    totals: { files: 1, directories: 0, symlinks: 0, bytes },
    counting: false,
    ...changes,
  };
}

function oneFile(size: number): Columns {
  const entry = {
    kind: "file",
    parent: undefined,
    mode: 0o644,
    mtime: 0n,
    target: new Uint8Array(),
  } as const;
  return writeColumns([{ ...entry, name: encodeName("x"), size }], { first: 0, last: true });
}

test("gives up a sender that freezes in the middle, and what it had staged", async ({ pair, into }) => {
  const clock = new SimulatedClock();
  const sender = new ByHand(pair.a);
  const getting = assertRejects(() => runGetter({ ...getterOptions(pair, into), clock }), "PEER_FROZEN");
  await sender.say(HELLO, offer(5));
  await sender.hear("answer");
  await sender.say({ type: "bulk_streams", count: 1 }, { type: "manifest_page", page: 0, ...oneFile(5) });
  await sender.hear("request_chunks");
  await clock.advance(15_000);
  // Its parting words may leave within a second.
  await clock.advance(1000);
  await getting;
  assertEquals((await listTree(into)).length, 1);
});

test("gives up a receiver that freezes in the middle", async ({ pair, sandbox }) => {
  const path = await sandbox.file("from/x", "12345");
  const clock = new SimulatedClock();
  const receiver = new ByHand(pair.b);
  await using source = await SendSource.open(pair.queue, { paths: [path], chunkBytes: CHUNK_BYTES });
  await source.counted;
  const sending = assertRejects(
    () => runProvider({ ...providerOptions(pair, source), clock }),
    "PEER_FROZEN",
  );
  await receiver.say(HELLO, ANSWER, { type: "page_credit", through: 7 });
  await receiver.hear("manifest_page");
  await clock.advance(15_000);
  await clock.advance(1000);
  await sending;
});

test("looks at the space when the sender has counted late", async ({ pair, into }) => {
  const sender = new ByHand(pair.a);
  const getting = assertRejects(() => runGetter(getterOptions(pair, into)), "NO_SPACE");
  await sender.say(HELLO, offer(0, { counting: true }));
  await sender.hear("answer");
  await sender.say({ type: "bulk_streams", count: 1 });
  const totals = { files: 2, directories: 0, symlinks: 0, bytes: 2 ** 52 };
  await sender.say({ type: "totals", totals });
  await sender.hear("error");
  await getting;
  assertEquals((await listTree(into)).length, 1);
});

test("gives chunk lists, and takes note of what the receiver has", async ({ pair, sandbox }) => {
  const content = noise(2 * CHUNK_BYTES + 1000);
  const path = await sandbox.file("from/x", content);
  const receiver = new ByHand(pair.b);
  await using source = await SendSource.open(pair.queue, { paths: [path], chunkBytes: CHUNK_BYTES });
  await source.counted;
  const done: number[] = [];
  const stop = new AbortController();
  const had = Promise.withResolvers<void>();
  const sending = runProvider({
    ...providerOptions(pair, source),
    signal: stop.signal,
    onProgress: ({ bytesDone }) => {
      done.push(bytesDone);
      if (bytesDone > 0) had.resolve();
    },
  });
  const ended = assertRejects(() => sending);
  await receiver.say(HELLO, ANSWER, { type: "page_credit", through: 7 });
  await receiver.hear("manifest_page");
  await receiver.say({ type: "request_manifest", entry: 0 });
  const list = await receiver.hear("manifest_response");
  assertEquals([list.entry, list.size, list.last], [0, content.length, true]);
  for (let i = 0; i < 3; i++) {
    const chunk = content.subarray(i * CHUNK_BYTES, (i + 1) * CHUNK_BYTES);
    assertEquals(list.hashes.subarray(i * 32, i * 32 + 32), hashBuffer(chunk));
  }
  await receiver.say({ type: "have", entry: 0, chunks: new Uint8Array([0b101]) });
  await had.promise;
  assertEquals(done.at(-1), CHUNK_BYTES + 1000);
  const ranges = [{ entry: 0, offset: CHUNK_BYTES, length: CHUNK_BYTES }];
  await receiver.say({ type: "request_chunks", ...writeRequest({ runs: [], ranges }), released: 0 });
  // A list of what was asked for cannot be had any more; the transfer goes on.
  await receiver.say({ type: "request_manifest", entry: 0 });
  assertEquals((await receiver.hear("error")).code, "UNSUPPORTED");
  stop.abort(new Error("enough"));
  await ended;
});

test("shrinks text when it shall, and leaves noise alone", async (run) => {
  const text = new TextEncoder().encode("the same words again and again, ".repeat(100_000));
  const path = await run.sandbox.file("from/text", text);
  const [sent] = await move(run, [path], {}, { compression: "always" });
  assertTrue(sent.bytesWire < text.length / 20, `${sent.bytesWire}`);
  await assertSameTree(`${run.into}/text`, path);
});

test("sends noise as it is when told to compress", async (run) => {
  const path = await run.sandbox.file("from/noise", noise(9 * MIB));
  const [sent] = await move(run, [path], {}, { compression: "always" });
  assertTrue(sent.bytesWire >= 9 * MIB && sent.bytesWire < 9 * MIB + 1000, `${sent.bytesWire}`);
});

test("sends raw where the link is not what holds it up", async (run) => {
  const text = new TextEncoder().encode("the same words again and again, ".repeat(100_000));
  const path = await run.sandbox.file("from/text", text);
  const [sent] = await move(run, [path]);
  assertTrue(sent.bytesWire >= text.length, `${sent.bytesWire}`);
});
