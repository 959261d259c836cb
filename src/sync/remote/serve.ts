/**
 * `wormhole sync serve`: waits for every machine that has the right to synchronize a folder here, for ever, and serves each that
 * comes. It never prints; the command does.
 */
import { anySignal } from "../../base/any_signal.ts";
import { type Clock, systemClock } from "../../base/clock.ts";
import { isWormholeError, WormholeError } from "../../base/errors.ts";
import { LockBook } from "../../locks/mod.ts";
import { type Peer, type SharedFolder, sharedFolders } from "../../peers/mod.ts";
import { hostKnown, type Machine, openMachine } from "../../session/mod.ts";
import type { PeerConnection } from "../../transport/mod.ts";
import { type FileIndex, openIndex } from "../../store/mod.ts";
import { type Look, LookAhead } from "../look_ahead.ts";
import { wayTo } from "./asked_path.ts";
import { SyncChannel } from "./channel.ts";
import { meetForSync } from "./meet.ts";
import { OpenFolders } from "./open_folders.ts";
import { serveFolder } from "./serve_folder.ts";
import { ServedLocks } from "./serve_locks.ts";
import { Latest } from "./latest.ts";
import { findServed } from "./served_folders.ts";
import type { SyncSessionSettings } from "./session.ts";
import type { TransferSettings } from "./settings.ts";
import { SpareMemory } from "./spare_memory.ts";
import { transferSettings } from "./transfer_settings.ts";

/** What happens while folders are served. */
export type ServeEvent =
  /** This machine is waited for from now on. */
  | { readonly type: "waiting"; readonly name: string; readonly folders: readonly SharedFolder[] }
  | { readonly type: "connected"; readonly name: string; readonly remote: string }
  /** Its session is over; `error`: not because it wanted. */
  | { readonly type: "left"; readonly name: string; readonly error?: WormholeError };

/** Options of {@linkcode serveSync}. */
export interface ServeSyncOptions extends SyncSessionSettings {
  /** What a relative path that a machine names is below. */
  readonly home: string;
  /** Port for the mailbox that `--peer` names; 0 takes one that both know. Only one machine can have another. */
  readonly port: number;
  /** How long what is displaced stays in the trash, in ms. */
  readonly trashMs: number;
  /** Sessions that one machine may have at a time; {@linkcode MAX_SESSIONS} when left out. */
  readonly maxSessions?: number;
  onEvent(event: ServeEvent): void;
}

/** How often the list of known machines is looked at, in ms: a right is given while this runs. */
const LOOK_MS = 1000;

/**
 * How long a machine that was found may take to connect, in ms: one that was ended just then comes again, and is only found after
 * that. Less than the 20 s for which `wormhole sync` looks, and more than a relay takes.
 */
const CONNECT_MS = 10_000;

/** Sessions that one machine may have at a time: as many as folders with one kind of right, each of which it may watch. */
const MAX_SESSIONS = 64;

/** Pauses after a failure to wait for a machine, in ms: each is twice the one before. */
const FIRST_PAUSE_MS = 1000, MAX_PAUSE_MS = 60_000;

/**
 * Serves until the signal aborts. A list of known machines that cannot be read meanwhile ends nothing: what is under way goes on, and
 * whatever begins is refused until it can be read again.
 *
 * @throws {WormholeError} what the list of known machines throws at first; the signal's reason.
 */
