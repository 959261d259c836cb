import { assertTrue } from "../../../src/base/testing.ts";
import { maskedFrame } from "../../../src/mailbox/testing.ts";
import { HubClient } from "./hub_client.ts";
import { HubProcess } from "./hub_process.ts";
import type { Scenario } from "./scenario.ts";

/** Frames of one run. */
export const FRAMES_PER_RUN = 10_000;

/** What a hub may hold at most while it is fuzzed: it has about 70 MiB when it starts, and bodies are bounded to 8 MiB. */
export const MAX_MEMORY_BYTES = 320 * 1024 * 1024;

/** Frames that one connection is given at a time. */
const BATCH = 100;

/** A hub that nobody slows down and that forgives mistakes, so that every frame is looked at; amounts stay bounded. */
const LIMITS = {
  claimBurst: 1e9,
  connectionBurst: 1e9,
  messageBurst: 1e9,
  nameplateBurst: 1e9,
  connectionsPerAddress: 1e4,
  mailboxesPerAddress: 1e4,
  mistakes: 1e9,
  totalBytes: 8 * 1024 * 1024,
  nameplates: 2_000,
  mailboxes: 1_000,
};

const OPENING = new TextEncoder().encode(
  "GET /v1 HTTP/1.1\r\nupgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-version: 13\r\n" +
    "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
);

let shared: Promise<HubProcess> | undefined;

/** Ends the hub that the runs share. */
export async function endFuzzedHub(): Promise<void> {
  await (await shared)?.[Symbol.asyncDispose]();
  shared = undefined;
}

/** Frames that are nearly right, at one hub that lives through all runs. */
export const HUB_FRAMES: Scenario = {
  name: "hub-frames",
  about: `${FRAMES_PER_RUN} frames, malformed, misplaced or nearly right, end no hub and fill no memory`,
  lanes: 2,
  async run(seed, tally) {
    const hub = await (shared ??= HubProcess.start({ limits: LIMITS, metrics: true }));
    const random = generator(seed);
    let sent = 0;
    while (sent < FRAMES_PER_RUN) {
      using link = await Link.open(hub.url);
      tally.add("connections");
      for (let batches = 0; batches < 20 && sent < FRAMES_PER_RUN; batches++) {
        const frames = Array.from({ length: BATCH }, () => frame(random, link.mailboxes));
        sent += BATCH;
        if (!await link.exchange(joined(frames))) break;
      }
      // What no client may send ends a connection, or leaves the hub within a frame that never comes.
      await link.write(
        Uint8Array.from({ length: 1 + Math.floor(random() * 40) }, () => Math.floor(random() * 256)),
      );
      tally.add("answers", link.answers);
    }
    tally.most("messages read by the hub", await messagesRead(hub.url));
    tally.most("MiB", Math.ceil(await hub.memory() / 2 ** 20));
    assertTrue(await hub.memory() <= MAX_MEMORY_BYTES, `the hub holds ${await hub.memory()} bytes`);
    using client = await HubClient.connect(hub.url, `after-${seed}`);
    assertTrue((await client.ask({ type: "ping", ping: seed }, "pong")).pong === seed, "the hub goes on");
  },
};

/** Asks the hub itself how many messages it has taken out of frames. */
async function messagesRead(url: URL): Promise<number> {
  const text = await (await fetch(`http://${url.host}/metrics`)).text();
  return Number(/^wormhole_hub_messages_total\{direction="in"\} (\d+)$/m.exec(text)![1]);
}

/** A raw connection whose answers are read as they come. */
class Link implements Disposable {
  readonly mailboxes: string[] = [];
  answers = 0;
  #ended = false;
  #asked = 0;
  #answered = 0;
  #news = Promise.withResolvers<void>();
  readonly #conn: Deno.Conn;

  private constructor(conn: Deno.Conn) {
    this.#conn = conn;
    this.#read();
  }

  static async open(url: URL): Promise<Link> {
    const conn = await Deno.connect({ hostname: url.hostname, port: Number(url.port) });
    await conn.write(OPENING);
    return new Link(conn);
  }

