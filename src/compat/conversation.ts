import { anySignal } from "../base/any_signal.ts";
import { isWormholeError, WormholeError } from "../base/errors.ts";
import { type Code, formatCode, type Mood, type PairingCrypto } from "../pairing/mod.ts";
import type { Mailbox, MailboxMessage } from "../pairing/mod.ts";
import { finishPake } from "../pairing/finish_pake.ts";
import { phaseKey } from "../pairing/phase_key.ts";
import { decodePake, encodePake } from "../pairing/phases.ts";
import { COMPAT_APP_ID } from "./meeting.ts";
import { decodeMessage, encodeMessage, type Message } from "./messages.ts";

/** Options of {@linkcode converse}. */
export interface ConversationOptions {
  readonly mailbox: Mailbox & { release?(options: { signal?: AbortSignal }): Promise<void> };
  readonly code: Code;
  readonly crypto: PairingCrypto;
  readonly role: "sender" | "receiver";
  /** Told when somebody has come, before anything is known about them. */
  readonly onPeer?: () => void;
  /** Compares the verifier (hex, as those clients show it) with the peer's person; a throw ends it. */
  readonly confirm?: (verifier: string) => Promise<void>;
  /** How long a side that has come may take for each step that needs no person; 30 s when left out. */
  readonly answerTimeoutMs?: number;
  readonly signal: AbortSignal;
}

/** Sealed messages in order, with whoever has the same code. */
export interface Conversation {
  /** Derives 32 bytes for `purpose`; both sides get the same. */
  derive(purpose: string): Uint8Array;
  send(message: object): Promise<void>;
  /** Gives the peer's next message, whenever it comes; `patient: false`: within the time for answers. */
  next(options?: { patient?: boolean }): Promise<Message>;
}

/** Most messages of phases that are of no use that are passed over, and that are kept because they came early. */
const MAX_ODD_MESSAGES = 256;

const KEY_BYTES = 32;

/**
 * Agrees on a key with the code's other side and runs `talk` over it. The mailbox is closed in any case.
 *
 * @throws {WormholeError} CODE_WRONG when the passwords differ, CODE_USED when somebody joined and went silent,
 * CODE_CROWDED for a third side, PROTOCOL when the peer talks nonsense; what `talk` and the mailbox fail with.
 */
export async function converse<T>(
  options: ConversationOptions,
  talk: (conversation: Conversation) => Promise<T>,
): Promise<T> {
  const exchange = new Exchange(options);
  try {
    await exchange.agree();
    const result = await talk(exchange).catch(async (error) => {
      // Their person should not wait. Why it failed is not their business, nor is a local path.
      const said = options.role === "receiver" ? "transfer rejected" : "transfer stopped";
      await exchange.send({ error: said }).catch(() => {});
      throw error;
    });
    await options.mailbox.close("happy");
    return result;
  } catch (error) {
    await options.mailbox.close(mood(error, exchange.peerSeen));
    throw error;
  }
}

class Exchange implements Conversation {
  readonly #options: ConversationOptions;
  readonly #early = new Map<string, MailboxMessage>();
  #peerSide: string | undefined;
  #key: Uint8Array = new Uint8Array();
  #odd = 0;
  #sent = 0;
  #received = 0;

  constructor(options: ConversationOptions) {
    this.#options = options;
  }

  get peerSeen(): boolean {
    return this.#peerSide !== undefined;
  }

  async agree(): Promise<void> {
    const { mailbox, code, crypto, confirm, onPeer, signal } = this.#options;
    using spake = crypto.spake2Start(utf8(formatCode(code).normalize("NFC")), utf8(COMPAT_APP_ID));
    mailbox.add("pake", encodePake(spake.message));
    const theirs = await this.#phase("pake", signal);
    onPeer?.();
    this.#key = finishPake(spake, { message: decodePake(theirs.body), wrong: () => this.#wrong() });
    await mailbox.release?.({ signal });
    await this.#add("version", encodeMessage({ app_versions: {} }));
    decodeMessage(await this.#open(await this.#soon("version")));
    await confirm?.(this.derive("wormhole:verifier").toHex());
  }

  derive(purpose: string): Uint8Array {
    return this.#options.crypto.hkdf(this.#key, utf8(purpose), KEY_BYTES);
  }

  async send(message: object): Promise<void> {
    await this.#add(String(this.#sent++), encodeMessage(message));
  }

  async next({ patient = true }: { patient?: boolean } = {}): Promise<Message> {
    const phase = String(this.#received++);
    const message = await (patient ? this.#phase(phase, this.#options.signal) : this.#soon(phase));
    return decodeMessage(await this.#open(message));
  }

  async #soon(phase: string): Promise<MailboxMessage> {
    const { signal, answerTimeoutMs = 30_000 } = this.#options;
    const deadline = AbortSignal.timeout(answerTimeoutMs);
    try {
      return await this.#phase(phase, anySignal(signal, deadline));
    } catch (error) {
      if (signal.aborted || !deadline.aborted) throw error;
      throw new WormholeError("CODE_USED", "Cannot go on with this code: the other side went silent", {
        cause: error,
      });
    }
  }

  /** Gives the peer's message of `phase`; keeps those that came before their turn. */
  async #phase(phase: string, signal: AbortSignal): Promise<MailboxMessage> {
    for (;;) {
      const early = this.#early.get(phase);
      if (early !== undefined) {
        this.#early.delete(phase);
        return early;
      }
      const message = await this.#options.mailbox.next({ signal });
      this.#peerSide ??= message.side;
      if (message.side !== this.#peerSide) {
        throw new WormholeError("CODE_CROWDED", "Cannot use this code: a third side joined it");
      }
      if (this.#isAwaited(message.phase) && !this.#early.has(message.phase)) {
        this.#early.set(message.phase, message);
      } else this.#odd++;
      if (this.#odd + this.#early.size > MAX_ODD_MESSAGES) {
        throw new WormholeError("PROTOCOL", "Cannot go on: the other side sends too many messages of no use");
      }
    }
  }

  /** Whether the phase is one that is read now or later; repeats of what was read are not. */
  #isAwaited(phase: string): boolean {
    if (phase === "pake" || phase === "version") return true;
    return /^(?:0|[1-9]\d{0,8})$/.test(phase) && Number(phase) >= this.#received - 1;
  }

  async #add(phase: string, plaintext: Uint8Array): Promise<void> {
    const { crypto, mailbox } = this.#options;
    const key = await phaseKey(crypto, this.#key, { side: mailbox.side, phase });
    mailbox.add(phase, crypto.seal(key, plaintext));
  }

  async #open({ side, phase, body }: MailboxMessage): Promise<Uint8Array> {
    const { crypto } = this.#options;
    const key = await phaseKey(crypto, this.#key, { side, phase });
    try {
      return crypto.open(key, body);
    } catch (cause) {
      throw this.#wrong(cause);
    }
  }

  #wrong(cause?: unknown): WormholeError {
    return new WormholeError(
      "CODE_WRONG",
      this.#options.role === "sender"
        ? "Cannot go on with this code: somebody tried a wrong code, so it is used up; run send again for a new one"
        : "Cannot use this code: it was wrong; one try is all it allows, so ask the sender for a new one",
      { cause },
    );
  }
}

function mood(error: unknown, peerSeen: boolean): Mood {
  if (isWormholeError(error, "CODE_WRONG", "CODE_USED")) return "scary";
  return peerSeen ? "errory" : "lonely";
}

function utf8(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text);
}
