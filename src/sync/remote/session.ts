/** The client's side of a sync session: finds a known machine, and gives a folder of it as an end. */
import { type Clock, systemClock } from "../../base/clock.ts";
import { isWormholeError, WormholeError } from "../../base/errors.ts";
import { decodeName, encodeName } from "../../base/names.ts";
import type { Folders } from "../../config/paths.ts";
import type { Way } from "../../peers/mod.ts";
import { withDeadline } from "../../session/deadline.ts";
import { joinKnown } from "../../session/known_session.ts";
import { type Machine, openMachine } from "../../session/machine.ts";
import type { SessionEvent, SessionSettings } from "../../session/mod.ts";
import type { Progress, SendSettings } from "../../transfer/mod.ts";
import type { PeerConnection } from "../../transport/mod.ts";
import type { Abilities } from "../policy.ts";
import { notSynchronized, SyncChannel } from "./channel.ts";
import { FarLocks } from "./far_locks.ts";
import { meetForSync } from "./meet.ts";
import type { PageCache } from "./page_cache.ts";
import type { RemoteEnd } from "./remote_end.ts";
import type { TransferSettings } from "./settings.ts";

/** What either side of a sync session needs of the settings. */
export interface SyncSessionSettings extends SessionSettings, SendSettings {
  readonly folders: Folders;
  /** Address of a hub; "" for none. */
  readonly hub: string;
  readonly io?: string;
  readonly cacheDir: string;
  readonly maxChunks: number;
  /** Look for what the other side offers among what is here. */
  readonly dedup: boolean;
  onWarning?(sentence: string): void;
  readonly clock?: Clock;
  readonly signal: AbortSignal;
}

/** What it means when not even a greeting is answered. */
const TOO_MANY = "this machine has as many sessions there as one may have";

/** Options of {@linkcode SyncSession.connect}. */
export interface ConnectOptions extends SyncSessionSettings {
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
  /** What the run is going to do, as the other side sees it. */
  readonly way: Way;
  /** ms since 1970. */
  readonly now: () => number;
  readonly signal?: AbortSignal;
}

/** A connection to another machine with which folders are synchronized, one run after the other. */
export class SyncSession implements AsyncDisposable {
  /** 32 bytes. */
  readonly peerKey: Uint8Array;
  /** Between runs. */
  readonly locks: FarLocks;
  readonly #channel: SyncChannel;
  readonly #connection: PeerConnection;
  readonly #machine: Machine;
  readonly #options: ConnectOptions;
  readonly #stack: AsyncDisposableStack;
  #settings: Promise<TransferSettings> | undefined;

  private constructor(
    { channel, connection, machine, options, stack }: {
      channel: SyncChannel;
      connection: PeerConnection;
      machine: Machine;
      options: ConnectOptions;
      stack: AsyncDisposableStack;
    },
  ) {
    this.#channel = channel;
    this.#connection = connection;
    this.#machine = machine;
    this.#options = options;
    this.#stack = stack;
    this.peerKey = connection.peerKey;
    this.locks = new FarLocks(channel);
  }

  /**
   * Finds the machine and greets it.
   *
   * @throws {WormholeError} NOT_FOUND for a machine that is not known; TIMEOUT when it was not reached in time; BUSY when it serves
   * this one too often already; CONNECT_FAILED and its kin; the signal's reason.
   */
  static async connect(options: ConnectOptions): Promise<SyncSession> {
    const { clock = systemClock, onNews, agent } = options;
    await using opened = new AsyncDisposableStack();
    const machine = opened.use(await openMachine(options.folders));
    const connection = opened.use(await reach(options, machine));
    const greeting = SyncChannel.open(connection, {
      agent,
      clock,
      ...onNews && { onNews: () => onNews.call(options) },
    });
    const channel = opened.use(
      await greeting.catch((error) => {
        throw isWormholeError(error, "BUSY") ? notSynchronized("BUSY", TOO_MANY) : error;
      }),
    );
    // Whoever waits for an answer of the other side does so no longer.
    const stop = () => void channel.fail(options.signal.reason);
    options.signal.addEventListener("abort", stop, { once: true });
    opened.defer(() => options.signal.removeEventListener("abort", stop));
    if (options.signal.aborted) stop();
    return new SyncSession({ channel, connection, machine, options, stack: opened.move() });
  }

