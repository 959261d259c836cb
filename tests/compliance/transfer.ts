/** What a transfer must do over any transport; a new one ships by passing this unchanged. */
import { WormholeError } from "../../src/base/errors.ts";
import { assertEquals, assertRejects, assertTrue } from "../../src/base/testing.ts";
import {
  type Acceptance,
  type Offer,
  type Progress,
  runGetter,
  type RunGetterOptions,
  runProvider,
  type RunProviderOptions,
  SendSource,
  type TransferOutcome,
} from "../../src/transfer/mod.ts";
import type { Link, PeerConnection, TransportKind } from "../../src/transport/connection.ts";
import { encodeMessage, type Message } from "../../src/wire/mod.ts";
import { Sandbox } from "../e2e/sandbox.ts";
import { assertSameTree, listTree, makeMany, makeOddities, noise, slowToPack } from "../e2e/trees.ts";
import type { LinkedPair } from "./transport.ts";

const MIB = 1024 * 1024;
const AGENT = "wormhole-test/0";

/** Gives a link the brand that only session may give: these tests authenticate nobody. */
export function trusted(link: Link): PeerConnection {
  return link as PeerConnection;
}

/** Options of the getter that every test shares. */
export function getterOptions(
  { b, queue }: Pick<LinkedPair, "b" | "queue">,
  destination: string,
): RunGetterOptions {
  return {
    connection: trusted(b),
    queue,
    destination,
    agent: AGENT,
    maxStreams: 4,
    poolBytes: 32 * MIB,
    accept: () => ({ accept: true }),
  };
}

/** Options of the provider that every test shares. */
export function providerOptions({ a }: Pick<LinkedPair, "a">, source: SendSource): RunProviderOptions {
  return {
    connection: trusted(a),
    source,
    agent: AGENT,
    minStreams: 4,
    maxStreams: 4,
    poolBytes: 32 * MIB,
    chunkBytes: 4 * MIB,
    compression: "auto",
    compressionLevel: 3,
  };
}

interface Run {
  readonly pair: LinkedPair;
  readonly sandbox: Sandbox;
  /** Existing folder to receive into. */
  readonly into: string;
}