export async function serveSync(options: ServeSyncOptions): Promise<never> {
  const { clock = systemClock, signal } = options;
  await using stack = new AsyncDisposableStack();
  const machine = stack.use(await openMachine(options.folders));
  const settings = await transferSettings(options, { machine, stack });
  const { cacheDir, maxChunks, onWarning } = options;
  const warn = onWarning && ((sentence: string) => onWarning.call(options, sentence));
  const index = stack.use(await openIndex(cacheDir, { maxChunks, ...warn && { onWarning: warn } }));
  const book = stack.use(new LockBook(options.folders.stateDir, { clock }));
  const list = new Latest(() => machine.peers.list(), (sentence) => options.onWarning?.(sentence));
  const context: Context = {
    options,
    machine,
    settings,
    clock,
    index,
    book,
    list,
    open: new OpenFolders(clock),
    memory: new SpareMemory(machine.queue),
  };
  const waiting = new Map<string, { stop: AbortController; done: Promise<void>; visits: Set<Visit> }>();
  try {
    for (;;) {
      const peers = (await list.read()).filter(({ rights }) => sharedFolders(rights).length > 0);
      const wanted = new Map(peers.map((peer) => [keyOf(peer), peer]));
      for (const [key, { stop, done }] of waiting) {
        if (wanted.has(key)) continue;
        waiting.delete(key);
        stop.abort(takenBack());
        await done;
      }
      for (const [key, peer] of wanted) {
        const there = waiting.get(key);
        if (there !== undefined) {
          endOthers(there.visits, sharedFolders(peer.rights));
          continue;
        }
        const stop = new AbortController();
        options.onEvent({ type: "waiting", name: peer.name, folders: sharedFolders(peer.rights) });
        const visits = new Set<Visit>();
        const done = waitFor(peer, { visits, signal: anySignal(signal, stop.signal) }, context);
        waiting.set(key, { stop, done, visits });
      }
      await clock.sleep(LOOK_MS, { signal });
    }
  } finally {
    for (const { stop } of waiting.values()) stop.abort();
    await Promise.all([...waiting.values()].map(({ done }) => done));
  }
}

interface Context {
  readonly options: ServeSyncOptions;
  readonly machine: Machine;
  readonly settings: TransferSettings;
  readonly clock: Clock;
  readonly index: FileIndex;
  readonly book: LockBook;
  readonly list: Latest<readonly Peer[]>;
  readonly open: OpenFolders;
  readonly memory: SpareMemory;
}

/** A session with a machine. */
interface Visit {
  /** The folder that it is about, with the right that there was. */
  folder?: SharedFolder;
  end(error: WormholeError): void;
}

/** Ends the sessions that are about folders to which there is no right any more, or less than there was. */
function endOthers(visits: ReadonlySet<Visit>, allowed: readonly SharedFolder[]): void {
  for (const { folder, end } of visits) {
    if (folder === undefined) continue;
    const way = wayTo(allowed, folder.path);
    if (way === undefined || (way !== "both" && way !== folder.way)) end(takenBack());
  }
}

function takenBack(): WormholeError {
  return new WormholeError("REFUSED", "Cannot serve any more: the right was taken back");
}

function tooMany(sessions: number): WormholeError {
  return new WormholeError("BUSY", `Cannot serve one more session: the machine has ${sessions} here already`);
}

/** A machine whose secret is another now is waited for anew. */
function keyOf({ key, secret }: Peer): string {
  return `${key.toHex()} ${secret.toHex()}`;
}

/** A machine that is waited for, and its sessions. */
interface Guest {
  readonly visits: Set<Visit>;
  readonly signal: AbortSignal;
}

/** What a machine is likely to ask for when it comes again: what it asked for in its last session. */
interface Habit {
  look?: Look | undefined;
}

/** The look that began as soon as it was sure who comes. */
type Early = Promise<LookAhead | undefined> | undefined;

/** Waits for one machine again and again. */
async function waitFor(peer: Peer, guest: Guest, context: Context): Promise<void> {
  const { options, clock, list } = context;
  const { maxSessions = MAX_SESSIONS } = options;
  const { signal } = guest;
  const sessions = new Set<Promise<void>>();
  const habit: Habit = {};
  let warned = "";
  for (let pause = FIRST_PAUSE_MS; !signal.aborted;) {
    let early: Early;
    const onMet = () => {
      const { look } = habit;
      early ??= look && LookAhead.begin({ ...look, queue: context.machine.queue, clock });
    };
    try {
      const connection = await host(peer, { signal, onMet }, context);
      pause = FIRST_PAUSE_MS;
      const refusal = sessions.size >= maxSessions ? tooMany(sessions.size) : undefined;
      const about = { ...guest, habit, early };
      const session = serveOne(peer, { connection, refusal }, about, context).finally(() =>
        sessions.delete(session)
      );
      sessions.add(session);
    } catch (error) {
      await (await early)?.[Symbol.asyncDispose]();
      if (signal.aborted) break;
      if (!isWormholeError(error)) throw error;
      if (error.code === "CONFIG_INVALID") list.failed(error);
      else if (error.message !== warned) options.onWarning?.(warned = error.message);
      await clock.sleep(pause, { signal }).catch(() => {}); // The end is seen above.
      pause = Math.min(pause * 2, MAX_PAUSE_MS);
    }
  }
  await Promise.all(sessions);
}

