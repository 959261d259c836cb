import { encodeClose, encodeFrame, FrameFault, FrameReader, OPCODE } from "./websocket.ts";

/** Bytes read at a time; every idle connection holds so many. */
const READ_BYTES = 4 * 1024;

/** Silence after which a client is pinged. */
const PING_MS = 30_000;

/** Silence, or time without taking anything of what is sent to it, after which a client is dropped. */
const DEAD_MS = 60_000;

/** How long a closed link waits for the client's own goodbye, so that it gets what was sent before. */
const GRACE_MS = 1_000;

/** What all links of a server share: caps what they hold together. */
export interface Traffic {
  /** Bytes that wait to be sent, over all links. */
  unsent: number;
  /** Bytes and messages so far. */
  bytesIn: number;
  bytesOut: number;
  messagesIn: number;
  messagesOut: number;
}

/** Options of {@linkcode WebSocketLink}. */
export interface WebSocketLinkOptions {
  readonly conn: Deno.Conn;
  readonly traffic: Traffic;
  /** Longest message of the client, in bytes. */
  readonly maxBytes: number;
  /** Most bytes that wait to be sent to this client, and to all of them. */
  readonly unsentBytes: number;
  readonly totalUnsentBytes: number;
  /** Monotonic, in ms. */
  readonly nowMs: () => number;
  /** A whole message; undefined when it is not UTF-8. */
  onMessage(text: string | undefined): void;
  /** A ping or pong came. */
  onControl(): void;
  /** This link is dropped by itself. */
  onRefused(reason: "too slow" | "malformed frame" | "too long" | "silent"): void;
  /** The link ended, whoever ended it; called once. */
  onEnd(): void;
}

/** One client's WebSocket over a connection whose opening handshake is done. */
export class WebSocketLink {
  readonly #options: WebSocketLinkOptions;
  readonly #reader: FrameReader;
  #queue: Uint8Array<ArrayBuffer>[] = [];
  #unsent = 0;
  #writing = false;
  #heardMs: number;
  #progressMs: number;
  #pinged = false;
  /** A close frame was sent: nothing that still comes counts. */
  #closing = false;
  /** The client's frames cannot be read any more. */
  #unreadable = false;
  /** Ends as soon as what waits is sent. */
  #lastWords = false;
  #ended = false;
  #grace: ReturnType<typeof setTimeout> | undefined;

  constructor(options: WebSocketLinkOptions) {
    this.#options = options;
    this.#reader = new FrameReader(options.maxBytes);
    this.#heardMs = this.#progressMs = options.nowMs();
  }

  /** Reads until the link ends; `first` came with the handshake. Never rejects. */
  async run(first: Uint8Array): Promise<void> {
    const { conn, nowMs, traffic } = this.#options;
    try {
      this.#take(first);
      const buffer = new Uint8Array(READ_BYTES);
      while (!this.#ended) {
        const length = await conn.read(buffer);
        if (length === null) break;
        traffic.bytesIn += length;
        this.#heardMs = nowMs();
        this.#pinged = false;
        this.#take(buffer.subarray(0, length));
      }
    } catch {
      // A link that was reset ended as much as one that said goodbye.
    }
    this.#end();
  }

