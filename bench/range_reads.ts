/**
 * Random 4 KiB reads over an open session: asks another process for ranges of its files, one after the other, and
 * waits for each until its bytes, checked, stand in the staged file. The wire is a transfer's own.
 */
import { encodeName } from "../src/base/names.ts";
import { NativeQueue } from "../src/native/queue.ts";
import { NativeReceive } from "../src/native/receive.ts";
import { makeHello } from "../src/transfer/handshake.ts";
import { type DirectTransport, Endpoint, type Link } from "../src/transport/mod.ts";
import {
  columnsOf,
  decodeMessage,
  encodeMessage,
  type Message,
  readEntries,
  writeRequest,
} from "../src/wire/mod.ts";
import type { Input } from "./inputs.ts";
import { quantile } from "./statistics.ts";
import type { Sample } from "./results.ts";

const RANGE_BYTES = 4096;

/** What {@linkcode rangeReads} needs. */
export interface RangeReads {
  readonly transport: DirectTransport;
  /** Folder of files, each of which is read from once: the engine gives a file out once per transfer. */
  readonly source: Input;
  readonly into: string;
}

/** Reads one range of each file; gives the times in ms. */
export async function rangeReads({ transport, source, into }: RangeReads): Promise<Sample> {
  await using queue = NativeQueue.open();
  await using endpoint = await Endpoint.open(queue, {
    seed: crypto.getRandomValues(new Uint8Array(32)),
    transports: [transport],
  });
  const provider = startProvider([transport, endpoint.publicKey.toHex(), source.path]);
  try {
    const { port, key } = await provider.started;
    await using link = await endpoint.dial(
      { transport, host: "127.0.0.1", port },
      { peerKey: Uint8Array.fromHex(key) },
    );
    await using session = await Session.open(queue, link, into);
    const times: number[] = [];
    for (const file of session.files) times.push(await session.read(file, source.path));
    const ms = (part: number) => quantile(times, part);
    return { reads: times.length, p50: ms(0.5), p90: ms(0.9), p99: ms(0.99), max: ms(1) };
  } finally {
    await provider.end();
  }
}

interface File {
  readonly entry: number;
  readonly name: string;
  readonly size: number;
}

/** A transfer that is never finished. */
class Session implements AsyncDisposable {
  readonly #link: Link;
  readonly #engine: NativeReceive;
  readonly #staged: string;
  readonly files: readonly File[];

  private constructor(
    link: Link,
    engine: NativeReceive,
    { files, staged }: { files: File[]; staged: string },
  ) {
    this.#link = link;
    this.#engine = engine;
    this.files = files;
    this.#staged = staged;
  }

  /** Goes through the opening messages up to the first page, which has all files. */
  static async open(queue: NativeQueue, link: Link, into: string): Promise<Session> {
    const engine = await NativeReceive.open(queue, {
      destination: encodeName(into),
      pool_bytes: 64 * 2 ** 20,
    });
    const say = (message: Message) => link.send(encodeMessage(message));
    await say(
      makeHello({ agent: "wormhole-bench/1", nonce: crypto.getRandomValues(new Uint8Array(16)), streams: 2 }),
    );
    let hasStreams = false;
    let files: File[] | undefined;
    while (!hasStreams || files === undefined) {
      const message = decodeMessage((await link.recv())!);
      if (message.type === "offer") {
        await say({ type: "answer", accept: true, abilities: {}, streams: 2 });
        await say({ type: "page_credit", through: 0 });
      } else if (message.type === "bulk_streams") {
        await link.bulk(message.count);
        await engine.start({ connection: link.native, streams: message.count });
        hasStreams = true;
      } else if (message.type === "manifest_page") {
        const columns = columnsOf(message);
        const entries = [...readEntries(columns)];
        await engine.expect({
          columns,
          wanted: new Uint8Array(Math.ceil(columns.count / 8)).fill(0xff),
          roots: [{ entry: 0, final_name: encodeName("read"), policy: "fresh" }],
        });
        files = entries.flatMap(({ kind, name, size }, entry) =>
          kind === "file" ? [{ entry, name: new TextDecoder().decode(name), size }] : []
        );
      } else if (message.type === "ping") {
        await say({ type: "pong", nonce: message.nonce });
      }
    }
    const [staging] = [...Deno.readDirSync(into)];
    // The root stands under its entry's number until the end (ffi/src/io/stage.rs).
    return new Session(link, engine, { files, staged: `${into}/${staging!.name}/tree/0` });
  }

  /** Reads one range of a file and gives the ms that it took. */
  async read({ entry, name, size }: File, source: string): Promise<number> {
    const offset = Math.floor(Math.random() * (size / RANGE_BYTES)) * RANGE_BYTES;
    const wanted = readRange(`${source}/${name}`, offset)!;
    const before = performance.now();
    const ranges = [{ entry, offset, length: RANGE_BYTES }];
    await this.#link.send(encodeMessage({ type: "request_chunks", ...writeRequest({ runs: [], ranges }) }));
    for (;;) {
      const got = readRange(`${this.#staged}/${name}`, offset);
      if (got?.every((byte, at) => byte === wanted[at])) return performance.now() - before;
      if (performance.now() - before > 5000) {
        throw new Error(`the range of ${name} at ${offset} has not come`);
      }
      // Shorter than a timer can wait, without keeping a core busy.
      Atomics.wait(PAUSE, 0, 0, 0.05);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#engine.close();
  }
}

const PAUSE = new Int32Array(new SharedArrayBuffer(4));

/** Gives a range of a file; undefined when it is not there yet. */
function readRange(path: string, offset: number): Uint8Array | undefined {
  try {
    using file = Deno.openSync(path);
    file.seekSync(offset, Deno.SeekMode.Start);
    const bytes = new Uint8Array(RANGE_BYTES);
    return file.readSync(bytes) === RANGE_BYTES ? bytes : undefined;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

function startProvider(
  args: string[],
): { started: Promise<{ port: number; key: string }>; end(): Promise<void> } {
  const script = new URL("./range_provider.ts", import.meta.url).href;
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--quiet", script, ...args],
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const lines = child.stdout.pipeThrough(new TextDecoderStream());
  const first = async () => {
    for await (const text of lines.values({ preventCancel: true })) return JSON.parse(text);
    throw new Error("the other end of the range reads did not start");
  };
  return {
    started: first(),
    async end() {
      try {
        child.kill("SIGKILL");
      } catch {
        // It has ended.
      }
      await child.status;
    },
  };
}