async function host(
  peer: Peer,
  { signal, onMet }: { signal: AbortSignal; onMet(): void },
  { options, machine }: Context,
): Promise<PeerConnection> {
  const { hub, port, onWarning } = options;
  return await meetForSync(hostKnown, {
    known: peer,
    machine,
    settings: options,
    ways: {
      hub,
      mailboxPort: port,
      ...onWarning && { onWarning: (sentence: string) => onWarning.call(options, sentence) },
    },
    connectTimeoutMs: CONNECT_MS,
    onEvent: ({ type }) => type === "connecting" && onMet(),
    within: (search) => search(signal),
  });
}

async function serveOne(
  peer: Peer,
  { connection, refusal }: { connection: PeerConnection; refusal: WormholeError | undefined },
  { visits, signal, habit, early }: Guest & { habit: Habit; early: Early },
  context: Context,
): Promise<void> {
  const { options, machine, settings, clock, index, book, open, memory } = context;
  const { name } = peer;
  // As it is now: a right may have been given or taken back since.
  const allowed = async () => {
    const now = (await machine.peers.list()).find((each) => keyOf(each) === keyOf(peer));
    return now === undefined ? [] : sharedFolders(now.rights);
  };
  options.onEvent({ type: "connected", name, remote: connection.remote });
  let failure: WormholeError | undefined;
  let channel: SyncChannel | undefined;
  let looked: Look | undefined;
  try {
    await using _early = await early;
    await using session = connection;
    if (refusal !== undefined) {
      await session.close(refusal.code);
      throw refusal;
    }
    await using opened = channel = await SyncChannel.open(session, { agent: options.agent, clock });
    const end = () => void opened.fail(signal.reason);
    signal.addEventListener("abort", end, { once: true });
    if (signal.aborted) end();
    const visit: Visit = { end: (error) => void opened.fail(error) };
    visits.add(visit);
    try {
      await serveFolder({
        channel: opened,
        nextLink: ({ signal }) => taken(session, signal),
        settings,
        find: async (path) => {
          const look = await early;
          const served = await findServed(path, {
            ...look && { look },
            onLook: (each) => void (looked = each),
            allowed: await allowed(),
            home: options.home,
            stateDir: options.folders.stateDir,
            queue: machine.queue,
            index,
            trashMs: options.trashMs,
            onWarning: (sentence) => options.onWarning?.(sentence),
            now: () => clock.now(),
          });
          visit.folder = { path: served.place, way: served.way };
          return {
            ...served,
            begin: (about, over) => open.begin(served, about, { ...over, channel: opened }),
          };
        },
        locks: new ServedLocks({
          book,
          machine: peer.key.toHex(),
          folders: allowed,
          home: options.home,
          now: () => clock.now(),
        }),
        clock,
        onRunEnded: () => memory.giveBack(),
      });
    } catch (error) {
      await opened.fail(error);
      throw error;
    } finally {
      visits.delete(visit);
      signal.removeEventListener("abort", end);
    }
  } catch (error) {
    if (!signal.aborted && !channel?.wasEnded) failure = failureOf(error);
  }
  habit.look = looked;
  options.onEvent({ type: "left", name, ...failure && { error: failure } });
  // Also of a run that was cut off.
  await memory.giveBack();
}

/** A fault of the program ends one session and is told; the other machines are still served. */
function failureOf(error: unknown): WormholeError {
  if (isWormholeError(error)) return error;
  const reason = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  return new WormholeError("INTERNAL", `Cannot go on: ${reason}`, { cause: error });
}

async function taken(session: PeerConnection, signal: AbortSignal): Promise<PeerConnection> {
  if (session.renewal === undefined) {
    throw new WormholeError("INTERNAL", "a session with a peer can be renewed");
  }
  // The control stream's link works: every further one is for a transfer.
  return await session.renewal.arrival({ isLost: () => true, signal });
}