/** Registers the suite for transport `kind`; `makePair` gives fresh ends for each test. `name`: what they are, where not all of the kind. */
export function transferCompliance(
  _kind: TransportKind,
  makePair: () => Promise<LinkedPair>,
  { name = _kind }: { name?: string } = {},
): void {
  const test = (what: string, run: (run: Run) => Promise<void>) =>
    Deno.test(`a transfer over ${name} ${what}`, async () => {
      await using sandbox = await Sandbox.create();
      await using pair = await makePair();
      await run({ pair, sandbox, into: await sandbox.folder("into") });
    });

  test("carries a tree with every oddity", async ({ pair, sandbox, into }) => {
    const source = await makeOddities(sandbox.path("tree"));
    const { sent, received } = await move(pair, [source], into);
    await assertSameTree(`${into}/tree`, source);
    assertEquals([sent.failedCount, received.failedCount], [0, 0]);
    assertEquals([sent.files, sent.directories, sent.symlinks], [
      received.files,
      received.directories,
      received.symlinks,
    ]);
    const files = (await listTree(source)).filter((entry) => entry.kind === "file");
    assertEquals(received.files, files.length);
    assertEquals(received.bytes, files.reduce((sum, { size }) => sum + size!, 0));
  });

  test("carries a file of many chunks, compressed or not", async ({ pair, sandbox, into }) => {
    const parts = [noise(21 * MIB, 3), new TextEncoder().encode("to and fro ".repeat(2_000_000))];
    for (const [index, bytes] of parts.entries()) await sandbox.file(`from/big-${index}`, bytes);
    const progress: Progress[] = [];
    const { received } = await move(pair, [sandbox.path("from")], into, {
      getter: { onProgress: (one) => void progress.push(one) },
    });
    await assertSameTree(`${into}/from`, sandbox.path("from"));
    const total = parts.reduce((sum, { length }) => sum + length, 0);
    assertEquals(received.bytes, total);
    assertEquals(progress.at(-1)?.phase, "done");
    assertEquals(progress.at(-1)?.bytesDone, total);
    for (const [index, one] of progress.entries()) {
      assertTrue(index === 0 || one.bytesDone >= progress[index - 1]!.bytesDone, "progress goes back");
    }
  });

  test("carries more entries than one page holds", async ({ pair, sandbox, into }) => {
    const source = await makeMany(sandbox.path("many"), 5000);
    await move(pair, [source], into);
    await assertSameTree(`${into}/many`, source);
  });

  test("carries an empty folder and an empty file", async ({ pair, sandbox, into }) => {
    const paths = [await sandbox.folder("from/void"), await sandbox.file("from/nothing", "")];
    const { received } = await move(pair, paths, into);
    assertEquals([received.files, received.directories, received.bytes], [1, 1, 0]);
    for (const name of ["void", "nothing"]) {
      await assertSameTree(`${into}/${name}`, sandbox.path("from", name));
    }
  });

  test("carries a text, which nothing is written for", async ({ pair, into }) => {
    const source = SendSource.ofText("see you at eight\n— grüße");
    const { sent, received } = await moveSource(pair, source, into);
    assertEquals(received.text, "see you at eight\n— grüße");
    assertEquals([sent.kind, received.kind], ["text", "text"]);
    assertEquals((await listTree(into)).length, 1);
  });

  test("shows the offer before anything is written", async ({ pair, sandbox, into }) => {
    await sandbox.file("from/a", "12345");
    await sandbox.file("from/sub/b", "1234567890");
    const seen: Offer[] = [];
    const accept = async (offer: Offer): Promise<Acceptance> => {
      seen.push(offer);
      assertEquals((await listTree(into)).length, 1);
      return { accept: true };
    };
    await move(pair, [sandbox.path("from")], into, { getter: { accept } });
    assertEquals(seen.length, 1);
    assertEquals(seen[0]!.roots.map(({ name, kind }) => [name as string, kind]), [["from", "directory"]]);
    assertEquals([seen[0]!.totals.files, seen[0]!.totals.bytes], [2, 15]);
  });

  test("ends with REFUSED at both ends when the person declines", async ({ pair, sandbox, into }) => {
    const file = await sandbox.file("from/x", "x");
    await assertEnds(pair, [file], into, {
      getter: { accept: () => ({ accept: false }) },
      sent: "REFUSED",
      received: "REFUSED",
    });
    assertEquals((await listTree(into)).length, 1);
  });

  for (const who of ["getter", "provider"] as const) {
    test(`ends at both ends when the ${who} is cancelled in the middle`, async ({ pair, sandbox, into }) => {
      await sandbox.file("from/album/big", slowToPack(32 * MIB));
      await sandbox.file("into/album/mine", "mine");
      const before = await listTree(into);
      const stop = new AbortController();
      const reason = new WormholeError("INTERRUPTED", "interrupted");
      const onProgress = ({ bytesDone }: Progress) => bytesDone > 0 && stop.abort(reason);
      await assertEnds(pair, [sandbox.path("from/album")], into, {
        getter: {
          accept: () => ({ accept: true, existing: "overwrite" }),
          onProgress,
          ...who === "getter" && { signal: stop.signal },
        },
        provider: {
          compression: "always",
          compressionLevel: 12,
          maxStreams: 1,
          ...who === "provider" && { signal: stop.signal },
        },
        sent: who === "provider" ? "INTERRUPTED" : "CANCELLED",
        received: who === "getter" ? "INTERRUPTED" : "CANCELLED",
      });
      assertEquals((await listTree(into)).slice(1), before.slice(1));
    });
  }

  test("ends with CONNECTION_LOST and leaves nothing when the link dies", async ({ pair, sandbox, into }) => {
    const file = await sandbox.file("from/big", slowToPack(32 * MIB));
    const onProgress = ({ bytesDone }: Progress) => bytesDone > 0 && void pair.b.close("INTERNAL");
    const results = await attempt(pair, [file], into, {
      getter: { onProgress },
      provider: { compression: "always", compressionLevel: 12, maxStreams: 1 },
    });
    for (const { status } of results) assertEquals(status, "rejected");
    assertEquals((await listTree(into)).length, 1);
  });

  for (const [what, messages, code] of WRONG_SENDERS) {
    test(`refuses a sender that ${what}`, async ({ pair, into }) => {
      const talking = talk(pair.a, messages);
      await assertRejects(() => runGetter(getterOptions(pair, into)), code);
      await talking;
      assertEquals((await listTree(into)).length, 1);
    });
  }

  for (const [what, messages, code] of WRONG_RECEIVERS) {
    test(`refuses a receiver that ${what}`, async ({ pair, sandbox }) => {
      const file = await sandbox.file("from/x", "x");
      await using source = await open(pair, [file]);
      const talking = talk(pair.b, messages);
      await assertRejects(() => runProvider(providerOptions(pair, source)), code);
      await talking;
    });
  }
}

