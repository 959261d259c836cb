import { anySignal } from "../base/any_signal.ts";
import { type Clock, systemClock } from "../base/clock.ts";
import { type ErrorCode, isWormholeError, WormholeError } from "../base/errors.ts";
import { type CodecChoice, COMPRESSION_RULES, type CompressionMode } from "../content/mod.ts";
import type { NativeColumns } from "../native/entries.ts";
import type { NativeSend, SendReport } from "../native/send.ts";
import type { PeerConnection } from "../transport/connection.ts";
import { CHUNK_BYTES } from "../wire/mod.ts";
import { bytesOfChunks, type ListPart } from "./chunk_list.ts";
import type { KnownContent } from "./dedup/known_content.ts";
import { largeFiles, Learned } from "./dedup/learned.ts";
import type { Cut } from "./dedup/list_reader.ts";
import type { SenderLists } from "./dedup/sender_lists.ts";
import { drive } from "./drive.ts";
import { nativeChoice, processorUse } from "./facts.ts";
import { FileNames, type TransferFile } from "./file_names.ts";
import { makeHello } from "./handshake.ts";
import { Lane } from "./lane.ts";
import type { Progress, TransferOutcome } from "./outcome.ts";
import { Provider, type ProviderAction, type ProviderEvent } from "./provider.ts";
import { ReceiptLog } from "./receipt.ts";
import type { SendSource } from "./source.ts";
import { TransferLinks } from "./transfer_links.ts";

/** How content is sent, as a person's settings say it. */
export interface SendSettings {
  /** Bulk streams at least and at most; the receiver may want fewer. */
  readonly minStreams: number;
  readonly maxStreams: number;
  /** Bytes of all buffers. */
  readonly poolBytes: number;
  readonly chunkBytes: number;
  readonly compression: CompressionMode;
  /** zstd, 1 to 19. */
  readonly compressionLevel: number;
}

/** What {@linkcode runProvider} needs. */
export interface RunProviderOptions extends SendSettings {
  readonly connection: PeerConnection;
  /** What is sent; used up by this transfer, disposed of by the caller. */
  readonly source: SendSource;
  /** Program and version, such as `wormhole/0.1.0`. */
  readonly agent: string;
  /** An earlier link was lost: the receiver may have everything by now, and say so at once. */
  readonly isAgain?: boolean;
  /** What this machine has; without it everything is hashed anew, and nothing remembered. */
  readonly content?: KnownContent;
  /** Told the outcome before what was sent is remembered, which may take a moment. */
  onOutcome?(outcome: TransferOutcome): void | Promise<void>;
  onWarning?(sentence: string): void;
  readonly clock?: Clock;
  /** Told every file that is listed, as it is. */
  onFile?(file: TransferFile): void;
  /** Shown each page before it is sent, and where its files are; what it throws ends the transfer. */
  checkPage?(columns: NativeColumns, engine: Pick<NativeSend, "stamps">): Promise<void>;
  onProgress?(progress: Progress): void;
  readonly signal?: AbortSignal;
}

/** How long the offer waits for the count to be complete, in ms: most trees are counted by then. */
const COUNT_WAIT_MS = 2000;

/** Entries asked of the walk for one page. */
const PAGE_ENTRIES = 2048;

/**
 * Sends `source` over an authenticated connection, which stays open when all went well.
 *
 * @throws {WormholeError} REFUSED when the receiver's person or disk refused; CANCELLED when the receiver stopped;
 * PEER_FROZEN or CONNECTION_LOST; PROTOCOL, LIMIT_EXCEEDED when the peer misbehaves; the receiver's own code when it
 * failed; the signal's reason when aborted. Entries that fail are in the outcome.
 */
export async function runProvider(options: RunProviderOptions): Promise<TransferOutcome> {
  const { connection, source, agent, maxStreams, clock = systemClock, signal, onProgress } = options;
  await countFor(source, { clock, signal });
  // Without it compression starts as on a path that is near.
  const { rttMs } = await connection.stats().catch(() => ({ rttMs: undefined }));
  using receipt = new ReceiptLog();
  const machine = new Provider({
    receipt,
    hello: makeHello({ agent, nonce: crypto.getRandomValues(new Uint8Array(16)), streams: maxStreams }),
    offer: source.offer(crypto.getRandomValues(new Uint8Array(16))),
    minStreams: options.minStreams,
    maxStreams,
    cpuCount: navigator.hardwareConcurrency,
    kind: connection.kind,
    compression: options.compression,
    compressionLevel: options.compressionLevel,
    ...rttMs !== undefined && { rttMs },
    ...options.isAgain && { isAgain: true },
  });
  await using work = new Work(options);
  const outcome = await drive<ProviderEvent, ProviderAction>({
    machine,
    connection,
    clock,
    perform: (action, over) => work.perform(action, over),
    ...onProgress && { onProgress },
    ...signal && { signal },
  });
  await options.onOutcome?.(outcome);
  await work.remember();
  return outcome;
}