  /** Aborts when the other machine is gone. */
  get signal(): AbortSignal {
    return this.#channel.signal;
  }

  /** Names the folder of the next run; `way`: what there is a right to. @throws {WormholeError} REFUSED, NOT_FOUND and its kin. */
  async look(path: string): Promise<{ place: string; identity: string | undefined; way: Way }> {
    await this.#channel.send({ type: "look", path: encodeName(path) });
    const { place, identity, way = "both" } = await this.#channel.expect("looked");
    return { place: decodeName(place), identity: identity?.toHex(), way };
  }

  /** Locks the folder; a run may begin. @throws {WormholeError} BUSY; what the other side's disk says. */
  async begin(
    { oneFileSystem, skipSymlinks, dryRun, exclude, cache, way, now, signal }: BeginOptions,
  ): Promise<{ identity: string; end: RemoteEnd }> {
    await this.#channel.send({
      type: "begin",
      one_file_system: oneFileSystem,
      skip_symlinks: skipSymlinks,
      dry_run: dryRun,
      ...way !== "both" && { way },
    });
    const { identity, ...begun } = await this.#channel.expect("begun");
    const abilities: Abilities = {
      foldsCase: begun.folds_case,
      normalizes: begun.normalizes,
      permissions: begun.permissions,
      symlinks: begun.symlinks,
    };
    const { RemoteEnd }: typeof import("./remote_end.ts") = await import("./remote_end.ts" as string);
    const end = new RemoteEnd({
      channel: this.#channel,
      nextLink: ({ signal }) => this.#dial(signal),
      queue: this.#machine.queue,
      settings: () => this.#settings ??= this.#openSettings(),
      cache,
      abilities,
      exclude,
      now,
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

  /** Made for the first transfer: most runs have none. */
  async #openSettings(): Promise<TransferSettings> {
    const { transferSettings }: typeof import("./transfer_settings.ts") = await import(
      "./transfer_settings.ts" as string
    );
    const { onProgress } = this.#options;
    return {
      ...await transferSettings(this.#options, { machine: this.#machine, stack: this.#stack }),
      ...onProgress && { onProgress: (each) => onProgress.call(this.#options, each) },
    };
  }

  async #dial(signal: AbortSignal): Promise<PeerConnection> {
    const { renewal } = this.#connection;
    if (renewal === undefined) throw new WormholeError("INTERNAL", "a session with a peer can be renewed");
    return await renewal.dial({ signal });
  }
}

async function reach(options: ConnectOptions, machine: Machine): Promise<PeerConnection> {
  const { name, hub, peer, timeoutMs, onEvent, onWarning, clock = systemClock, signal } = options;
  const known = await machine.peers.find(name);
  return await meetForSync(joinKnown, {
    known,
    machine,
    settings: options,
    ways: {
      hub,
      ...peer !== undefined && { peer },
      ...onWarning && { onWarning: (sentence: string) => onWarning.call(options, sentence) },
    },
    ...onEvent && { onEvent: (event: SessionEvent) => onEvent.call(options, event) },
    within: (search) =>
      withDeadline(search, {
        ms: timeoutMs,
        late: (cause) => {
          const seconds = Math.round(timeoutMs / 1000);
          const state = `it was not reached within ${seconds} s; does wormhole sync serve run there?`;
          return new WormholeError("TIMEOUT", `Cannot synchronize with "${known.name}": ${state}`, { cause });
        },
        clock,
        signal,
      }),
  });
}
