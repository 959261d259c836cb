/** The session with the machine that one of two folders is of, for as long as a command runs. */
import { anySignal } from "../base/any_signal.ts";
import { isWormholeError, WormholeError } from "../base/errors.ts";
import type { FolderThere } from "../sync/mod.ts";
import { SyncSession } from "../sync/remote/session.ts";
import type { Context } from "./context.ts";
import type { FarFolder } from "./far_path.ts";
import type { SyncArgs } from "./table.ts";
import { AGENT, peerEvent, ProgressShow } from "./transfer_show.ts";

/** Failures that are the connection's, so that another one may do better. */
export const LINK_CODES = ["CONNECTION_LOST", "PEER_FROZEN", "TIMEOUT", "CONNECT_FAILED"] as const;

/** Pauses before another try, in ms: each is twice the one before. */
const FIRST_PAUSE_MS = 1000, MAX_PAUSE_MS = 60_000;

/** The session with the other machine, made when it is needed and anew when it was lost. */
export class FarLink implements AsyncDisposable {
  readonly #folder: FarFolder;
  readonly #context: Context<SyncArgs>;
  readonly #onNews: (() => void) | undefined;
  readonly #over = new AbortController();
  /** The session that {@linkcode FarLink.begin} has begun and nobody has taken. */
  #begun: Promise<SyncSession> | undefined;
  readonly #met = Promise.withResolvers<void>();
  #session: SyncSession | undefined;
  #pauseMs = FIRST_PAUSE_MS;
  /** When the connection was lost; a run that was cut off may go on until too long after it. */
  #lostAt: number | undefined;

  constructor(folder: FarFolder, context: Context<SyncArgs>, { onNews }: { onNews?: () => void } = {}) {
    this.#folder = folder;
    this.#context = context;
    this.#onNews = onNews;
  }

  /** Begins to make the session, so that other things can be done until it is needed. */
  begin(): void {
    this.#begun = this.#connect();
    this.#begun.catch(() => {}).finally(this.#met.resolve); // Whoever needs it is told.
  }

  /** Resolves once the two machines have found each other, or the session that was begun came to nothing. */
  get met(): Promise<void> {
    return this.#met.promise;
  }

  /** Gives the folder over a session that works. @throws {WormholeError} as `SyncSession.connect`. */
  async there(): Promise<FolderThere> {
    const { side, name, path } = this.#folder;
    if (this.#session?.signal.aborted) await this.drop();
    if (this.#session === undefined) {
      const begun = this.#begun;
      this.#begun = undefined;
      this.#session = await (begun ?? this.#connect());
    }
    return { side, name, session: this.#session, path, isWatched: this.#onNews !== undefined };
  }

  /** Runs `run`, again where only the connection failed: until it was away for too long, or for ever with `forEver`. */
  async run<T>(run: (there: FolderThere) => Promise<T>, { forEver }: { forEver: boolean }): Promise<T> {
    const { clock, config, output, signal } = this.#context;
    let warned = "";
    for (;;) {
      const hadSession = this.#session !== undefined && !this.#session.signal.aborted;
      try {
        const result = await run(await this.there());
        this.#pauseMs = FIRST_PAUSE_MS;
        this.#lostAt = undefined;
        return result;
      } catch (error) {
        const isCut = this.#session !== undefined || hadSession || this.#lostAt !== undefined;
        // Where the run itself failed the other side may be in its midst.
        if (!isWormholeError(error, "CONFLICTS", "PARTIAL")) await this.drop();
        if (signal.aborted || !isWormholeError(error, ...LINK_CODES) || !(forEver || isCut)) throw error;
        const now = clock.monotonic();
        this.#lostAt ??= now;
        if (!forEver && now + this.#pauseMs - this.#lostAt > config.reconnect) throw error;
        if (error.message !== warned) output.emit({ event: "warning", message: warned = error.message });
        await clock.sleep(this.#pauseMs, { signal });
        this.#pauseMs = Math.min(2 * this.#pauseMs, MAX_PAUSE_MS);
      }
    }
  }

  /** Asks to be told of the next change there; a session that is gone is noticed by the next run. */
  async watch(): Promise<void> {
    try {
      await this.#session?.watch();
    } catch (error) {
      if (!isWormholeError(error)) throw error;
    }
  }

  /** Calls `run` when the session is gone, unless disposed of before. */
  onLost(run: () => void): Disposable {
    const { signal } = this.#session ?? {};
    if (signal?.aborted) run();
    else signal?.addEventListener("abort", run, { once: true });
    return { [Symbol.dispose]: () => signal?.removeEventListener("abort", run) };
  }

  /** Ends the session. */
  async drop(): Promise<void> {
    const session = this.#session;
    this.#session = undefined;
    await session?.[Symbol.asyncDispose]().catch((error) => {
      // It was lost; why is known already.
      if (!isWormholeError(error)) throw error;
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#begun !== undefined) {
      this.#over.abort(new WormholeError("CANCELLED", "nobody needs that session any more"));
      this.#session = await this.#begun.catch(() => undefined);
    }
    await this.drop();
  }

  async #connect(): Promise<SyncSession> {
    const { args, output, terminal } = this.#context;
    const show = terminal.interactive && !args.json ? new ProgressShow(this.#context) : undefined;
    return await SyncSession.connect({
      ...sessionSettings(this.#context),
      signal: anySignal(this.#context.signal, this.#over.signal),
      name: this.#folder.name,
      ...args.peer !== undefined && { peer: args.peer },
      timeoutMs: args.timeout,
      onEvent: (event) => {
        if (event.type === "connecting") this.#met.resolve();
        if (event.type === "connected") show?.connected(event);
        const peer = peerEvent(event);
        if (peer && (args.json || terminal.interactive)) output.emit(peer);
      },
      ...show && { onProgress: (progress) => show.progress(progress) },
      ...this.#onNews && { onNews: this.#onNews },
    });
  }
}

/** What both sides of a sync session take from flags and settings. */
export function sessionSettings(
  { args, config, settings, output, clock, signal }: Context<Pick<SyncArgs, "transport">>,
) {
  return {
    folders: settings.folders,
    agent: AGENT,
    hub: config.signalServer,
    transport: args.transport,
    forceTcp: config.forceTcp,
    portMapping: config.portMapping,
    minStreams: config.minStreams,
    maxStreams: config.maxStreams,
    poolBytes: config.bufferPoolSize,
    chunkBytes: config.bulkChunkSize,
    compression: "auto" as const,
    compressionLevel: config.compressionLevel,
    io: config.debugIo,
    cacheDir: config.cacheDir,
    maxChunks: config.dedupIndexSize,
    dedup: config.dedup,
    onWarning: (message: string) => output.emit({ event: "warning", message }),
    clock,
    signal,
  };
}