async function countFor(
  source: SendSource,
  { clock, signal }: { clock: Clock; signal?: AbortSignal },
): Promise<void> {
  const done = new AbortController();
  const patience = clock.sleep(COUNT_WAIT_MS, { signal: done.signal }).catch(() => {});
  const aborted = Promise.withResolvers<never>();
  aborted.promise.catch(() => {});
  const abort = () => aborted.reject(signal!.reason);
  signal?.addEventListener("abort", abort, { once: true });
  if (signal?.aborted) abort();
  try {
    await Promise.race([source.counted, patience, aborted.promise]);
  } finally {
    done.abort();
    signal?.removeEventListener("abort", abort);
  }
}

/** Does what the machine wants with the engine. */
class Work implements AsyncDisposable {
  readonly #options: RunProviderOptions;
  /** Starting, pushing, tuning and the fate of frames keep their order. */
  readonly #lane = new Lane();
  readonly #links: TransferLinks;
  /** Ends the wait for streams that cannot come, by link. */
  readonly #opening = new Map<number, AbortController>();
  readonly #learned = new Learned();
  /** Before anything was listed, ms since 1970. */
  readonly #begunMs = Date.now();
  #lists: SenderLists | undefined;

  readonly #names: FileNames | undefined;

  constructor(options: RunProviderOptions) {
    this.#options = options;
    if (options.onFile) this.#names = new FileNames((file) => options.onFile?.(file));
    this.#links = new TransferLinks(options.connection);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#links[Symbol.asyncDispose]();
  }

  /** Keeps in mind what was read, so that it need not be read again. A failure is none of the transfer. */
  async remember(): Promise<void> {
    const { content, source: { engine }, onWarning } = this.#options;
    if (content === undefined || engine === undefined) return;
    try {
      const { wasSettledWhenRead } = await import("../store/mod.ts");
      await this.#learned.remember(content, {
        stamps: (entries) => engine.stamps(entries),
        isSettled: (stamp) => wasSettledWhenRead(stamp, this.#begunMs),
      });
    } catch (error) {
      if (!isWormholeError(error)) throw error;
      onWarning?.call(this.#options, `What was sent is not remembered: ${error.message}`);
    }
  }

  async perform(action: ProviderAction, signal: AbortSignal): Promise<ProviderEvent | undefined> {
    const engine = this.#engine();
    switch (action.type) {
      case "read_page":
        return await this.#page(engine, signal);
      case "start":
        return await this.#lane.run(() => this.#start(engine, action, signal));
      case "count":
        return await this.#count();
      case "push":
        await this.#lane.run(() => this.#push(engine, action, signal));
        return undefined;
      case "hash":
        return { type: "hashed", result: await this.#hash(engine, action, signal) };
      case "measure":
        return await this.#lane.run(() => this.#measure(engine, action, signal));
      case "tune":
        await this.#lane.run(() =>
          engine.tune({ ...nativeChoice(action.choice), probe: action.probe.map(nativeChoice) })
        );
        return undefined;
      case "acknowledge":
        await this.#lane.run(() => engine.acknowledge(action.streams));
        return undefined;
      case "lost":
        await this.#lane.run(() => engine.lost({ stream: action.stream, frames: action.frames }));
        return undefined;
      case "watch":
        return await this.#sent(await engine.wait({ signal }));
      case "streams":
        return await this.#streams(engine, action, signal);
      case "stop_opening":
        this.#opening.get(action.link)?.abort(
          new WormholeError("CONNECT_FAILED", "Cannot open streams: the other side cannot connect"),
        );
        return undefined;
      case "take_link": {
        const taken = await this.#links.next(signal);
        return taken && { type: "linked", ...taken };
      }
      case "watch_link":
        await this.#links.gone(action.link, signal);
        return { type: "link_gone", link: action.link };
      case "drop_link":
        await this.#links.drop(action.link);
        return undefined;
      case "look_at_links":
        return { type: "links", links: await this.#links.status() };
    }
  }

