import { ERROR_NUMBERS, type ErrorCode, WormholeError } from "../base/errors.ts";
import {
  closeConnection,
  type ConnectionHandle,
  connectionStats,
  openBulk,
  receiveFrame,
  sendFrame,
} from "../native/net.ts";
import type { NativeQueue } from "../native/queue.ts";
import { abortable } from "./abortable.ts";
import { type Link, type LinkStats, MAX_CONTROL_FRAME_BYTES, type TransportKind } from "./connection.ts";

/** What the native library says of a connection that it made. */
export interface NativeConnection {
  readonly connection: ConnectionHandle;
  readonly kind: TransportKind;
  readonly remote: string;
  /** 32 bytes. */
  readonly peerKey: Uint8Array;
}

/** A {@linkcode Link} over one of the native library's connections, of whatever kind. */
export class NativeLink implements Link {
  readonly kind: TransportKind;
  readonly remote: string;
  readonly peerKey: Uint8Array;
  readonly native: ConnectionHandle;
  readonly #queue: NativeQueue;
  /** The native receive under way; it outlives an aborted recv(), so that its frame goes to the next one. */
  #receiving: Promise<Uint8Array | undefined> | undefined;
  /** The last send; never rejects. */
  #sending: Promise<unknown> = Promise.resolve();
  #closing: Promise<void> | undefined;

  constructor(queue: NativeQueue, { connection, kind, remote, peerKey }: NativeConnection) {
    this.#queue = queue;
    this.kind = kind;
    this.remote = remote;
    this.peerKey = peerKey;
    this.native = connection;
  }

  async send(frame: Uint8Array): Promise<void> {
    this.#assertOpen("send to");
    if (frame.length > MAX_CONTROL_FRAME_BYTES) {
      throw new WormholeError(
        "LIMIT_EXCEEDED",
        `Cannot send to "${this.remote}": the message has ${frame.length} bytes, the limit is ${MAX_CONTROL_FRAME_BYTES}`,
      );
    }
    // The native library runs what is submitted side by side, so one frame waits for the one before.
    const sent = this.#sending.then(() => {
      this.#assertOpen("send to");
      return sendFrame(this.#queue, { connection: this.native, frame });
    });
    this.#sending = sent.catch(() => {}); // Its own caller hears of it.
    await sent;
  }

  async recv({ signal }: { signal?: AbortSignal } = {}): Promise<Uint8Array | undefined> {
    this.#assertOpen("receive from");
    signal?.throwIfAborted();
    const receiving = this.#receiving ??= this.#receive();
    try {
      return await abortable(receiving, signal);
    } catch (error) {
      throw this.#closing ? this.#closedError("receive from", error) : error;
    } finally {
      // An aborted call leaves the receive for the next one.
      if (!signal?.aborted && this.#receiving === receiving) this.#receiving = undefined;
    }
  }

  async bulk(streams: number, { signal }: { signal?: AbortSignal } = {}): Promise<void> {
    this.#assertOpen("open streams to");
    await openBulk(this.#queue, { connection: this.native, streams }, { signal });
  }

  async stats(): Promise<LinkStats> {
    this.#assertOpen("measure the link to");
    const { rttUs = 0, bytesSent, bytesReceived, remote, relayed, lostPackets, packetsReceived, local } =
      await connectionStats(
        this.#queue,
        this.native,
      );
    return {
      rttMs: rttUs / 1000,
      bytesSent,
      bytesReceived,
      remote,
      relayed,
      ...lostPackets !== undefined && { lostPackets },
      ...packetsReceived !== undefined && { packetsReceived },
      ...local !== undefined && { local },
    };
  }

  close(code?: ErrorCode): Promise<void> {
    return this.#closing ??= this.#close(code);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #receive(): Promise<Uint8Array | undefined> {
    return await receiveFrame(this.#queue, this.native) ?? undefined;
  }

  async #close(code: ErrorCode | undefined): Promise<void> {
    await closeConnection(this.#queue, {
      connection: this.native,
      code: code === undefined ? 0 : ERROR_NUMBERS[code],
    }).catch(alreadyClosed);
    // The receive under way ends with the connection; its outcome belongs to whoever waits for it, if anybody.
    await this.#receiving?.catch(alreadyClosed);
  }

  #assertOpen(verb: string): void {
    if (this.#closing) throw this.#closedError(verb);
  }

  #closedError(verb: string, cause?: unknown): WormholeError {
    return new WormholeError("CLOSED", `Cannot ${verb} "${this.remote}": the connection is closed`, {
      cause,
    });
  }
}

/** A link that ended by itself, with whatever reason, is as closed as one that we ended. */
function alreadyClosed(error: unknown): void {
  if (!(error instanceof WormholeError)) throw error;
}
