import type { NativeColumns, NativeFailure, WaitOptions } from "./entries.ts";
import type { LinkStreams } from "./send.ts";
import {
  addLeftover,
  leftoverRecords,
  removeLeftovers,
  spentLeftovers,
  type VersionedPage,
} from "./leftover.ts";
import type { NativeQueue } from "./queue.ts";
import {
  placePieces,
  type PlaceRequest,
  type PlaceResult,
  releaseHeld,
  type ReleaseResult,
  type StampsResult,
} from "./reuse.ts";

/** Where one root of a manifest goes. */
export interface RootPlan {
  readonly entry: number;
  readonly final_name: Uint8Array;
  readonly policy: "fresh" | "overwrite" | "skip";
}

/** What became of one page's entries. */
export interface ExpectResult {
  /** u32 pairs: runs of entries to ask for. */
  readonly requested: Uint8Array;
  /** Ranges to ask for, 24 bytes each, of files that an earlier transfer brought by half. */
  readonly ranges: Uint8Array;
  /** Bytes that an earlier transfer brought; they count as received. */
  readonly resumed: number;
  /** u32 each: entries that wait for {@linkcode NativeReceive.place} or {@linkcode NativeReceive.release}. */
  readonly held: Uint8Array;
  /** u32 each: entries whose file at the final path stays. They count in `complete`, their bytes in `resumed`. */
  readonly kept: Uint8Array;
  readonly skipped: number;
  /** Files that are complete without asking: empty, kept, or brought by an earlier transfer; they count in `files_done`. */
  readonly complete: number;
  readonly failed: readonly NativeFailure[];
}

/** Counters since the start and failures since the last report. */
export interface ReceiveReport {
  /** Verified and written. */
  readonly bytes: number;
  readonly bytes_wire: number;
  readonly files_done: number;
  readonly failed: readonly NativeFailure[];
  /** Those that changed since the last report. */
  readonly streams: readonly ArrivedFrames[];
  readonly links: readonly ReceiveLink[];
  /** Records of what is verified and written since the last report; `src/store/journal.ts`. */
  readonly verified: Uint8Array;
  /** Requested entries that are neither complete nor failed. */
  readonly outstanding: number;
  /** No stream is read and none is waited for. */
  readonly ended: boolean;
}

/** Whole frames of a stream so far, verified and written. */
export type ArrivedFrames = readonly [stream: number, frames: number, state: "live" | "ended" | "lost"];

/** One connection of a receive session, with counters since it was first used. */
export interface ReceiveLink {
  /** Native handle of the connection. */
  readonly connection: number;
  /** Streams that are read. */
  readonly streams: number;
  readonly bytes_wire: number;
  /** The connection has, and its streams have told so. */
  readonly ended: boolean;
}

/** What was put in place. */
export interface CommitResult {
  readonly files: number;
  readonly directories: number;
  readonly symlinks: number;
  readonly failed: readonly NativeFailure[];
  readonly total_failed: number;
}

/** The receiving engine: verifies, stages and places. */
export class NativeReceive implements AsyncDisposable {
  readonly #queue: NativeQueue;
  readonly #receive: number;
  #closing: Promise<{ verified: Uint8Array }> | undefined;

  /** Name of the staging folder in the destination. */
  readonly staging: Uint8Array;

  private constructor(queue: NativeQueue, { receive, staging }: { receive: number; staging: Uint8Array }) {
    this.#queue = queue;
    this.#receive = receive;
    this.staging = staging;
  }

  /**
   * Makes a staging folder in `destination`.
   *
   * @throws {WormholeError} the disk's code when it cannot; UNSUPPORTED when `io` cannot run here.
   */
  static async open(
    queue: NativeQueue,
    options: {
      readonly destination: Uint8Array;
      readonly pool_bytes: number;
      /** How small files are written: `auto`, `std`, `linux`, `uring`. */
      readonly io?: string;
      /** Given when a journal is kept: staging folders of earlier transfers that stay where they are. */
      readonly kept?: readonly Uint8Array[];
      /** Files of at least so many bytes are remembered for {@linkcode NativeReceive.stamps}; none by default. */
      readonly remember_bytes?: number;
    },
  ): Promise<NativeReceive> {
    return new NativeReceive(queue, await queue.call("receive.open", options));
  }