  async #page(engine: NativeSend, signal: AbortSignal): Promise<ProviderEvent> {
    const page = await engine.page(PAGE_ENTRIES, { signal });
    await this.#options.checkPage?.(page.columns, engine);
    this.#names?.page(page.columns);
    if (this.#options.content) this.#learned.page(largeFiles(page.columns));
    return { type: "page", ...page };
  }

  /** The engine knows links by their handles, the machine by their numbers. */
  async #sent(report: SendReport): Promise<ProviderEvent> {
    this.#learned.records(report.hashed);
    const links = report.links.flatMap(({ connection, ...rest }) => {
      const link = this.#links.numberOf(connection);
      return link === undefined ? [] : [{ link, ...rest }];
    });
    return { type: "sent", report, links, usage: await processorUse() };
  }

  async #streams(
    engine: NativeSend,
    { link, streams, opens }: ProviderAction & { type: "streams" },
    signal: AbortSignal,
  ): Promise<ProviderEvent> {
    const stop = new AbortController();
    this.#opening.set(link, stop);
    try {
      const connection = this.#links.get(link);
      if (opens > 0) await connection.bulk(opens, { signal: anySignal(signal, stop.signal) });
      await engine.streams({ connection: connection.native, streams }, { signal });
      return { type: "streams_set", link };
    } catch (error) {
      if (signal.aborted || !isWormholeError(error)) throw error;
      // The transfer goes on with the streams that there are; a link that is gone says so itself.
      return { type: "streams_set", link, failed: true };
    } finally {
      this.#opening.delete(link);
    }
  }

  async #start(
    engine: NativeSend,
    { streams, choice }: { streams: number; choice: CodecChoice },
    signal: AbortSignal,
  ): Promise<ProviderEvent> {
    const { connection, poolBytes, chunkBytes } = this.#options;
    await connection.bulk(streams, { signal });
    await engine.start({
      pool_bytes: poolBytes,
      chunk_bytes: chunkBytes,
      rules: COMPRESSION_RULES,
      ...nativeChoice(choice),
    }, { signal });
    await engine.streams({ connection: connection.native, streams }, { signal });
    return { type: "started" };
  }

  async #count(): Promise<ProviderEvent | undefined> {
    try {
      return { type: "counted", totals: (await this.#options.source.counted).totals };
    } catch {
      // What cannot be counted cannot be listed either: the pages bring the reason.
      return undefined;
    }
  }

  async #push(
    engine: NativeSend,
    { runs, ranges, released }: ProviderAction & { type: "push" },
    signal: AbortSignal,
  ): Promise<void> {
    if (runs.length + ranges.length > 0) await engine.push({ runs, ranges }, { signal });
    if (released !== undefined) await engine.release(released);
  }

  async #hash(
    engine: NativeSend,
    part: { entry: number; offset: number; cut: Cut },
    signal: AbortSignal,
  ): Promise<ListPart | { code: ErrorCode }> {
    try {
      this.#lists ??= await this.#makeLists(engine);
      return await this.#lists.part(part, { signal });
    } catch (error) {
      if (signal.aborted || !isWormholeError(error)) throw error;
      return { code: error.code };
    }
  }

  async #makeLists(engine: NativeSend): Promise<SenderLists> {
    const { SenderLists } = await import("./dedup/sender_lists.ts");
    const { source: { queue }, content: known } = this.#options;
    return new SenderLists({ queue: queue!, engine, learned: this.#learned, ...known && { known } });
  }

  async #measure(
    engine: NativeSend,
    { entry, chunks }: { entry: number; chunks: Uint8Array },
    signal: AbortSignal,
  ): Promise<ProviderEvent> {
    try {
      const part = { entry, offset: 0, chunk_bytes: CHUNK_BYTES, max_chunks: 0 };
      return { type: "measured", bytes: bytesOfChunks(chunks, (await engine.hash(part, { signal })).size) };
    } catch (error) {
      // Too late, or no file: it counts for nothing.
      if (isWormholeError(error, "UNSUPPORTED")) return { type: "measured", bytes: 0 };
      throw error;
    }
  }

  #engine(): NativeSend {
    const { engine } = this.#options.source;
    if (engine === undefined) throw new WormholeError("INTERNAL", "a text needs no engine");
    return engine;
  }
}
