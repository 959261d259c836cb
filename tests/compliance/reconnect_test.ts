/**
 * Transfers whose connection dies and comes back: they end well, nothing is lost, and little comes twice. Over TCP: the
 * ends of a QUIC connection tell each other their addresses and go around a proxy, so that is for tests/e2e, where a
 * network namespace is all the network there is.
 */
import { WormholeError } from "../../src/base/errors.ts";
import { assertEquals, assertRejects, assertTrue } from "../../src/base/testing.ts";
import { receiveOverLinks, type ReceiveOverLinksOptions } from "../../src/recv/over_links.ts";
import { sendOverLinks, type SendOverLinksOptions } from "../../src/send/over_links.ts";
import type { ReconnectEvent } from "../../src/session/mod.ts";
import { Journal } from "../../src/store/mod.ts";
import { SendSource, type TransferOutcome } from "../../src/transfer/mod.ts";
import { Endpoint } from "../../src/transport/endpoint.ts";
import { Sandbox } from "../e2e/sandbox.ts";
import { assertSameTree, noise, stagingFolders } from "../e2e/trees.ts";
import { seeded } from "../sim/random.ts";
import { seed } from "./pairs.ts";
import { FAST, type Machines, machines } from "./sessions.ts";
import { getterOptions, providerOptions } from "./transfer.ts";

const KIB = 1024;
const MIB = 1024 * KIB;

/** Small chunks, so that even what is in flight when a connection dies is little. */
const CHUNK = 256 * KIB;
const STREAMS = 4;

/** 32 bytes: the versions of files have to be the same in every try. */
const VERSION_KEY = new Uint8Array(32).fill(5);

interface Scene {
  readonly sandbox: Sandbox;
  readonly pair: Machines;
  readonly into: string;
  readonly journal: Journal;
}

interface Ends {
  readonly sent: TransferOutcome;
  readonly received: TransferOutcome;
  /** Losses that the receiver saw. */
  readonly losses: number;
}

interface Changes {
  readonly send?: Partial<SendOverLinksOptions>;
  readonly receive?: Partial<ReceiveOverLinksOptions>;
  /** Told of the receiver's events. */
  readonly onReconnect?: (event: ReconnectEvent) => void;
}

function scene(
  what: string,
  run: (scene: Scene) => Promise<void>,
  { make = () => machines() }: { make?: () => Promise<Machines> } = {},
): void {
  Deno.test(what, async () => {
    await using sandbox = await Sandbox.create();
    await using pair = await make();
    const into = await sandbox.folder("into");
    using journal = Journal.open(sandbox.path("transfers.db"), { bootId: "test" });
    await run({ sandbox, pair, into, journal });
  });
}

function open(pair: Machines, path: string): Promise<SendSource> {
  return SendSource.open(pair.queue, { paths: [path], chunkBytes: CHUNK, versionKey: VERSION_KEY });
}

function sending(pair: Machines, path: string, changes: Partial<SendOverLinksOptions> = {}) {
  return async (): Promise<TransferOutcome> => {
    await using source = await open(pair, path);
    return await sendOverLinks({
      ...providerOptions(pair, source),
      connection: pair.a,
      reopen: () => open(pair, path),
      chunkBytes: CHUNK,
      compression: "never",
      clock: FAST,
      reconnectMs: 600_000,
      signal: new AbortController().signal,
      ...changes,
    });
  };
}

async function both({ pair, into, journal }: Scene, path: string, changes: Changes = {}) {
  let losses = 0;
  return {
    results: await Promise.allSettled([
      sending(pair, path, changes.send)(),
      receiveOverLinks({
        ...getterOptions(pair, into),
        connection: pair.b,
        journal,
        clock: FAST,
        reconnectMs: 600_000,
        onReconnect: (event) => {
          if (event.type === "waiting" && event.attempt === 1) losses++;
          // What was frozen thaws as soon as somebody noticed.
          if (pair.proxy.state === "frozen") pair.proxy.state = "open";
          changes.onReconnect?.(event);
        },
        ...changes.receive,
      }),
    ]),
    losses: () => losses,
  };
}

async function move(scene: Scene, path: string, changes: Changes = {}): Promise<Ends> {
  const { results: [sent, received], losses } = await both(scene, path, changes);
  const failed = [sent, received].filter((end) => end.status === "rejected").map(({ reason }) =>
    reason.stack
  );
  if (sent.status === "rejected" || received.status === "rejected") throw new Error(failed.join("\n---\n"));
  return { sent: sent.value, received: received.value, losses: losses() };
}

