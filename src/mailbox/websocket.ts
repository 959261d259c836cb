/**
 * WebSocket frames as a server reads and writes them (RFC 6455 §5): bytes in, events out; no sockets.
 *
 * Ours, because Deno's own server takes messages of 64 MiB before anybody sees them; docs/dependencies.md.
 */

/** What a client's frames say. */
export type FrameEvent =
  /** A whole message; undefined when it is not UTF-8. */
  | { readonly type: "message"; readonly text: string | undefined }
  /** `payload`: at most 125 bytes, to be sent back. */
  | { readonly type: "ping"; readonly payload: Uint8Array<ArrayBuffer> }
  | { readonly type: "pong" }
  | { readonly type: "close" };

/** Opcodes (RFC 6455 §5.2). */
export const OPCODE = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

/** Why frames cannot be read any further; `closeCode` as in RFC 6455 §7.4.1. */
export class FrameFault extends Error {
  override readonly name = "FrameFault";

  constructor(readonly closeCode: 1002 | 1009, readonly reason: string) {
    super(reason);
  }
}

/** Longest payload of a ping, pong or close frame (RFC 6455 §5.5). */
const MAX_CONTROL_BYTES = 125;

/** Most frames that one message may come in: cuts of a sensible program, not a flood of empty ones. */
const MAX_FRAGMENTS = 128;

/** What is set aside for a message at first; most are shorter. */
const FIRST_BYTES = 1024;

const GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/** Gives the `Sec-WebSocket-Accept` for a client's key (RFC 6455 §4.2.2). */
export async function acceptKey(key: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-1", new TextEncoder().encode(key + GUID));
  return new Uint8Array(digest).toBase64();
}

/** Encodes one whole, unmasked frame. */
export function encodeFrame(opcode: number, payload: Uint8Array): Uint8Array<ArrayBuffer> {
  const { length } = payload;
  const headLength = length < 126 ? 2 : length < 65536 ? 4 : 10;
  const frame = new Uint8Array(headLength + length);
  const view = new DataView(frame.buffer);
  frame[0] = 0x80 | opcode;
  if (headLength === 2) frame[1] = length;
  else if (headLength === 4) {
    frame[1] = 126;
    view.setUint16(2, length);
  } else {
    frame[1] = 127;
    view.setBigUint64(2, BigInt(length));
  }
  frame.set(payload, headLength);
  return frame;
}

/** Encodes a close frame; `reason` is ASCII of at most 123 characters. */
export function encodeClose(code: number, reason: string): Uint8Array<ArrayBuffer> {
  const payload = new Uint8Array(2 + reason.length);
  new DataView(payload.buffer).setUint16(0, code);
  payload.set(new TextEncoder().encode(reason), 2);
  return encodeFrame(OPCODE.close, payload);
}

/**
 * Reads a client's frames from bytes cut anywhere.
 *
 * Invariant: never holds more than `maxBytes` of a message, and no more than twice of what of it has arrived; a length
 * beyond that is refused before its payload comes.
 */
