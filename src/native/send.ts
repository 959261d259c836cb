import type { NativeColumns, NativeFailure, NativeProblem, WaitOptions } from "./entries.ts";
import type { NativeQueue } from "./queue.ts";
import type { StampsResult } from "./reuse.ts";

/** Codec numbers of chunk frames; wire/spec/chunk_data.md §1. */
export const CODEC_NUMBERS = { raw: 0, zstd: 1, lz4: 2 } as const;

/** What {@linkcode NativeSend.open} needs. */
export interface SendOptions {
  /** `path` `-` is standard input. */
  readonly roots: readonly { readonly path: Uint8Array; readonly name: Uint8Array }[];
  readonly exclude?: readonly string[];
  readonly ignore_files?: boolean;
  readonly chunk_bytes: number;
  /** How small files are read: `auto`, `std`, `linux`, `uring`. */
  readonly io?: string;
  /** 32 bytes: the secret that versions are made with. */
  readonly version_key?: Uint8Array;
  /** Of files of at least so many bytes, `hashed` and {@linkcode NativeSend.stamps} tell; of none by default. */
  readonly remember_bytes?: number;
}

/** What {@linkcode NativeSend.start} needs. */
export interface SendStart {
  readonly pool_bytes: number;
  readonly chunk_bytes: number;
  readonly codec: number;
  readonly level: number;
  /** What is left as it is without trying; `Rules` in `ffi/src/transfer/encode.rs`. */
  readonly rules: {
    readonly min_entropy: number;
    readonly max_repeats: number;
    readonly max_skipped: number;
    readonly extensions: readonly string[];
  };
}

/** Totals of a walk. */
export interface SendCount {
  readonly files: number;
  readonly directories: number;
  readonly symlinks: number;
  readonly bytes: number;
  /** Of them on the disk: less where files have holes. */
  readonly allocated: number;
  readonly problems: number;
}

/** What compressing a piece of a frame gave. */
export interface NativeProbe {
  readonly codec: number;
  readonly level: number;
  readonly plain: number;
  readonly wire: number;
  readonly cpu_us: number;
}

/** Counters since the start and failures since the last report. */
export interface SendReport {
  readonly bytes_read: number;
  readonly bytes_wire: number;
  readonly blocked_us: number;
  /** CPU time spent on compression, and plaintext bytes of all frames that were encoded, compressed or not. */
  readonly encode_us: number;
  readonly encode_plain: number;
  /** Results of what {@linkcode NativeSend.tune} asked to probe, once. */
  readonly probes: readonly NativeProbe[];
  readonly files_done: number;
  readonly failed: readonly NativeFailure[];
  readonly links: readonly SendLink[];
  /** Streams that broke here since the last report: the receiver knows how much of each has arrived. */
  readonly lost: readonly number[];
  /**
   * Whole chunks of the 4 MiB grid that were hashed, 48 bytes each: entry u32, length u32, offset u64, chunk id. Once per
   * chunk, when everything asked for of the file was read and it was still as it was listed.
   */
  readonly hashed: Uint8Array;
  /** Everything that was pushed is sent and acknowledged. */
  readonly idle: boolean;
  /** Something is being read or encoded just now; otherwise only the link, or more to do, is waited for. */
  readonly busy: boolean;
}

/** One connection of a send session, with counters since it was first used. */
export interface SendLink {
  /** Native handle of the connection. */
  readonly connection: number;
  /** Streams that take work. */
  readonly streams: number;
  readonly bytes_wire: number;
  /** Of those, what was acknowledged. */
  readonly bytes_delivered: number;
  /** Of all its streams together. */
  readonly blocked_us: number;
  readonly frames: number;
  /** The connection has. */
  readonly ended: boolean;
}

/** Streams on a connection, by its native handle. */
export interface LinkStreams {
  readonly connection: number;
  readonly streams: number;
}

/** Part of a file's chunk list. */
export interface HashedChunks {
  /** 32 bytes per chunk, concatenated. */
  readonly hashes: Uint8Array;
  /** Bytes of the whole file. */
  readonly size: number;
}

/** The sending engine: walks, reads, hashes, encodes and writes to the bulk streams. */
export class NativeSend implements AsyncDisposable {
  readonly #queue: NativeQueue;
  readonly #send: number;
  #closing: Promise<void> | undefined;

  private constructor(queue: NativeQueue, send: number) {
    this.#queue = queue;
    this.#send = send;
  }

  /** @throws {WormholeError} the disk's code when a root cannot be opened; UNSUPPORTED when `io` cannot run here. */
  static async open(queue: NativeQueue, options: SendOptions): Promise<NativeSend> {
    const { send } = await queue.call<{ send: number }>("send.open", options);
    return new NativeSend(queue, send);
  }

  /** Walks everything once and gives the totals; independent of {@linkcode NativeSend.page}. */
  count({ signal }: WaitOptions = {}): Promise<SendCount> {
    return this.#queue.call("send.count", { send: this.#send }, { signal });
  }

