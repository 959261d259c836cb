/** What a hostile peer may say and send, over a real mailbox server and real connections. */
import { crc32 } from "node:zlib";
import { assertEquals, assertRejects } from "../base/testing.ts";
import type { ErrorCode } from "../base/errors.ts";
import { isWormholeError } from "../base/errors.ts";
import { MemoryMailboxStore, serveMailbox } from "../mailbox/mod.ts";
import { openSource, pull, push, say, stage } from "../native/compat.ts";
import type { PipeHandle } from "../native/compat.ts";
import { NativeQueue } from "../native/queue.ts";
import { formatCode, nativeCrypto } from "../pairing/mod.ts";
import { type Conversation, converse } from "./conversation.ts";
import { Link } from "./link.ts";
import { meet } from "./meeting.ts";
import { encodeMessage, parseTransit } from "./messages.ts";
import { receiveCompat } from "./receive.ts";
import { sendCompat } from "./send.ts";

/** A folder and a mailbox server of one test. */
class Scene implements AsyncDisposable {
  readonly #service = serveMailbox({ hostname: "127.0.0.1", port: 0, store: new MemoryMailboxStore() });
  readonly dir = Deno.makeTempDirSync({ prefix: "wormhole-compat-" });
  readonly hub = this.#service.url;

  /** Writes a file beside the destination. */
  file(name: string, content: Uint8Array | string): string {
    const path = `${this.dir}/${name}`;
    Deno.writeFileSync(path, typeof content === "string" ? new TextEncoder().encode(content) : content);
    return path;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#service[Symbol.asyncDispose]();
    await Deno.remove(this.dir, { recursive: true });
  }
}

/** Runs a peer that talks as it likes; its own failure is what it is for. */
async function peer(
  { hub, code, role }: { hub: string; code?: string; role: "sender" | "receiver" },
  talk: (conversation: Conversation, queue: NativeQueue) => Promise<void>,
  onCode: (code: string) => void = () => {},
): Promise<void> {
  await using queue = NativeQueue.open({ threads: 2 });
  const signal = AbortSignal.timeout(60_000);
  const met = await meet({ hub, signal, ...code !== undefined && { code } });
  await using mailbox = met.mailbox;
  onCode(formatCode(met.code));
  await converse(
    { mailbox, code: met.code, crypto: nativeCrypto(), role, signal },
    (conversation) => talk(conversation, queue),
  ).catch(() => {});
}

/** Receives what `talk` sends; gives the code of the failure, and fails when anything stays. */
async function received(
  talk: (conversation: Conversation, queue: NativeQueue, scene: Scene) => Promise<void>,
): Promise<ErrorCode> {
  await using scene = new Scene();
  const destination = `${scene.dir}/into`;
  await Deno.mkdir(destination);
  const { promise: code, resolve } = Promise.withResolvers<string>();
  const sender = peer(
    { hub: scene.hub, role: "sender" },
    (conversation, queue) => talk(conversation, queue, scene),
    resolve,
  );
  const error = await assertRejects(async () =>
    await receiveCompat({
      code: await code,
      destination,
      hub: scene.hub,
      relays: [],
      accept: () => ({ accept: true }),
      signal: AbortSignal.timeout(60_000),
    })
  );
  await sender;
  assertEquals([...Deno.readDirSync(destination)].map(({ name }) => name), []);
  assertEquals([...Deno.readDirSync(scene.dir)].filter(({ name }) => name === "evil"), []);
  if (!isWormholeError(error)) throw error;
  return error.code;
}

/** Offers, and sends `content` for it whatever was offered; then hangs up. */
function sending(offer: object, content: Uint8Array) {
  return async (conversation: Conversation, queue: NativeQueue, scene: Scene) => {
    await using link = await Link.open(queue, []);
    await conversation.send(link.message);
    await conversation.send({ offer });
    const places = parseTransit(await conversation.next())!;
    await conversation.next();
    const signal = AbortSignal.timeout(60_000);
    const { pipe } = await link.connect({ conversation, sender: true, peer: places, signal });
    const { source } = await openSource(queue, scene.file("content", content));
    while ((await push(queue, { pipe, source })).sum === undefined);
  };
}

Deno.test("receiveCompat() refuses what is offered beyond its limits", async () => {
  const folder = { mode: "zipfile/deflated", dirname: "d", zipsize: 1, numbytes: 1, numfiles: 1 };
  const rows: [string, object, ErrorCode][] = [
    ["a name that leads out", { file: { filename: "../evil", filesize: 1 } }, "HOSTILE_NAME"],
    ["an absolute name", { file: { filename: "/tmp/evil", filesize: 1 } }, "HOSTILE_NAME"],
    ["a folder that leads out", { directory: { ...folder, dirname: ".." } }, "HOSTILE_NAME"],
    ["more than the disk has", { file: { filename: "x", filesize: 2 ** 52 } }, "NO_SPACE"],
    ["more than the disk has, unpacked", { directory: { ...folder, numbytes: 2 ** 52 } }, "NO_SPACE"],
    ["too many entries", { directory: { ...folder, numfiles: 1e9 } }, "LIMIT_EXCEEDED"],
    ["a negative size", { file: { filename: "x", filesize: -1 } }, "PROTOCOL"],
    ["half a byte", { file: { filename: "x", filesize: 0.5 } }, "PROTOCOL"],
    ["another way to pack", { directory: { ...folder, mode: "tar" } }, "UNSUPPORTED"],
    ["something new", { teapot: {} }, "UNSUPPORTED"],
  ];
  for (const [description, offer, expected] of rows) {
    const code = await received(async (conversation) => {
      await conversation.send({ transit: { "hints-v1": [] } });
      await conversation.send({ offer });
      await conversation.next();
    });
    assertEquals(code, expected, description);
  }
});

