/** The client's side of a sync session: finds a known machine, and gives a folder of it as an end. */
import { type Clock, systemClock } from "../../base/clock.ts";
import { WormholeError } from "../../base/errors.ts";
import { decodeName, encodeName } from "../../base/names.ts";
import type { Folders } from "../../config/paths.ts";
import type { CompressionMode } from "../../content/mod.ts";
import { syncSecret } from "../../pairing/known_place.ts";
import {
  joinKnown,
  type Machine,
  type MetPeer,
  noteMeeting,
  openMachine,
  type SessionEvent,
  withDeadline,
} from "../../session/mod.ts";
import { KnownContent, openJournal, type Progress, versionKey } from "../../transfer/mod.ts";
import { allowedTransports, type PeerConnection, type TransportChoice } from "../../transport/mod.ts";
import type { Journal } from "../../store/mod.ts";
import type { Abilities } from "../policy.ts";
import { SyncChannel } from "./channel.ts";
import type { PageCache } from "./page_cache.ts";
import { RemoteEnd } from "./remote_end.ts";
import type { TransferSettings } from "./settings.ts";

/** What either side of a sync session needs of the settings. */
export interface SessionSettings {
  readonly folders: Folders;
  /** Program and version: `wormhole/0.1.0`. */
  readonly agent: string;
  /** Address of a hub; "" for none. */
  readonly hub: string;
  readonly transport: TransportChoice;
  readonly forceTcp: boolean;
  readonly portMapping: boolean;
  readonly minStreams: number;
  readonly maxStreams: number;
  readonly poolBytes: number;
  readonly chunkBytes: number;
  readonly compression: CompressionMode;
  readonly compressionLevel: number;
  readonly io?: string;
  readonly cacheDir: string;
  readonly maxChunks: number;
  /** Look for what the other side offers among what is here. */
  readonly dedup: boolean;
  onWarning?(sentence: string): void;
  readonly clock?: Clock;
  readonly signal: AbortSignal;
}

/** Options of {@linkcode SyncSession.connect}. */
export interface ConnectOptions extends SessionSettings {
  /** What the person calls the other machine. */
  readonly name: string;
  /** `host:port` of the other side's own mailbox. */
  readonly peer?: string;
  /** How long to look for the other machine, in ms. */
  readonly timeoutMs: number;
  onEvent?(event: SessionEvent): void;
  onProgress?(progress: Progress): void;
  /** Told each time that something has changed in the folder of the other side. */
  onNews?(): void;
}

/** How a run begins at the other side. */
export interface BeginOptions {
  readonly oneFileSystem: boolean;
  readonly skipSymlinks: boolean;
  readonly dryRun: boolean;
  readonly exclude: readonly string[];
  readonly cache: PageCache;
  readonly signal?: AbortSignal;
}

/** A connection to another machine with which folders are synchronized, one run after the other. */
export class SyncSession implements AsyncDisposable {
  /** 32 bytes. */
  readonly peerKey: Uint8Array;
  readonly #channel: SyncChannel;
  readonly #connection: PeerConnection;
  readonly #settings: TransferSettings;
  readonly #stack: AsyncDisposableStack;

  private constructor(
    { channel, connection, settings, stack }: {
      channel: SyncChannel;
      connection: PeerConnection;
      settings: TransferSettings;
      stack: AsyncDisposableStack;
    },
  ) {
    this.#channel = channel;
    this.#connection = connection;
    this.#settings = settings;
    this.#stack = stack;
    this.peerKey = connection.peerKey;
  }

  /**
   * Finds the machine and greets it.
   *
   * @throws {WormholeError} NOT_FOUND for a machine that is not known; TIMEOUT when it was not reached in time; CONNECT_FAILED and
   * its kin; the signal's reason.
   */
  static async connect(options: ConnectOptions): Promise<SyncSession> {
    const { clock = systemClock, onNews, onProgress, agent } = options;
    await using opened = new AsyncDisposableStack();
    const machine = opened.use(await openMachine(options.folders));
    const connection = opened.use(await reach(options, machine));
    const settings = await transferSettings(options, { machine, stack: opened });
    const channel = opened.use(
      await SyncChannel.open(connection, {
        agent,
        clock,
        ...onNews && { onNews: () => onNews.call(options) },
      }),
    );
    // Whoever waits for an answer of the other side does so no longer.
    const stop = () => void channel.fail(options.signal.reason);
    options.signal.addEventListener("abort", stop, { once: true });
    opened.defer(() => options.signal.removeEventListener("abort", stop));
    if (options.signal.aborted) stop();
    return new SyncSession({
      channel,
      connection,
      settings: { ...settings, ...onProgress && { onProgress: (each) => onProgress.call(options, each) } },
      stack: opened.move(),
    });
  }

  /** Aborts when the other machine is gone. */
  get signal(): AbortSignal {
    return this.#channel.signal;
  }