const HELLO: Message = {
  type: "hello",
  version: { major: 1, minor: 0 },
  agent: "hostile/1",
  abilities: {},
  nonce: new Uint8Array(16).fill(7),
};
const TOTALS = { files: 1, directories: 0, symlinks: 0, bytes: 1 };
const OFFER: Message = {
  type: "offer",
  kind: "files",
  transfer: new Uint8Array(16),
  roots: [{ name: new TextEncoder().encode("x"), kind: "file", size: 1, files: 1 }],
  totals: TOTALS,
  counting: false,
};
const ACCEPT: Message = { type: "answer", accept: true, abilities: {}, streams: 1 };

type Wrong = readonly [
  what: string,
  messages: readonly (Message | Uint8Array)[],
  code?: WormholeError["code"],
];

/** Whole scripts of a sender that should not be trusted. */
const WRONG_SENDERS: readonly Wrong[] = [
  ["does not say hello", [OFFER], "PROTOCOL"],
  ["says hello twice", [HELLO, HELLO], "PROTOCOL"],
  ["speaks another major version", [{ ...HELLO, version: { major: 2, minor: 0 } }], "VERSION_UNSUPPORTED"],
  ["sends rubbish", [HELLO, new Uint8Array([0xff, 0x00, 0x13])], "PROTOCOL"],
  ["sends an empty frame", [HELLO, new Uint8Array()], "PROTOCOL"],
  ["offers twice", [HELLO, OFFER, OFFER], "PROTOCOL"],
  ["offers nothing", [HELLO, { ...OFFER, roots: [] } as Message], "PROTOCOL"],
  ["offers a name with a slash", [HELLO, named("../x")], "HOSTILE_NAME"],
  ["offers ..", [HELLO, named("..")], "HOSTILE_NAME"],
  ["offers a name with a zero byte", [HELLO, named("a\0b")], "HOSTILE_NAME"],
  ["sends a page before its offer", [HELLO, { type: "done_ack" }], "PROTOCOL"],
  ["answers", [HELLO, ACCEPT], "PROTOCOL"],
  [
    "offers more than fits",
    [HELLO, { ...OFFER, totals: { ...TOTALS, bytes: 2 ** 52 } } as Message],
    "NO_SPACE",
  ],
  ["cancels", [HELLO, OFFER, { type: "cancel", code: "INTERRUPTED" }], "CANCELLED"],
  ["fails", [HELLO, OFFER, { type: "error", code: "IO" }], "IO"],
];