/** What came at all is what had to, and for each loss what was in flight. */
function assertFrugal({ received, losses }: Ends, bytes: number): void {
  assertEquals([received.bytes, received.failedCount], [bytes, 0]);
  assertTrue(received.receipt?.state !== "differs", "the two ends disagree");
  const again = received.bytesWire - bytes;
  const most = losses * STREAMS * CHUNK + 0.01 * bytes;
  assertTrue(again <= most, `${again} bytes came again in ${losses} losses, at most ${most} were in flight`);
}

scene(
  "a transfer whose connection dies 24 times, at random points, arrives",
  async (scene) => {
    const { sandbox, pair: { proxy }, into } = scene;
    const bytes = 96 * MIB;
    await sandbox.file("from/album/big", noise(bytes - 20 * 100 * KIB));
    for (let i = 0; i < 20; i++) await sandbox.file(`from/album/${i}`, noise(100 * KIB, i));
    const random = seeded(24);
    let cuts = 0;
    const cutLater = () => {
      if (cuts < 24) proxy.after(proxy.bytesBack + Math.round(random() * 6 * MIB), cut);
    };
    const cut = () => {
      cuts++;
      proxy.cut();
    };
    cutLater();
    const ends = await move(scene, sandbox.path("from/album"), {
      onReconnect: ({ type }) => type === "connected" && cutLater(),
    });
    await assertSameTree(`${into}/album`, sandbox.path("from/album"));
    assertTrue(cuts === 24 && ends.losses > 0, `${cuts} cuts, ${ends.losses} losses`);
    assertFrugal(ends, bytes);
    assertTrue(proxy.bytesBack < 2 * bytes, `${proxy.bytesBack} bytes on the way`);
    assertEquals(await stagingFolders(into), []);
    assertEquals(scene.journal.list(), []);
  },
);

scene("a transfer that freezes goes on over a new connection", async (scene) => {
  const { sandbox, pair: { proxy }, into } = scene;
  const bytes = 32 * MIB;
  const path = await sandbox.file("from/big", noise(bytes));
  proxy.after(10 * MIB, () => void (proxy.state = "frozen"));
  const ends = await move(scene, path);
  await assertSameTree(`${into}/big`, path);
  assertEquals(ends.losses, 1);
  assertFrugal(ends, bytes);
});

scene(
  "a transfer goes on when the other side is not to be reached for a while",
  async (scene) => {
    const { sandbox, pair: { proxy }, into } = scene;
    const bytes = 32 * MIB;
    const path = await sandbox.file("from/big", noise(bytes));
    proxy.after(10 * MIB, () => {
      proxy.cut();
      proxy.state = "refusing";
    });
    const waited: number[] = [];
    const ends = await move(scene, path, {
      onReconnect: (event) => {
        if (event.type !== "waiting") return;
        waited.push(event.attempt);
        if (event.attempt === 5) proxy.state = "open";
      },
    });
    await assertSameTree(`${into}/big`, path);
    assertEquals(waited.slice(0, 5), [1, 2, 3, 4, 5]);
    assertFrugal(ends, bytes);
  },
);

scene("a sender dials the receiver, which cannot dial it", async (scene) => {
  const { sandbox, pair: { proxy }, into } = scene;
  const bytes = 32 * MIB;
  const path = await sandbox.file("from/big", noise(bytes));
  proxy.after(10 * MIB, () => {
    proxy.cut();
    proxy.state = "refusing";
  });
  const ends = await move(scene, path);
  await assertSameTree(`${into}/big`, path);
  assertFrugal(ends, bytes);
}, { make: () => machines({ dials: "sender" }) });
scene("a machine with another key is not let in, whatever it says", async (scene) => {
  const { sandbox, pair: { proxy, queue, sender }, into } = scene;
  const path = await sandbox.file("from/big", noise(16 * MIB));
  await using stranger = await Endpoint.open(queue, { seed: seed(), transports: ["tcp"] });
  const [hint] = await sender.hints();
  proxy.after(6 * MIB, () => proxy.cut());
  const intruded: Promise<Error>[] = [];
  const ends = await move(scene, path, {
    onReconnect: ({ type }) => {
      if (type !== "waiting") return;
      intruded.push(assertRejects(async () => {
        const link = await stranger.dial(hint!, { peerKey: sender.publicKey });
        // TLS 1.3 lets a client believe that it is in until it hears more.
        await link.recv();
      }));
    },
  });
  const [refused] = await Promise.all(intruded);
  assertTrue(refused instanceof WormholeError, String(refused));
  await assertSameTree(`${into}/big`, path);
  assertFrugal(ends, 16 * MIB);
});

