import { decode, encode } from "cborg";
import { WormholeError } from "../base/errors.ts";
import { checked, decodeFailure } from "./failure.ts";
import { type Library, loadLibrary } from "./library.ts";

/** First size of the buffer that completions are written into; grows when one record needs more. */
const WAIT_BUFFER_BYTES = 256 * 1024;

/** Bytes of a completion record before its payload; `RECORD_HEADER_BYTES` in `ffi/src/queue.rs`. */
const RECORD_HEADER_BYTES = 12;

interface Pending {
  resolve(value: unknown): void;
  reject(reason: unknown): void;
}

/** Options of {@linkcode NativeQueue.call}. */
export interface CallOptions {
  /** Cancels the operation; the call then rejects with the signal's reason. */
  signal?: AbortSignal;
  /**
   * Gets the result of an operation that completed in the same moment as the signal aborted: whoever opens
   * something lets go of it here.
   */
  orphaned?: (result: unknown) => void;
}

/**
 * The submission/completion queue: {@linkcode NativeQueue.call} submits one operation, the native
 * library completes it, and one nonblocking wait is outstanding while anything is pending.
 *
 * With nothing pending there is no wait, so an idle queue does not keep the program alive.
 */
export class NativeQueue {
  readonly #library: Library;
  readonly #handle: number;
  readonly #pending = new Map<number, Pending>();
  #buffer = new Uint8Array(WAIT_BUFFER_BYTES);
  #nextToken = 1;
  #waiting: Promise<void> | undefined;
  #closed = false;

  private constructor(library: Library, handle: number) {
    this.#library = library;
    this.#handle = handle;
  }

  /**
   * Opens a queue with `threads` async workers.
   *
   * @throws {WormholeError} NATIVE_LIBRARY when the library cannot be loaded.
   */
  static open({ threads = 2 }: { threads?: number } = {}): NativeQueue {
    const library = loadLibrary();
    return new NativeQueue(library, checked((error) => library.symbols.wh_queue_open(threads, error)));
  }

  /**
   * Submits the operation `name` with `args` (a CBOR map without `undefined`) and gives its result.
   *
   * @throws {WormholeError} what the operation failed with; CLOSED when the queue is.
   */
  call<T>(name: string, args: object, { signal, orphaned }: CallOptions = {}): Promise<T> {
    if (this.#closed) return Promise.reject(new WormholeError("CLOSED", "the native queue is closed"));
    if (signal?.aborted) return Promise.reject(signal.reason);
    const token = this.#token();
    const nameBytes = new TextEncoder().encode(name);
    const argBytes = encode(args, { ignoreUndefinedProperties: true }) as Uint8Array<ArrayBuffer>;
    return new Promise<T>((resolve, reject) => {
      const abort = () => {
        this.#library.symbols.wh_queue_cancel(this.#handle, token);
        reject(signal!.reason);
      };
      const settle = () => signal?.removeEventListener("abort", abort);
      this.#pending.set(token, {
        resolve: (value) => {
          settle();
          if (signal?.aborted) orphaned?.(value);
          resolve(value as T);
        },
        reject: (reason) => (settle(), reject(reason)),
      });
      try {
        checked((error) =>
          this.#library.symbols.wh_queue_submit(
            this.#handle,
            token,
            nameBytes,
            BigInt(nameBytes.length),
            argBytes,
            BigInt(argBytes.length),
            error,
          )
        );
      } catch (error) {
        this.#pending.delete(token);
        reject(error);
        return;
      }
      signal?.addEventListener("abort", abort, { once: true });
      this.#waiting ??= this.#drain();
    });
  }

  /** Stops everything the queue runs; pending calls reject with CLOSED. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#library.symbols.wh_queue_close(this.#handle);
    await this.#waiting;
    const error = new WormholeError("CLOSED", "the native queue is closed");
    for (const pending of this.#pending.values()) pending.reject(error);
    this.#pending.clear();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #token(): number {
    do this.#nextToken = (this.#nextToken + 1) >>> 0 || 1; while (this.#pending.has(this.#nextToken));
    return this.#nextToken;
  }

  async #drain(): Promise<void> {
    while (this.#pending.size > 0 && !this.#closed) {
      const used = Number(
        await this.#library.symbols.wh_queue_wait(this.#handle, this.#buffer, BigInt(this.#buffer.length)),
      );
      if (used < 0) this.#buffer = new Uint8Array(-used * 2);
      else this.#complete(this.#buffer.subarray(0, used));
    }
    this.#waiting = undefined;
  }

  #complete(records: Uint8Array<ArrayBuffer>): void {
    const view = new DataView(records.buffer, records.byteOffset, records.byteLength);
    for (let at = 0; at < records.length;) {
      const token = view.getUint32(at, true);
      const failed = records[at + 4] !== 0;
      const start = at + RECORD_HEADER_BYTES;
      at = start + view.getUint32(at + 8, true);
      const pending = this.#pending.get(token);
      if (!pending) continue;
      this.#pending.delete(token);
      // The buffer is written again by the next wait, so byte strings in a result must be copies.
      const payload = records.slice(start, at);
      if (failed) pending.reject(decodeFailure(payload));
      else pending.resolve(decode(payload));
    }
  }
}
