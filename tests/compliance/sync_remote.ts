/** A folder of this machine and one behind a sync session within this process, for tests of ends that are far away. */
import { systemClock } from "../../src/base/clock.ts";
import { WormholeError } from "../../src/base/errors.ts";
import { NativeQueue } from "../../src/native/queue.ts";
import type { End } from "../../src/sync/end.ts";
import { LocalEnd } from "../../src/sync/local_end.ts";
import { openOwnFolder } from "../../src/sync/own_folder.ts";
import { ALL_ABILITIES, type Policy } from "../../src/sync/policy.ts";
import { Snapshot } from "../../src/sync/snapshot.ts";
import { synchronize } from "../../src/sync/synchronize.ts";
import { SyncChannel } from "../../src/sync/remote/channel.ts";
import { PageCache } from "../../src/sync/remote/page_cache.ts";
import { RemoteEnd } from "../../src/sync/remote/remote_end.ts";
import { LockBook } from "../../src/locks/mod.ts";
import type { Way } from "../../src/peers/mod.ts";
import { ServedLocks } from "../../src/sync/remote/serve_locks.ts";
import { serveFolder } from "../../src/sync/remote/serve_folder.ts";
import { findServed } from "../../src/sync/remote/served_folders.ts";
import type { NextDataLink, TransferSettings } from "../../src/sync/remote/settings.ts";
import { KnownContent } from "../../src/transfer/mod.ts";
import { memoryPair } from "../../src/transport/memory.ts";
import type { Link } from "../../src/transport/connection.ts";
import { Sandbox } from "../e2e/sandbox.ts";
import { trusted } from "./transfer.ts";

const MIB = 1024 * 1024;

/** Both ends, and what is between them. */
export interface FarPair extends AsyncDisposable {
  readonly sandbox: Sandbox;
  readonly local: LocalEnd;
  readonly remote: RemoteEnd;
  /** Folders of both. */
  readonly roots: { readonly local: string; readonly remote: string };
  /** The client's side of the session. */
  readonly channel: SyncChannel;
  /** Locks of the serving side. */
  readonly book: LockBook;
  /** Resolves when the client hears that something has changed at the other side. */
  readonly news: Promise<void>;
  /** Ends what the serving side throws. */
  readonly served: Promise<unknown>;
  /** Gives the bytes that have crossed in either direction, the control stream's and those of all transfers. */
  bytesSent(): Promise<number>;
}

/** Options of {@linkcode farPair}. */
export interface FarOptions {
  /** Where the folders are, as an earlier pair left them; stays the caller's. */
  readonly sandbox?: Sandbox;
  /** Clock of both sides, ms since 1970. */
  now?(): number;
  /** Breaks a link of the client before it sends so many frames: the control stream, or the first with a transfer. */
  readonly cut?: { readonly link: "control" | "data"; readonly frames: number };
  /** What the client has a right to; both ways unless told otherwise. */
  readonly right?: Way;
  /** Gives that as of the moment, instead. */
  rightNow?(): Way;
  /** What it says that the run is going to do; both unless told otherwise. */
  readonly way?: Way;
}

/** Bytes that links have sent, those that are closed by now as well. */
class Counted {
  readonly #open = new Set<readonly Link[]>();
  readonly #closed: Promise<number>[] = [];

