import { anySignal } from "../base/any_signal.ts";
import { type Clock, systemClock } from "../base/clock.ts";
import { isWormholeError, WormholeError } from "../base/errors.ts";
import { basename } from "../base/paths.ts";
import {
  type Connected,
  forgetSource,
  hear,
  openSource,
  packFolder,
  type Place,
  push,
} from "../native/compat.ts";
import type { SourceHandle } from "../native/compat.ts";
import { NativeQueue } from "../native/queue.ts";
import { formatCode, nativeCrypto } from "../pairing/mod.ts";
import type { Progress, TransferOutcome } from "../transfer/mod.ts";
import { type Conversation, converse } from "./conversation.ts";
import { Link } from "./link.ts";
import { meet, relaysOf } from "./meeting.ts";
import {
  assertAcknowledged,
  assertNoError,
  decodeMessage,
  parseAnswer,
  parseTransit,
  type PeerPlaces,
} from "./messages.ts";
import { NOTHING } from "./outcome.ts";

/** Longest text that is sent: in one message, and mailbox servers bound those. */
const MAX_TEXT_BYTES = 16 * 1024;

/** How long the receiver may take to put what it got in place: unpacking, flushing. */
const PLACING_MS = 15 * 60_000;

/** Longest last word of the receiver. */
const MAX_ACK_BYTES = 64 * 1024;

/** What is sent: a text, or the file or folder at `path`. */
export type CompatContent = { readonly text: string } | { readonly path: string };

/** What is told about the thing that is sent. */
export interface CompatSent {
  readonly name: string;
  readonly files: number;
  readonly directories: number;
  /** Of content. */
  readonly bytes: number;
}

/** Options of {@linkcode sendCompat}. */
export interface SendCompatOptions {
  readonly content: CompatContent;
  /** Address of the mailbox server; "" for the public one. */
  readonly hub: string;
  /** Transit relays of this side; the server's own when there are none. */
  readonly relays: readonly Place[];
  readonly code?: string;
  readonly words: number;
  /** How long to wait for the receiver, in ms. */
  readonly timeoutMs?: number;
  /** Asks whether the receiver shows the same verifier; a throw ends it. */
  confirm?(verifier: string): Promise<void>;
  /** `expiresInMs`: how long the server keeps the code; undefined when it does not say. */
  onCode(code: string, expiresInMs: number | undefined): void;
  onOffer?(sent: CompatSent): void;
  /** Told the first paths of what a folder has that is neither file nor folder, and how many there are. */
  onLeftOut?(leftOut: { paths: readonly Uint8Array[]; count: number }): void;
  onConnected?(connected: Connected): void;
  onProgress?(progress: Progress): void;
  readonly clock?: Clock;
  readonly signal: AbortSignal;
}

/** A file or folder that is ready. */
interface Ready extends CompatSent {
  readonly source: SourceHandle;
  /** Of what travels. */
  readonly size: number;
  readonly offer: object;
}

/**
 * Sends to a magic-wormhole client; done when it has confirmed by SHA-256 that it has everything.
 *
 * @throws {WormholeError} what the mailbox fails with, CODE_WRONG and its kin; REFUSED when the receiver declines, CORRUPT
 * when it got something else; CONNECT_FAILED, CONNECTION_LOST, PEER_FROZEN; TIMEOUT when nobody came in time; what reading
 * the file or folder fails with; LIMIT_EXCEEDED for a text over 16 KiB.
 */
export async function sendCompat(options: SendCompatOptions): Promise<TransferOutcome> {
  const { content, hub, code, words, confirm, timeoutMs, clock = systemClock, signal } = options;
  await using queue = NativeQueue.open({ threads: 2 });
  // What cannot be read is found out before anybody gets a code.
  const ready = "text" in content ? undefined : await prepare(content.path, { queue, options });
  if ("text" in content) assertShort(content.text);
  else options.onOffer?.(ready!);
  const met = await meet({ hub, words, ...code !== undefined && { code }, signal });
  await using mailbox = met.mailbox;
  options.onCode(formatCode(met.code), mailbox.expiresInMs);
  const late = new AbortController();
  const patience = Math.round((timeoutMs ?? 0) / 1000);
  const give = () =>
    late.abort(new WormholeError("TIMEOUT", `Cannot send: nobody came within ${patience} s`));
  using timer = new DisposableStack();
  if (timeoutMs !== undefined) timer.use(clock.timer(timeoutMs, give));
  return await converse({
    mailbox,
    code: met.code,
    crypto: nativeCrypto(),
    role: "sender",
    onPeer: () => timer.dispose(),
    ...confirm && { confirm: (verifier: string) => confirm.call(options, verifier) },
    signal: anySignal(signal, late.signal),
  }, (conversation) => {
    const relays = relaysOf(options.relays, mailbox);
    const sending = new Sending(options, { queue, conversation, relays });
    return ready === undefined ? sending.text((content as { text: string }).text) : sending.stored(ready);
  });
}

class Sending {
  readonly #options: SendCompatOptions;
  readonly #queue: NativeQueue;
  readonly #conversation: Conversation;
  readonly #relays: readonly Place[];