export class FrameReader {
  readonly #maxBytes: number;
  readonly #head = new Uint8Array(14);
  #headLength = 0;
  /** Bytes that the head has, as far as it is known. */
  #headWanted = 2;
  #opcode = 0;
  #final = false;
  /** Payload bytes of the frame that are still to come; -1 while its head is read. */
  #left = -1;
  /** All payload bytes of the frame. */
  #size = 0;
  #maskAt = 0;
  #control = new Uint8Array(0);
  #controlLength = 0;
  #message: Uint8Array<ArrayBuffer> | undefined;
  #messageLength = 0;
  #fragments = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /**
   * Takes the next bytes and gives what they complete.
   *
   * @throws {FrameFault} when they are no frames of a client, or too long; nothing can be read after that.
   */
  *push(bytes: Uint8Array): Generator<FrameEvent> {
    for (let at = 0; at < bytes.length;) {
      if (this.#left < 0) {
        this.#head[this.#headLength++] = bytes[at++]!;
        if (this.#headLength < this.#headWanted || !this.#headIsWhole()) continue;
      } else {
        const piece = bytes.subarray(at, at + this.#left);
        this.#take(piece);
        at += piece.length;
        this.#left -= piece.length;
      }
      if (this.#left !== 0) continue;
      const event = this.#frameEnds();
      if (event !== undefined) yield event;
    }
  }

  /** The last bytes were the head of a frame whose payload has yet to begin. */
  get isBeforePayload(): boolean {
    return this.#left > 0 && this.#left === this.#size;
  }

  /** Looks at a head whose first `#headWanted` bytes are there; true when that was all of it. */
  #headIsWhole(): boolean {
    const head = this.#head;
    const length7 = head[1]! & 0x7f;
    if (this.#headLength === 2) {
      this.#opcode = head[0]! & 0x0f;
      this.#final = (head[0]! & 0x80) !== 0;
      if ((head[0]! & 0x70) !== 0) throw new FrameFault(1002, "reserved bits");
      if ((head[1]! & 0x80) === 0) throw new FrameFault(1002, "not masked");
      this.#headWanted = 6 + (length7 === 126 ? 2 : length7 === 127 ? 8 : 0);
      return false;
    }
    const view = new DataView(head.buffer);
    const length = length7 === 126
      ? view.getUint16(2)
      : length7 === 127
      ? Number(view.getBigUint64(2))
      : length7;
    this.#begin(length);
    return true;
  }

  #begin(length: number): void {
    const opcode = this.#opcode;
    this.#left = this.#size = length;
    this.#maskAt = 0;
    if (opcode >= OPCODE.close) {
      if (opcode > OPCODE.pong) throw new FrameFault(1002, "unknown opcode");
      if (!this.#final || length > MAX_CONTROL_BYTES) throw new FrameFault(1002, "malformed control frame");
      this.#control = new Uint8Array(length);
      this.#controlLength = 0;
      return;
    }
    if (opcode > OPCODE.binary) throw new FrameFault(1002, "unknown opcode");
    if ((opcode === OPCODE.continuation) !== (this.#message !== undefined)) {
      throw new FrameFault(1002, "misplaced continuation");
    }
    if (this.#messageLength + length > this.#maxBytes) throw new FrameFault(1009, "message too long");
    if (++this.#fragments > MAX_FRAGMENTS) throw new FrameFault(1002, "too many fragments");
    this.#message ??= new Uint8Array(Math.min(FIRST_BYTES, length));
  }

  #take(piece: Uint8Array): void {
    const control = this.#opcode >= OPCODE.close;
    const into = control ? this.#control : this.#room(piece.length);
    let to = control ? this.#controlLength : this.#messageLength;
    const maskFrom = this.#headWanted - 4;
    for (const byte of piece) into[to++] = byte ^ this.#head[maskFrom + (this.#maskAt++ & 3)]!;
    if (control) this.#controlLength = to;
    else this.#messageLength = to;
  }

  #room(byteLength: number): Uint8Array {
    const wanted = this.#messageLength + byteLength;
    if (this.#message!.length >= wanted) return this.#message!;
    const larger = new Uint8Array(Math.min(this.#maxBytes, Math.max(wanted, 2 * this.#message!.length)));
    larger.set(this.#message!.subarray(0, this.#messageLength));
    return this.#message = larger;
  }

  #frameEnds(): FrameEvent | undefined {
    this.#left = -1;
    this.#headLength = 0;
    this.#headWanted = 2;
    switch (this.#opcode) {
      case OPCODE.close:
        return { type: "close" };
      case OPCODE.ping:
        return { type: "ping", payload: this.#control };
      case OPCODE.pong:
        return { type: "pong" };
    }
    if (!this.#final) return undefined;
    const text = decodeText(this.#message!.subarray(0, this.#messageLength));
    this.#message = undefined;
    this.#messageLength = 0;
    this.#fragments = 0;
    return { type: "message", text };
  }
}

function decodeText(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined;
  }
}