  /** Counts both ends of a link; the last look at both is before either closes it. */
  count<L extends Link>(pair: readonly L[]): L[] {
    this.#open.add(pair);
    const closes = pair.map((link) => link.close.bind(link));
    return pair.map((link, side) =>
      Object.assign(link, {
        close: async (...code: Parameters<Link["close"]>) => {
          if (this.#open.delete(pair)) this.#closed.push(sentOver(pair));
          await Promise.all(this.#closed);
          await closes[side]!(...code);
        },
      })
    );
  }

  async sum(): Promise<number> {
    const counts = [...this.#closed, ...Array.from(this.#open, sentOver)];
    return (await Promise.all(counts)).reduce((sum, bytes) => sum + bytes, 0);
  }
}

async function sentOver(pair: readonly Link[]): Promise<number> {
  const sent = await Promise.all(
    pair.map((link) => link.stats().then(({ bytesSent }) => bytesSent, () => 0)),
  );
  return sent.reduce((sum, bytes) => sum + bytes, 0);
}

/** Breaks `link` before frame `frames` goes out. */
function breaking<L extends Link>(link: L, frames: number): L {
  let sent = 0;
  const send = link.send.bind(link);
  return Object.assign(link, {
    send: async (frame: Uint8Array) => {
      if (sent++ < frames) return await send(frame);
      await link.close("CONNECTION_LOST");
      throw new WormholeError("CONNECTION_LOST", "Cannot send: the link was cut by the test");
    },
  });
}

/** Links a folder with another one that a session serves, over memory. */
export async function farPair(
  { sandbox: given, cut, right = "both", rightNow = () => right, way, now = Date.now }: FarOptions = {},
): Promise<FarPair> {
  const stack = new AsyncDisposableStack();
  const sandbox = given ?? stack.use(await Sandbox.create());
  const queue = stack.use(NativeQueue.open());
  const roots = {
    local: await sandbox.folder("local"),
    remote: await Deno.realPath(await sandbox.folder("remote")),
  };
  const settings = (name: string): TransferSettings => ({
    queue,
    agent: "wormhole-test/0",
    minStreams: 2,
    maxStreams: 2,
    poolBytes: 32 * MIB,
    chunkBytes: 4 * MIB,
    compression: "auto",
    compressionLevel: 3,
    content: stack.use(new KnownContent({ cacheDir: sandbox.path("cache", name), maxChunks: 10_000 })),
  });
  const counted = new Counted();
  let links = 0;
  const link = async () => {
    const [a, b] = counted.count(await memoryPair(queue)) as [Link, Link];
    stack.defer(async () => void await Promise.all([a.close(), b.close()]));
    // The first one is the control stream.
    const isCut = cut !== undefined && links++ === (cut.link === "control" ? 0 : 1);
    return [trusted(isCut ? breaking(a, cut.frames) : a), trusted(b)] as const;
  };
  const waiting: PromiseWithResolvers<Awaited<ReturnType<typeof link>>>[] = [];
  // Whoever comes first makes the link, the other takes its end.
  const next = (side: 0 | 1): NextDataLink => async () => {
    const made = waiting.shift();
    if (made !== undefined) return (await made.promise)[side];
    const making = Promise.withResolvers<Awaited<ReturnType<typeof link>>>();
    waiting.push(making);
    const pair = await link();
    making.resolve(pair);
    return pair[side];
  };
  const [near, far] = await link();
  const open = { agent: "wormhole-test/0", clock: systemClock };
  const news = Promise.withResolvers<void>();
  const [channel, farChannel] = await Promise.all([
    SyncChannel.open(near, { ...open, onNews: news.resolve }),
    SyncChannel.open(far, open),
  ]);
  stack.use(channel);
  const book = stack.use(new LockBook(sandbox.path("state"), { clock: systemClock }));
  const folders = () => Promise.resolve([{ path: roots.remote, way: rightNow() }]);
  const served = serveFolder({
    channel: farChannel,
    nextLink: next(1),
    settings: settings("remote"),
    locks: new ServedLocks({ book, machine: "cc".repeat(32), folders, home: "/nowhere", now: Date.now }),
    find: async (path) =>
      await findServed(path, {
        allowed: await folders(),
        home: "/nowhere",
        stateDir: sandbox.path("state"),
        queue,
        trashMs: 1e9,
        now,
      }),
    clock: systemClock,
  }).catch(async (error) => {
    await farChannel.fail(error);
    return error;
  });
  stack.defer(async () => {
    await channel[Symbol.asyncDispose]();
    await served;
  });
  stack.use(await openOwnFolder(roots.local));
  const common = { queue, exclude: [], oneFileSystem: false, now };
  const local = new LocalEnd(roots.local, { ...common, abilities: ALL_ABILITIES });
  if (cut?.link !== "control") await begin(channel, way);
  await sandbox.folder("pages");
  const ours = settings("local");
  const remote = new RemoteEnd({
    channel,
    nextLink: next(0),
    queue,
    settings: () => Promise.resolve(ours),
    cache: stack.use(PageCache.open(`${sandbox.path("pages")}/cache.db`)),
    abilities: ALL_ABILITIES,
    exclude: [],
    now: Date.now,
  });
  return {
    sandbox,
    local,
    remote,
    roots,
    channel,
    book,
    news: news.promise,
    served,
    bytesSent: () => counted.sum(),
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

/** Names the only folder that is served and begins a run. */
export async function begin(channel: SyncChannel, way?: Way): Promise<void> {
  await channel.send({ type: "look", path: new Uint8Array() });
  await channel.expect("looked");
  await channel.send({
    type: "begin",
    one_file_system: false,
    skip_symlinks: false,
    dry_run: false,
    ...way && { way },
  });
  await channel.expect("begun");
}

/** What {@linkcode runPair} is to do; what is left out is as in a first run without flags. */
export interface PairRun {
  /** Which end is alpha. */
  readonly first?: "local" | "remote";
  readonly mode?: Policy["mode"];
  readonly ancestor?: Snapshot;
  /** Told what both agree on, also in a run that breaks off after that. */
  save?(agreed: Snapshot): void;
}

/** Runs the real machine over both ends once; gives the next ancestor beside what was done. */
export async function runPair(
  pair: FarPair,
  { first = "local", mode = "two-way-safe", ancestor = Snapshot.empty(2), save }: PairRun = {},
): Promise<{ agreed: Snapshot; outcome: Awaited<ReturnType<typeof synchronize>> }> {
  let agreed = ancestor;
  const outcome = await synchronize({
    ends: asEnds(pair, first).ends,
    names: ["alpha", "beta"],
    policy: { mode, prefer: "alpha", permissions: "all", conflictName: (path) => `${path}.copy` },
    maxDelete: { share: 1 },
    ancestor,
    save(next) {
      agreed = next;
      save?.(next);
    },
    now: Date.now,
  });
  return { agreed, outcome };
}

/** Gives the pair as the compliance suite takes it, the remote end first or second. */
export function asEnds({ local, remote, roots }: FarPair, first: "local" | "remote"): {
  ends: readonly [End, End];
  roots: readonly [string, string];
} {
  return first === "local"
    ? { ends: [local, remote], roots: [roots.local, roots.remote] }
    : { ends: [remote, local], roots: [roots.remote, roots.local] };
}