  constructor(
    options: SendCompatOptions,
    { queue, conversation, relays }: {
      queue: NativeQueue;
      conversation: Conversation;
      relays: readonly Place[];
    },
  ) {
    this.#options = options;
    this.#relays = relays;
    this.#queue = queue;
    this.#conversation = conversation;
  }

  async text(text: string): Promise<TransferOutcome> {
    await this.#conversation.send({ offer: { message: text } });
    for (;;) {
      const message = await this.#conversation.next();
      assertNoError(message);
      if (parseAnswer(message, "text")) break;
    }
    const bytes = new TextEncoder().encode(text).length;
    return { ...NOTHING, kind: "text", bytes, bytesWire: bytes };
  }

  async stored(ready: Ready): Promise<TransferOutcome> {
    const { clock = systemClock, signal } = this.#options;
    await using link = await Link.open(this.#queue, this.#relays);
    await this.#conversation.send(link.message);
    await this.#conversation.send({ offer: ready.offer });
    const peer = await this.#accepted();
    const started = clock.now();
    const connected = await link.connect({ conversation: this.#conversation, sender: true, peer, signal });
    this.#options.onConnected?.(connected);
    const { pipe } = connected;
    const sum = await this.#push(connected, ready);
    this.#progress("placing", { ready, bytes: ready.size });
    const ack = await hear(this.#queue, { pipe, maxBytes: MAX_ACK_BYTES, timeoutMs: PLACING_MS, signal })
      .catch((error) =>
        Promise.reject(isWormholeError(error, "CONNECTION_LOST") ? unconfirmed(error) : error)
      );
    assertAcknowledged(decodeMessage(ack), sum);
    this.#progress("done", { ready, bytes: ready.size });
    await forgetSource(this.#queue, ready.source);
    return {
      ...NOTHING,
      kind: "files",
      files: ready.files,
      directories: ready.directories,
      bytes: ready.bytes,
      bytesWire: ready.size,
      durationMs: clock.now() - started,
    };
  }

  /** Waits until the receiver says yes, and where it is; its person may take their time. */
  async #accepted(): Promise<PeerPlaces> {
    let peer: PeerPlaces | undefined;
    for (;;) {
      const message = await this.#conversation.next();
      assertNoError(message);
      peer = parseTransit(message) ?? peer;
      // The answer is the last word; without addresses the peer comes to us.
      if (parseAnswer(message, "file")) return peer ?? { direct: [], relays: [] };
    }
  }

  async #push({ pipe }: Connected, ready: Ready): Promise<Uint8Array> {
    for (;;) {
      const { sent, sum } = await push(this.#queue, {
        pipe,
        source: ready.source,
        signal: this.#options.signal,
      });
      this.#progress("transferring", { ready, bytes: sent });
      if (sum !== undefined) return sum;
    }
  }

  #progress(phase: Progress["phase"], { ready, bytes }: { ready: Ready; bytes: number }): void {
    this.#options.onProgress?.({
      phase,
      bytesDone: bytes,
      bytesFound: 0,
      bytesTotal: ready.size,
      filesDone: phase === "done" ? 1 : 0,
      filesTotal: 1,
      bytesWire: bytes,
      failedCount: 0,
    });
  }
}

async function prepare(
  path: string,
  { queue, options }: { queue: NativeQueue; options: SendCompatOptions },
): Promise<Ready> {
  // `.` and `dir/..` have a name as well.
  const real = await Deno.realPath(path).catch((cause) => {
    const denied = cause instanceof Deno.errors.PermissionDenied;
    throw new WormholeError(
      denied ? "PERMISSION_DENIED" : "NOT_FOUND",
      `Cannot send "${path}": ${denied ? "permission denied" : "there is no such file or folder"}`,
      { cause },
    );
  });
  // A link is sent as what it leads to, under its own name.
  const name = /(^|\/)\.{0,2}\/*$/.test(path) ? basename(real) : basename(path.replace(/\/+$/, ""));
  if (!(await Deno.stat(real)).isDirectory) {
    const { source, size } = await openSource(queue, real);
    const offer = { file: { filename: name, filesize: size } };
    return { source, size, name, files: 1, directories: 0, bytes: size, offer };
  }
  const workplace = await Deno.makeTempDir({ prefix: "wormhole-" });
  try {
    const packed = await packFolder(queue, { path: real, workplace, signal: options.signal });
    const { source, size, files, bytes, left_out: paths, left_out_count: count } = packed;
    if (count > 0) options.onLeftOut?.({ paths, count });
    const offer = {
      directory: { mode: "zipfile/deflated", dirname: name, zipsize: size, numbytes: bytes, numfiles: files },
    };
    return { source, size, name, files, directories: 1, bytes, offer };
  } finally {
    await Deno.remove(workplace, { recursive: true });
  }
}

function assertShort(text: string): void {
  if (new TextEncoder().encode(text).length <= MAX_TEXT_BYTES) return;
  throw new WormholeError(
    "LIMIT_EXCEEDED",
    "Cannot send the text: it has over 16 KiB; put it into a file and send that",
  );
}

function unconfirmed(cause: WormholeError): WormholeError {
  return new WormholeError(
    "CONNECTION_LOST",
    "Cannot confirm the transfer: everything was sent, but the other side hung up without saying that it has it",
    { cause },
  );
}