  /** Walks on and gives the next entries: at most `maxEntries` and 768 KiB. */
  page(
    maxEntries: number,
    { signal }: WaitOptions = {},
  ): Promise<{
    columns: NativeColumns;
    /** u64 per entry; null without a version key. */
    versions: Uint8Array | null;
    problems: readonly NativeProblem[];
  }> {
    return this.#queue.call("send.page", { send: this.#send, max_entries: maxEntries }, { signal });
  }

  /** Sets the engine up; {@linkcode NativeSend.streams} gives it streams to work with. */
  start(options: SendStart, { signal }: WaitOptions = {}): Promise<void> {
    return this.#queue.call("send.start", { send: this.#send, ...options }, { signal });
  }

  /**
   * Brings a connection's streams that take work to this number, 0 to 256: opens more, or lets some end after the frame
   * at hand. Over TCP they must have been made possible before (`openBulk`).
   *
   * @throws {WormholeError} what keeps one from being opened: LIMIT_EXCEEDED when none is free over TCP or the transfer
   * has had 65 536; CONNECTION_LOST.
   */
  streams(options: LinkStreams, { signal }: WaitOptions = {}): Promise<void> {
    return this.#queue.call("send.streams", { send: this.#send, ...options }, { signal });
  }

  /**
   * Forgets frames that have arrived: of each stream all up to that number.
   *
   * @throws {WormholeError} PROTOCOL when that cannot be.
   */
  acknowledge(streams: readonly (readonly [stream: number, frames: number])[]): Promise<void> {
    return this.#queue.call("send.acknowledge", { send: this.#send, streams });
  }

  /**
   * Queues what a stream did not carry over, which ended for the receiver after that many frames.
   *
   * @throws {WormholeError} PROTOCOL when that cannot be, or was said before.
   */
  lost(word: { stream: number; frames: number }): Promise<void> {
    return this.#queue.call("send.lost", { send: this.#send, ...word });
  }

  /** Queues what the receiver asked for: `runs` u32 pairs, `ranges` 24 bytes each (`packRanges`). */
  push(request: { runs: Uint8Array; ranges: Uint8Array }, { signal }: WaitOptions = {}): Promise<void> {
    return this.#queue.call("send.push", { send: this.#send, ...request }, { signal });
  }

  /** Forgets files up to entry `through` that were not pushed. */
  release(through: number): Promise<void> {
    return this.#queue.call("send.release", { send: this.#send, through });
  }

  /**
   * Hashes up to `max_chunks` chunks of a listed file from `offset` on; 0 chunks give the size alone.
   *
   * @throws {WormholeError} UNSUPPORTED when it is no file, or was pushed or released; SOURCE_CHANGED; the disk's code.
   */
  hash(
    options: {
      readonly entry: number;
      readonly chunk_bytes: number;
      readonly offset: number;
      readonly max_chunks: number;
    },
    { signal }: WaitOptions = {},
  ): Promise<HashedChunks> {
    return this.#queue.call("send.hash", { send: this.#send, ...options }, { signal });
  }

  /**
   * Gives where listed files are and their stamps at that time: of those that can still be asked for, and of the first
   * 2^20 with at least `remember_bytes` always. At most 4096 entries (u32 each) a call.
   */
  stamps(entries: Uint8Array, { signal }: WaitOptions = {}): Promise<StampsResult> {
    return this.#queue.call("send.stamps", { send: this.#send, entries }, { signal });
  }

  /**
   * As {@linkcode NativeSend.stamps} for one entry.
   *
   * @throws {WormholeError} UNSUPPORTED when it is no such file.
   */
  stamp(
    entry: number,
    { signal }: WaitOptions = {},
  ): Promise<{ readonly path: Uint8Array; readonly stamp: Uint8Array }> {
    return this.#queue.call("send.stamp", { send: this.#send, entry }, { signal });
  }

  /**
   * Completes when there is news.
   *
   * @throws {WormholeError} what ended the engine; CONNECTION_LOST when no connection is left while something is to be
   * sent, which another one mends.
   */
  wait({ signal }: WaitOptions = {}): Promise<SendReport> {
    return this.#queue.call("send.wait", { send: this.#send }, { signal });
  }

  /** Encodes the next frames like this, and tries `probe` on a piece of the next one: see {@linkcode SendReport}. */
  tune(
    choice: {
      readonly codec: number;
      readonly level: number;
      readonly probe: readonly { readonly codec: number; readonly level: number }[];
    },
  ): Promise<void> {
    return this.#queue.call("send.tune", { send: this.#send, ...choice });
  }

  /** Sends what is queued, waits until it is acknowledged and ends the bulk streams. */
  end({ signal }: WaitOptions = {}): Promise<void> {
    return this.#queue.call("send.end", { send: this.#send }, { signal });
  }

  /** Stops everything; idempotent. */
  close(): Promise<void> {
    return this.#closing ??= this.#queue.call("send.close", { send: this.#send });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