  /** Names the folder of the next run. @throws {WormholeError} REFUSED, NOT_FOUND and its kin. */
  async look(path: string): Promise<{ place: string; identity: string | undefined }> {
    await this.#channel.send({ type: "look", path: encodeName(path) });
    const { place, identity } = await this.#channel.expect("looked");
    return { place: decodeName(place), identity: identity?.toHex() };
  }

  /** Locks the folder; a run may begin. @throws {WormholeError} BUSY; what the other side's disk says. */
  async begin(
    { oneFileSystem, skipSymlinks, dryRun, exclude, cache, signal }: BeginOptions,
  ): Promise<{ identity: string; end: RemoteEnd }> {
    await this.#channel.send({
      type: "begin",
      one_file_system: oneFileSystem,
      skip_symlinks: skipSymlinks,
      dry_run: dryRun,
    });
    const { identity, ...begun } = await this.#channel.expect("begun");
    const abilities: Abilities = {
      foldsCase: begun.folds_case,
      normalizes: begun.normalizes,
      permissions: begun.permissions,
      symlinks: begun.symlinks,
    };
    const end = new RemoteEnd({
      channel: this.#channel,
      nextLink: ({ signal }) => this.#dial(signal),
      settings: this.#settings,
      cache,
      abilities,
      exclude,
      ...signal && { signal },
    });
    return { identity: identity?.toHex() ?? "", end };
  }

  /** Asks to be told of the next change in the folder that was looked at last. */
  async watch(): Promise<void> {
    await this.#channel.send({ type: "watch" });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#stack.disposeAsync();
  }

  async #dial(signal: AbortSignal): Promise<PeerConnection> {
    const { renewal } = this.#connection;
    if (renewal === undefined) throw new WormholeError("INTERNAL", "a session with a peer can be renewed");
    return await renewal.dial({ signal });
  }
}

/** Gives what transfers of a session work with; what has to be closed goes onto `stack`. */
export async function transferSettings(
  options: SessionSettings,
  { machine, stack }: { machine: Machine; stack: AsyncDisposableStack },
): Promise<TransferSettings> {
  const {
    agent,
    minStreams,
    maxStreams,
    poolBytes,
    chunkBytes,
    compression,
    compressionLevel,
    io,
    onWarning,
  } = options;
  const warn = onWarning && ((sentence: string) => onWarning.call(options, sentence));
  const { cacheDir, maxChunks } = options;
  const content = stack.use(new KnownContent({ cacheDir, maxChunks, ...warn && { onWarning: warn } }));
  const journal = await journalFor(options.folders, warn);
  if (journal !== undefined) stack.use(journal);
  return {
    queue: machine.queue,
    agent,
    minStreams,
    maxStreams,
    poolBytes,
    chunkBytes,
    compression,
    compressionLevel,
    ...io !== undefined && { io },
    versionKey: versionKey(machine.identity.seed),
    content,
    dedup: options.dedup,
    ...journal && { journal },
    ...warn && { onWarning: warn },
  };
}

/** Without it a large file that was cut off comes whole again. */
async function journalFor(
  folders: Folders,
  warn: ((sentence: string) => void) | undefined,
): Promise<Journal | undefined> {
  try {
    return await openJournal(folders, { ...warn && { onReplaced: warn } });
  } catch (error) {
    warn?.(
      `What arrives is not kept for another try: ${error instanceof Error ? error.message : String(error)}`,
    );
    return undefined;
  }
}

async function reach(options: ConnectOptions, machine: Machine): Promise<PeerConnection> {
  const { name, hub, peer, timeoutMs, onEvent, onWarning, clock = systemClock, signal } = options;
  const known = await machine.peers.find(name);
  let met: MetPeer | undefined;
  const warn = onWarning && ((sentence: string) => onWarning.call(options, sentence));
  const connection = await withDeadline((signal) =>
    joinKnown({
      queue: machine.queue,
      identity: machine.identity,
      crypto: machine.crypto,
      lan: machine.lan,
      agent: options.agent,
      transports: allowedTransports({ choice: options.transport, forceTcp: options.forceTcp }),
      portMapping: options.portMapping,
      ...onEvent && { onEvent: (event: SessionEvent) => onEvent.call(options, event) },
      onMet: (peer) => void (met = peer),
      known: { ...known, secret: syncSecret(machine.crypto, known.secret) },
      stillKnown: () => machine.peers.stillKnows(known),
      ways: {
        hub,
        registry: machine.registry,
        lan: machine.lan,
        ...peer !== undefined && { peer },
        ...warn && { onWarning: warn },
      },
      signal,
    }), {
    ms: timeoutMs,
    late: (cause) => {
      const state = `it was not reached within ${
        Math.round(timeoutMs / 1000)
      } s; does wormhole sync serve run there?`;
      return new WormholeError("TIMEOUT", `Cannot synchronize with "${known.name}": ${state}`, { cause });
    },
    clock,
    signal,
  });
  await noteMeeting(met!, {
    book: machine.peers,
    identity: machine.identity,
    isKnown: true,
    onRemembered: () => {},
    onWarning: (sentence) => warn?.(sentence),
  });
  return connection;
}