  /** Writes frames and a ping, and waits for its answer; false when the hub has hung up. */
  async exchange(frames: Uint8Array): Promise<boolean> {
    const marker = String(++this.#asked).padStart(8, "0");
    if (
      !await this.write(frames) || !await this.write(maskedFrame(9, new TextEncoder().encode(`:${marker}:`)))
    ) {
      return false;
    }
    while (!this.#ended && this.#answered < this.#asked) {
      this.#news = Promise.withResolvers();
      await this.#news.promise;
    }
    return !this.#ended;
  }

  /** False when the hub has hung up. */
  async write(bytes: Uint8Array): Promise<boolean> {
    try {
      for (let at = 0; at < bytes.length;) at += await this.#conn.write(bytes.subarray(at));
      return true;
    } catch {
      return false;
    }
  }

  async #read(): Promise<void> {
    const buffer = new Uint8Array(16_384);
    let tail = "";
    try {
      for (;;) {
        const length = await this.#conn.read(buffer);
        if (length === null) break;
        const text = tail + new TextDecoder("latin1").decode(buffer.subarray(0, length));
        tail = text.slice(-10);
        for (const [, marker] of text.matchAll(/:(\d{8}):/g)) this.#answered = Number(marker);
        this.#news.resolve();
        this.answers += text.split('"type"').length - 1;
        for (const [, mailbox] of text.matchAll(/"mailbox":"(\w+)"/g)) this.mailboxes.push(mailbox!);
      }
    } catch {
      // Reset, as a fuzzed connection may be.
    }
    this.#ended = true;
    this.#news.resolve();
  }

  [Symbol.dispose](): void {
    try {
      this.#conn.close();
    } catch {
      // The hub closed it first.
    }
  }
}

const TYPES = [
  "bind",
  "list",
  "allocate",
  "claim",
  "release",
  "open",
  "add",
  "close",
  "ping",
  "submit-permissions",
  "?",
];

/** Gives one frame: mostly a message that is nearly right, now and then one that no client may send. */
function frame(random: () => number, mailboxes: readonly string[]): Uint8Array {
  const below = (bound: number) => Math.floor(random() * bound);
  const kind = random();
  if (kind < 0.01) return maskedFrame(9 + below(2), new Uint8Array(below(126)));
  if (kind < 0.02) return maskedFrame(2, Uint8Array.from({ length: below(200) }, () => below(256)));
  const value = (usual: unknown) =>
    random() < 0.9
      ? usual
      : [null, 7, {}, [], "", "\ud800", "x".repeat(below(300)), true, "__proto__"][below(9)];
  const message: Record<string, unknown> = { type: value(TYPES[below(TYPES.length)]) };
  if (random() < 0.9) {
    Object.assign(message, {
      appid: value(`app${below(3)}`),
      side: value(`side${below(50)}`),
      nameplate: value(String(1 + below(60))),
      mailbox: value(mailboxes[below(mailboxes.length + 1)] ?? `meet-${"0".repeat(31)}${below(10)}`),
      phase: value(`phase${below(4)}`),
      body: value("ab".repeat(random() < 0.02 ? below(8_000) : below(40))),
      mood: value(["happy", "lonely", "scary", "errory"][below(4)]),
      ping: value(below(9)),
      ...random() < 0.3 && { must_exist: value(true) },
      ...random() < 0.1 && { many: value(true) },
      ...random() < 0.1 && { reuse: value(true) },
      ...random() < 0.2 && { id: value("id") },
    });
  }
  const text = JSON.stringify(message);
  return maskedFrame(1, new TextEncoder().encode(random() < 0.02 ? text.slice(0, below(text.length)) : text));
}

function joined(frames: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(frames.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const each of frames) {
    bytes.set(each, at);
    at += each.length;
  }
  return bytes;
}

/** Gives numbers below 1 that the seed alone decides (mulberry32). */
export function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