scene("a receiver with another session's secret is not let in, and told so", async (scene) => {
  const { sandbox, pair: { proxy } } = scene;
  const path = await sandbox.file("from/big", noise(16 * MIB));
  proxy.after(6 * MIB, () => proxy.cut());
  const kept: number[] = [];
  const { results } = await both(scene, path, {
    send: { reconnectMs: 20_000 },
    receive: { reconnectMs: 20_000, onKept: (bytes) => void kept.push(bytes) },
  });
  assertCodes(results, ["CONNECTION_LOST", "REFUSED"]);
  assertTrue(/does not know this transfer/.test((results[1] as PromiseRejectedResult).reason.message));
  assertEquals([kept.length, kept[0]! > 0], [1, true]);
}, { make: () => machines({ wrongSecret: new Uint8Array(16) }) });

scene("a sender that offers something else after a loss is refused, and nothing is lost", async (scene) => {
  const { sandbox, pair, into, journal } = scene;
  const path = await sandbox.file("from/big", noise(16 * MIB));
  const other = await sandbox.file("from/other", "other");
  const kept: number[] = [];
  pair.proxy.after(8 * MIB, () => pair.proxy.cut());
  const { results } = await both(scene, path, {
    send: { reopen: () => open(pair, other) },
    receive: { onKept: (bytes) => void kept.push(bytes) },
  });
  assertCodes(results, ["REFUSED", "REFUSED"]);
  assertTrue(/something else than before/.test((results[1] as PromiseRejectedResult).reason.message));
  assertTrue(kept.length === 1 && kept[0]! > 0, `kept: ${kept}`);
  assertEquals((await stagingFolders(into)).length, 1);
  assertEquals(journal.list().map(({ bytesDone }) => bytesDone), kept);
});

scene("a source that changed while the connection was away arrives as it is now", async (scene) => {
  const { sandbox, pair: { proxy }, into } = scene;
  await sandbox.file("from/album/big", noise(16 * MIB));
  await sandbox.file("from/album/small", "before");
  proxy.after(8 * MIB, () => proxy.cut());
  const changed = Promise.withResolvers<void>();
  const ends = await move(scene, sandbox.path("from/album"), {
    send: {
      reopen: async () => {
        await sandbox.file("from/album/big", noise(17 * MIB, 9));
        await sandbox.file("from/album/new", "new");
        changed.resolve();
        return await open(scene.pair, sandbox.path("from/album"));
      },
    },
  });
  await changed.promise;
  await assertSameTree(`${into}/album`, sandbox.path("from/album"));
  assertEquals(ends.received.failedCount, 0);
});

scene("a source that is gone after a loss ends both sides at once, with its own error", async (scene) => {
  const { sandbox, pair, into } = scene;
  const path = await sandbox.file("from/big", noise(64 * MIB));
  pair.proxy.after(40 * MIB, () => pair.proxy.cut());
  const { results } = await both(scene, path, {
    send: {
      reopen: async () => {
        await Deno.remove(path);
        return await open(pair, path);
      },
    },
  });
  assertCodes(results, ["NOT_FOUND", "NOT_FOUND"]);
  assertEquals((await stagingFolders(into)).length, 1);
});

scene("the person is asked once", async (scene) => {
  const { sandbox, pair: { proxy } } = scene;
  const path = await sandbox.file("from/big", noise(16 * MIB));
  proxy.after(8 * MIB, () => proxy.cut());
  let asked = 0;
  const { losses } = await move(scene, path, {
    receive: {
      accept: () => {
        asked++;
        return { accept: true };
      },
    },
  });
  assertEquals([asked, losses], [1, 1]);
});

scene("a loss while the person is asked makes no difference but another question", async (scene) => {
  const { sandbox, pair: { proxy }, into } = scene;
  const path = await sandbox.file("from/big", noise(MIB));
  let asked = 0;
  await move(scene, path, {
    receive: {
      accept: (_, { signal }) => {
        if (asked++ > 0) return { accept: true };
        proxy.cut();
        return new Promise((_, reject) =>
          signal.addEventListener("abort", () => reject(new WormholeError("INTERRUPTED", "the prompt went")))
        );
      },
    },
  });
  assertEquals(asked, 2);
  await assertSameTree(`${into}/big`, path);
});

scene(
  "a receiver that finishes while the connection is away tells the sender when it is back",
  async (scene) => {
    const { sandbox, pair: { proxy }, into } = scene;
    const path = await sandbox.file("from/big", noise(16 * MIB));
    let isCut = false;
    const { sent, received } = await move(scene, path, {
      receive: {
        onProgress: ({ phase }) => {
          if (phase !== "placing" || isCut) return;
          isCut = true;
          proxy.cut();
        },
      },
    });
    await assertSameTree(`${into}/big`, path);
    assertTrue(isCut);
    assertEquals([sent.files, sent.bytes], [received.files, received.bytes]);
    assertEquals([sent.receipt, received.receipt?.state], [undefined, "unconfirmed"]);
  },
);