  /** As {@linkcode addLeftover}. */
  addLeftover(leftover: Omit<Parameters<typeof addLeftover>[1], "receive">): Promise<boolean> {
    return addLeftover(this.#queue, { receive: this.#receive, ...leftover });
  }

  /** As {@linkcode leftoverRecords}. */
  leftoverRecords(page: VersionedPage): Promise<Uint8Array> {
    return leftoverRecords(this.#queue, { receive: this.#receive, ...page });
  }

  /** As {@linkcode spentLeftovers}. */
  spentLeftovers(): Promise<Uint8Array[]> {
    return spentLeftovers(this.#queue, this.#receive);
  }

  /** As {@linkcode removeLeftovers}. */
  removeLeftovers(staging: readonly Uint8Array[]): Promise<void> {
    return removeLeftovers(this.#queue, { receive: this.#receive, staging });
  }

  /** Tells whether something that came is being written just now: then it is this disk that is waited for. */
  async isPlacing(): Promise<boolean> {
    return (await this.#queue.call<{ placing: boolean }>("receive.placing", { receive: this.#receive }))
      .placing;
  }

  /** Waits until everything that is staged so far is on the disk. @throws {WormholeError} what the disk says. */
  sync(): Promise<void> {
    return this.#queue.call("receive.sync", { receive: this.#receive });
  }

  /**
   * Takes the next page: makes directories, registers files. `wanted` has a bit per entry, lowest first; roots
   * without a plan are passed over with all that is in them.
   *
   * `held`, as `wanted`: those files are registered and outstanding, but in neither `requested` nor `ranges`; ignored for
   * what is no file, is empty, or is complete without asking. What an earlier transfer brought of them counts at once.
   *
   * `kept`, as `wanted`, with 40 bytes for each bit in `kept_stamps`: the file at the final path is that content already.
   * It stays where it is, and gets its mode and time when the rest is put in place. When it has another stamp by then it
   * is left alone and fails with SOURCE_CHANGED. One that has another stamp now, or cannot be given what it lacks (it
   * is somebody else's, or has other hard links), is not kept but held or requested; so is all in a root whose policy is
   * not `overwrite`.
   */
  expect(
    page: {
      readonly columns: NativeColumns;
      /** u64 per entry. */
      readonly versions?: Uint8Array;
      readonly wanted: Uint8Array;
      readonly held?: Uint8Array;
      readonly kept?: Uint8Array;
      readonly kept_stamps?: Uint8Array;
      readonly roots: readonly RootPlan[];
    },
    { signal }: WaitOptions = {},
  ): Promise<ExpectResult> {
    return this.#queue.call("receive.expect", { receive: this.#receive, ...page }, { signal });
  }

  /** As {@linkcode placePieces}. */
  place(request: PlaceRequest, { signal }: WaitOptions = {}): Promise<PlaceResult> {
    return placePieces(this.#queue, { receive: this.#receive, ...request }, { signal });
  }

  /** As {@linkcode releaseHeld}. */
  release(entry: number): Promise<ReleaseResult> {
    return releaseHeld(this.#queue, { receive: this.#receive, entry });
  }

  /**
   * After {@linkcode NativeReceive.commit}: where files of at least `remember_bytes` are, and their stamps; none where it
   * was not placed or has changed since. At most 4096 entries (u32 each) a call; of a session, the first 2^20 files.
   */
  stamps(entries: Uint8Array): Promise<StampsResult> {
    return this.#queue.call("receive.stamps", { receive: this.#receive, entries });
  }

  /** Takes up to that many further streams from a connection; again and again, from any connection. */
  start(options: LinkStreams, { signal }: WaitOptions = {}): Promise<void> {
    return this.#queue.call("receive.start", { receive: this.#receive, ...options }, { signal });
  }

  /**
   * Lets nothing more of a stream count that its sender says has broken, and gives its frames so far; the next report
   * has it as lost.
   *
   * @throws {WormholeError} PROTOCOL when there can be no such stream.
   */
  async giveUp(stream: number): Promise<number> {
    const result = await this.#queue.call<{ frames: number }>("receive.give_up", {
      receive: this.#receive,
      stream,
    });
    return result.frames;
  }

  /**
   * Completes when there is news.
   *
   * @throws {WormholeError} what ended the engine; CONNECTION_LOST when no connection is left while something is
   * outstanding, which another one mends.
   */
  wait({ signal }: WaitOptions = {}): Promise<ReceiveReport> {
    return this.#queue.call("receive.wait", { receive: this.#receive }, { signal });
  }

  /** Puts everything that arrived in its final place. */
  commit(): Promise<CommitResult> {
    return this.#queue.call("receive.commit", { receive: this.#receive });
  }

  /**
   * Stops everything and removes the staging folder, or keeps it for another transfer; idempotent. Gives the records of
   * what was verified and written since the last report.
   */
  async close({ keep = false }: { keep?: boolean } = {}): Promise<Uint8Array> {
    this.#closing ??= this.#queue.call("receive.close", { receive: this.#receive, keep });
    return (await this.#closing).verified;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