  /** Sends one message; a client that is too far behind is dropped. */
  send(text: string): void {
    if (this.#closing || this.#ended) return;
    this.#options.traffic.messagesOut++;
    this.#put(encodeFrame(OPCODE.text, new TextEncoder().encode(text)));
    const { unsentBytes, totalUnsentBytes, traffic } = this.#options;
    // When all of them together are too far behind, those go who have more to read than an honest one ever has.
    const share = unsentBytes / 16;
    if (this.#unsent > unsentBytes || (traffic.unsent > totalUnsentBytes && this.#unsent > share)) {
      this.#refuse("too slow", 1008);
    }
  }

  /** Says goodbye, waits a moment for the client's, and hangs up. */
  close(code: number, reason: string): void {
    if (this.#closing || this.#ended) return;
    this.#closing = true;
    this.#put(encodeClose(code, reason));
    this.#grace = setTimeout(() => this.#end(), GRACE_MS);
  }

  /** Time passed: pings a silent client, drops a dead one. */
  tick(): void {
    if (this.#closing || this.#ended) return;
    const nowMs = this.#options.nowMs();
    const stuck = this.#unsent > 0 && nowMs - this.#progressMs >= DEAD_MS;
    if (stuck || nowMs - this.#heardMs >= DEAD_MS) return this.#refuse(stuck ? "too slow" : "silent", 1001);
    if (this.#pinged || nowMs - this.#heardMs < PING_MS) return;
    this.#pinged = true;
    this.#put(encodeFrame(OPCODE.ping, new Uint8Array(0)));
  }

  #take(bytes: Uint8Array): void {
    if (this.#unreadable) return;
    try {
      for (const event of this.#reader.push(bytes)) {
        if (event.type === "close") {
          this.close(1000, "");
          this.#unreadable = this.#lastWords = true;
          if (!this.#writing) this.#end();
          return;
        }
        if (this.#closing || this.#ended) continue;
        if (event.type === "message") {
          this.#options.traffic.messagesIn++;
          this.#options.onMessage(event.text);
        } else {
          if (event.type === "ping") this.#put(encodeFrame(OPCODE.pong, event.payload));
          this.#options.onControl();
        }
      }
      if (this.#reader.isBeforePayload) this.#acknowledge();
    } catch (fault) {
      if (!(fault instanceof FrameFault)) throw fault;
      // What follows cannot be read, and is not needed: the goodbye has the reason.
      this.#unreadable = true;
      this.#refuse(fault.closeCode === 1009 ? "too long" : "malformed frame", fault.closeCode);
    }
  }

  /**
   * A client that writes head and payload apart, as Deno does from 1 KiB on, has its system hold the payload back until the head is
   * acknowledged, which this system puts off for 40 ms while there is nothing to say. So something is said: a pong that
   * nobody asked for (RFC 6455 §5.5.3).
   */
  #acknowledge(): void {
    if (!this.#writing && !this.#closing && !this.#ended) {
      this.#put(encodeFrame(OPCODE.pong, new Uint8Array(0)));
    }
  }

  #refuse(reason: Parameters<WebSocketLinkOptions["onRefused"]>[0], code: number): void {
    if (this.#closing || this.#ended) return;
    // What waits would not be read in time; only the frame that is under way has to be whole.
    for (const frame of this.#queue) this.#account(-frame.length);
    this.#queue = [];
    this.close(code, reason);
    this.#options.onRefused(reason);
  }

  #put(frame: Uint8Array<ArrayBuffer>): void {
    if (this.#unsent === 0) this.#progressMs = this.#options.nowMs();
    this.#queue.push(frame);
    this.#account(frame.length);
    if (this.#writing) return;
    this.#writing = true;
    // What one message of a client brings about goes out as one.
    queueMicrotask(() => this.#write());
  }

  async #write(): Promise<void> {
    const { conn, traffic, nowMs } = this.#options;
    try {
      while (this.#queue.length > 0 && !this.#ended) {
        const bytes = joined(this.#queue);
        this.#queue = [];
        for (let at = 0; at < bytes.length;) {
          const written = await conn.write(bytes.subarray(at));
          at += written;
          traffic.bytesOut += written;
          this.#account(-written);
          this.#progressMs = nowMs();
        }
      }
    } catch {
      this.#end();
    } finally {
      this.#writing = false;
      if (this.#lastWords) this.#end();
    }
  }

  #account(change: number): void {
    if (this.#ended) return;
    this.#unsent += change;
    this.#options.traffic.unsent += change;
  }

  #end(): void {
    if (this.#ended) return;
    this.#account(-this.#unsent);
    this.#ended = true;
    this.#queue = [];
    clearTimeout(this.#grace);
    hangUp(this.#options.conn);
    this.#options.onEnd();
  }
}

/** Closes a connection, which may have ended already. */
export function hangUp(conn: Deno.Conn): void {
  try {
    conn.close();
  } catch {
    // It was closed before.
  }
}

function joined(frames: readonly Uint8Array<ArrayBuffer>[]): Uint8Array<ArrayBuffer> {
  if (frames.length === 1) return frames[0]!;
  const bytes = new Uint8Array(frames.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const frame of frames) {
    bytes.set(frame, at);
    at += frame.length;
  }
  return bytes;
}