scene("a receiver that finished does not wait long for a sender that is gone", async (scene) => {
  const { sandbox, pair: { proxy }, into } = scene;
  const path = await sandbox.file("from/big", noise(16 * MIB));
  const { results: [sent, received] } = await both(scene, path, {
    send: { reconnectMs: 0 },
    receive: {
      onProgress: ({ phase }) => {
        if (phase !== "placing") return;
        proxy.cut();
        proxy.state = "refusing";
      },
    },
  });
  assertEquals([sent.status, received.status], ["rejected", "fulfilled"]);
  await assertSameTree(`${into}/big`, path);
});

scene("without a journal a transfer starts over, and says so", async (scene) => {
  const { sandbox, pair: { proxy }, into } = scene;
  const path = await sandbox.file("from/big", noise(16 * MIB));
  proxy.after(8 * MIB, () => proxy.cut());
  const said: string[] = [];
  const { received } = await move(scene, path, {
    receive: { journal: undefined, onWarning: (sentence) => void said.push(sentence) },
  } as Changes);
  await assertSameTree(`${into}/big`, path);
  assertEquals([received.bytes, said.length], [16 * MIB, 1]);
  assertTrue(/comes again/.test(said[0]!), said[0]);
});

scene("with no time to reconnect a loss is the end, as ever", async (scene) => {
  const { sandbox, pair: { proxy } } = scene;
  const path = await sandbox.file("from/big", noise(16 * MIB));
  proxy.after(8 * MIB, () => proxy.cut());
  const { results } = await both(scene, path, { send: { reconnectMs: 0 }, receive: { reconnectMs: 0 } });
  assertCodes(results, ["CONNECTION_LOST", "CONNECTION_LOST"]);
});

scene("Ctrl-C while the connection is away ends at once, and says how to go on", async (scene) => {
  const { sandbox, pair } = scene;
  const path = await sandbox.file("from/big", noise(64 * MIB));
  pair.proxy.after(40 * MIB, () => {
    pair.proxy.cut();
    pair.proxy.state = "refusing";
  });
  const [sender, receiver] = [new AbortController(), new AbortController()];
  const kept: number[] = [];
  const said: string[] = [];
  const { results } = await both(scene, path, {
    send: {
      signal: sender.signal,
      onWarning: (sentence) => void said.push(sentence),
      onReconnect: ({ type }) => {
        if (type === "waiting") sender.abort(new WormholeError("INTERRUPTED", "interrupted"));
      },
    },
    receive: { signal: receiver.signal, onKept: (bytes) => void kept.push(bytes) },
    onReconnect: (event) => {
      if (event.type === "waiting" && event.attempt === 3) {
        receiver.abort(new WormholeError("INTERRUPTED", "interrupted"));
      }
    },
  });
  assertCodes(results, ["INTERRUPTED", "INTERRUPTED"]);
  assertTrue(kept.length === 1 && kept[0]! > 0, `kept: ${kept}`);
  assertTrue(said.length === 1 && /send the same things again/.test(said[0]!), said.join());
});

scene("what arrived is kept when both gave up", async (scene) => {
  const { sandbox, pair: { proxy }, journal } = scene;
  const path = await sandbox.file("from/big", noise(16 * MIB));
  // Not all comes before the receiver has told of some of it.
  proxy.after(8 * MIB, () => proxy.state = "frozen");
  let told = 0;
  const { results } = await both(scene, path, {
    send: { reconnectMs: 3000 },
    receive: {
      reconnectMs: 3000,
      onProgress: ({ bytesDone }) => {
        told = bytesDone;
        if (bytesDone <= 4 * MIB) return;
        proxy.cut();
        proxy.state = "refusing";
      },
    },
  });
  assertCodes(results, ["CONNECTION_LOST", "CONNECTION_LOST"]);
  const [left] = journal.list();
  assertTrue(
    left !== undefined && told > 4 * MIB && left.bytesDone >= told,
    `${told} ${JSON.stringify(left)}`,
  );
});

function assertCodes(results: readonly PromiseSettledResult<unknown>[], codes: readonly string[]): void {
  const told = results.map((end) =>
    end.status === "rejected" ? (end.reason as WormholeError).code ?? end.reason.stack : "done"
  );
  assertEquals(told, codes, results.map((end) => end.status === "rejected" && end.reason.stack).join("\n"));
}