/** Whole scripts of a receiver that should not be trusted. */
const WRONG_RECEIVERS: readonly Wrong[] = [
  ["does not say hello", [ACCEPT], "PROTOCOL"],
  ["offers", [HELLO, OFFER], "PROTOCOL"],
  ["answers twice", [HELLO, ACCEPT, ACCEPT], "PROTOCOL"],
  [
    "refuses for want of space",
    [HELLO, { ...ACCEPT, accept: false, reason: "NO_SPACE" } as Message],
    "REFUSED",
  ],
  ["asks for chunks before it answers", [HELLO, request(0, 0)], "PROTOCOL"],
  ["asks for entries that were never announced", [HELLO, ACCEPT, request(5, 7)], "PROTOCOL"],
  ["asks backwards", [HELLO, ACCEPT, request(3, 1)], "PROTOCOL"],
  ["is done before it answers", [HELLO, done()], "PROTOCOL"],
  ["sends rubbish", [HELLO, new Uint8Array([0x9f, 0x9f])], "PROTOCOL"],
  ["cancels", [HELLO, ACCEPT, { type: "cancel", code: "INTERRUPTED" }], "CANCELLED"],
];

function named(name: string): Message {
  return {
    ...OFFER,
    roots: [{ name: new TextEncoder().encode(name), kind: "file", size: 1, files: 1 }],
  } as Message;
}

function request(first: number, last: number): Message {
  const none = new Uint8Array();
  const runs = new Uint8Array(new Uint32Array([first, last]).buffer);
  return { type: "request_chunks", runs, range_entries: none, range_offsets: none, range_lengths: none };
}

function done(): Message {
  return { type: "done", files: 0, directories: 0, symlinks: 0, bytes: 0, failed: [], failed_count: 0 };
}

/** Says `messages` whatever the other side says, and listens until it hangs up. */
async function talk(link: Link, messages: readonly (Message | Uint8Array)[]): Promise<void> {
  try {
    for (const message of messages) {
      await link.send(message instanceof Uint8Array ? message : encodeMessage(message));
    }
    while (await link.recv() !== undefined);
  } catch (error) {
    if (!(error instanceof WormholeError)) throw error;
  }
}

interface Changes {
  readonly getter?: Partial<RunGetterOptions>;
  readonly provider?: Partial<RunProviderOptions>;
}

interface Moved {
  readonly sent: TransferOutcome;
  readonly received: TransferOutcome;
}

async function move(
  pair: LinkedPair,
  paths: readonly string[],
  into: string,
  changes: Changes = {},
): Promise<Moved> {
  await using source = await open(pair, paths);
  return await moveSource(pair, source, into, changes);
}

async function moveSource(
  pair: LinkedPair,
  source: SendSource,
  into: string,
  { getter, provider }: Changes = {},
): Promise<Moved> {
  const [sent, received] = await Promise.all([
    runProvider({ ...providerOptions(pair, source), ...provider }),
    runGetter({ ...getterOptions(pair, into), ...getter }),
  ]);
  return { sent, received };
}

async function attempt(
  pair: LinkedPair,
  paths: readonly string[],
  into: string,
  { getter, provider }: Changes,
) {
  await using source = await open(pair, paths);
  return await Promise.allSettled([
    runProvider({ ...providerOptions(pair, source), ...provider }),
    runGetter({ ...getterOptions(pair, into), ...getter }),
  ]);
}

async function assertEnds(
  pair: LinkedPair,
  paths: readonly string[],
  into: string,
  { sent, received, ...changes }: Changes & { sent: WormholeError["code"]; received: WormholeError["code"] },
): Promise<void> {
  const results = await attempt(pair, paths, into, changes);
  const codes = results.map((result) =>
    result.status === "rejected" ? result.reason.code ?? result.reason : "done"
  );
  assertEquals(codes, [sent, received]);
}

function open({ queue }: LinkedPair, paths: readonly string[]): Promise<SendSource> {
  return SendSource.open(queue, { paths, chunkBytes: 4 * MIB });
}