Deno.test("receiveCompat() keeps nothing of content that is not what was offered", async () => {
  const five = new TextEncoder().encode("12345");
  const folder = (zip: Uint8Array) => ({
    directory: { mode: "zipfile/deflated", dirname: "d", zipsize: zip.length, numbytes: 10, numfiles: 1 },
  });
  const rows: [string, object, Uint8Array, ErrorCode][] = [
    ["longer", { file: { filename: "x", filesize: 4 } }, five, "PROTOCOL"],
    ["cut off", { file: { filename: "x", filesize: 6 } }, five, "CONNECTION_LOST"],
    ["no archive", folder(five), five, "CORRUPT"],
    ["zip slip", folder(zipOf("../evil", 5)), zipOf("../evil", 5), "HOSTILE_NAME"],
    ["absolute in the archive", folder(zipOf("/evil", 5)), zipOf("/evil", 5), "HOSTILE_NAME"],
    [
      "a bomb",
      folder(zipOf("x", 2 * 1024 * 1024)),
      zipOf("x", 2 * 1024 * 1024),
      "LIMIT_EXCEEDED",
    ],
  ];
  for (const [description, offer, content, expected] of rows) {
    assertEquals(await received(sending(offer, content)), expected, description);
  }
});

Deno.test("sendCompat() believes only a receiver that confirms the same SHA-256", async () => {
  const rows: [string, (sum: string) => object | undefined, ErrorCode][] = [
    ["another sum", () => ({ ack: "ok", sha256: "00".repeat(32) }), "CORRUPT"],
    ["no sum", () => ({ ack: "ok" }), "PROTOCOL"],
    ["no", (sha256) => ({ ack: "no", sha256 }), "REFUSED"],
    ["nothing", () => undefined, "CONNECTION_LOST"],
  ];
  for (const [description, ack, expected] of rows) {
    await using scene = new Scene();
    const { promise: code, resolve } = Promise.withResolvers<string>();
    const receiver = code.then((code) =>
      peer({ hub: scene.hub, code, role: "receiver" }, async (conversation, queue) => {
        const places = parseTransit(await conversation.next())!;
        await conversation.next();
        await using link = await Link.open(queue, []);
        await conversation.send(link.message);
        await conversation.send({ answer: { file_ack: "ok" } });
        const signal = AbortSignal.timeout(60_000);
        const { pipe } = await link.connect({ conversation, sender: false, peer: places, signal });
        const content = ack((await all(queue, pipe, scene.dir)).toHex());
        if (content) await say(queue, { pipe, content: encodeMessage(content) });
      })
    );
    const error = await failedSend(scene, resolve);
    await receiver;
    assertEquals(isWormholeError(error) && error.code, expected, `${description}: ${error}`);
  }
});

Deno.test("sendCompat() fails plainly when the receiver answers nonsense", async () => {
  for (
    const [message, expected] of [
      [{ answer: { file_ack: "maybe" } }, "PROTOCOL"],
      [{ answer: 7 }, "PROTOCOL"],
      [{ transit: { "hints-v1": 7 } }, "PROTOCOL"],
      [{ error: "no \u001b[31mroom" }, "REFUSED"],
    ] as const
  ) {
    await using scene = new Scene();
    const { promise: code, resolve } = Promise.withResolvers<string>();
    const receiver = code.then((code) =>
      peer({ hub: scene.hub, code, role: "receiver" }, async (conversation) => {
        await conversation.send(message);
        await conversation.next();
      })
    );
    const error = await failedSend(scene, resolve) as Error;
    await receiver;
    assertEquals(isWormholeError(error) && error.code, expected, String(error));
    assertEquals(error.message.includes("\u001b"), false);
  }
});

/** Receives five bytes and gives their sum. */
async function all(queue: NativeQueue, pipe: PipeHandle, dir: string): Promise<Uint8Array> {
  await stage(queue, { pipe, destination: dir, size: 5 });
  for (;;) {
    const { sum } = await pull(queue, pipe);
    if (sum) return sum;
  }
}

/** Gives an archive of one stored entry of `size` zeros under any name (APPNOTE.TXT §4.3). */
function zipOf(name: string, size: number): Uint8Array {
  const data = new Uint8Array(size);
  const path = new TextEncoder().encode(name);
  const common = fields([[20, 2], [0, 2], [0, 2], [0, 4], [crc32(data), 4], [size, 4], [size, 4], [
    path.length,
    2,
  ], [
    0,
    2,
  ]]);
  const local = concat([fields([[0x04034b50, 4]]), common, path, data]);
  const central = concat([
    fields([[0x02014b50, 4], [20, 2]]),
    common,
    fields([[0, 2], [0, 2], [0, 2], [0, 4], [0, 4]]),
    path,
  ]);
  const end = fields([
    [0x06054b50, 4],
    [0, 2],
    [0, 2],
    [1, 2],
    [1, 2],
    [central.length, 4],
    [local.length, 4],
    [0, 2],
  ]);
  return concat([local, central, end]);
}

function fields(values: [number, 2 | 4][]): Uint8Array {
  return concat(values.map(([value, length]) => {
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setUint32(0, value >>> 0, true);
    return bytes.subarray(0, length);
  }));
}

function concat(parts: Uint8Array[]): Uint8Array {
  return new Uint8Array(parts.flatMap((part) => [...part]));
}

/** Sends a file, and gives why that failed. */
function failedSend(scene: Scene, onCode: (code: string) => void): Promise<unknown> {
  return assertRejects(() =>
    sendCompat({
      content: { path: scene.file("content", "12345") },
      hub: scene.hub,
      relays: [],
      words: 2,
      onCode,
      signal: AbortSignal.timeout(60_000),
    })
  );
}
