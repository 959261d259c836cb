import { anySignal } from "../base/any_signal.ts";
import { isWormholeError, WormholeError } from "../base/errors.ts";
import { type Code, formatCode } from "./code.ts";
import type { PairingCrypto } from "./crypto.ts";
import { finishPake } from "./finish_pake.ts";
import type { Mailbox, MailboxMessage, Mood } from "./mailbox_client.ts";
import {
  decodeConfirmation,
  decodePake,
  decodeVersion,
  encodeJson,
  encodePake,
  encodeVersion,
} from "./phases.ts";
import { KEY_BYTES, phaseKey } from "./phase_key.ts";
import type { GuessGate } from "./guesses.ts";
import { wordsOf } from "./words.ts";

/** Options of {@linkcode pair}. */
export interface PairOptions {
  code: Code;
  /** Keeps codes of different programs apart; both sides must use the same. */
  appId: string;
  /** What the peer gets, sealed; at most {@linkcode MAX_INTRODUCTION_BYTES}. */
  introduction: Uint8Array;
  crypto: PairingCrypto;
  /** Which words an error uses: whoever made the code is the sender. */
  role: "sender" | "receiver";
  /**
   * Compares the verifier with the peer's person; a throw ends the pairing on both sides. The peer waits
   * for it even when only one side asks.
   */
  confirm?: (verifier: string) => Promise<void>;
  /** Called when the other side has come, before anything is known about it. */
  onPeer?: () => void;
  /** Bounds the guesses of a code that more than one may use; each waits for its turn. */
  guesses?: GuessGate;
  /** How long a side that has come may take for each answer; 30 s when left out. */
  answerTimeoutMs?: number;
  signal?: AbortSignal;
}

/** What two sides share once they are paired. */
export interface Pairing {
  /** The peer's introduction, authentic. */
  introduction: Uint8Array;
  /** Words that are the same on both sides unless somebody is in between. */
  verifier: string;
  /** The same in hex, whole, as magic-wormhole shows it. */
  verifierHex: string;
  /** Derives `length` bytes for `purpose` from the shared key; both sides get the same. */
  derive(purpose: string, length: number): Uint8Array;
}

/**
 * Words of the verifier: 80 bits. Whoever sits in between and guessed the password would need 2^40 group
 * operations within the seconds that a pairing takes, to make both sides' words equal.
 */
const VERIFIER_WORD_BYTES = 10;

/** Most messages of phases this version does not know that are passed over before the peer counts as hostile. */
const MAX_UNKNOWN_MESSAGES = 64;

/**
 * Turns the code into a shared key with whoever has the same code, and swaps introductions. The mailbox is
 * closed in any case; a wrong guess on either side ends the code for both.
 *
 * Spec: `src/wire/spec/pairing.md`.
 *
 * @throws {WormholeError} CODE_WRONG when the passwords differ, CODE_USED when somebody joined and went silent,
 * CODE_CROWDED for a third side, REFUSED when the peer did not confirm, PROTOCOL when it talks nonsense, and what
 * the mailbox fails with.
 */
export async function pair(mailbox: Mailbox, options: PairOptions): Promise<Pairing> {
  const exchange = new Exchange(mailbox, options);
  try {
    const pairing = await exchange.run();
    await mailbox.close("happy");
    return pairing;
  } catch (error) {
    await mailbox.close(mood(error, exchange.peerSeen));
    throw error;
  }
}

class Exchange {
  readonly #mailbox: Mailbox;
  readonly #options: PairOptions;
  /** Messages of known phases that came before their turn. */
  readonly #early = new Map<string, MailboxMessage>();
  #peerSide: string | undefined;
  #unknown = 0;

  constructor(mailbox: Mailbox, options: PairOptions) {
    this.#mailbox = mailbox;
    this.#options = options;
  }

  get peerSeen(): boolean {
    return this.#peerSide !== undefined;
  }

  async run(): Promise<Pairing> {
    const { code, appId, crypto, introduction, confirm, onPeer } = this.#options;
    using spake = crypto.spake2Start(utf8(formatCode(code).normalize("NFC")), utf8(appId));
    this.#mailbox.add("pake", encodePake(spake.message));
    const pakeMessage = await this.#phase("pake", this.#options.signal);
    onPeer?.();
    const key = finishPake(spake, { message: decodePake(pakeMessage.body), wrong: () => this.#wrong() });
    // With our `version` the other side can tell whether its guess was right, whatever it says then.
    using guess = await this.#options.guesses?.enter({ signal: this.#options.signal });
    // Sent before the peer's is looked at: so a wrong guess is known to both sides.
    this.#mailbox.add(
      "version",
      await this.#seal(key, "version", encodeVersion({ introduction, confirms: confirm !== undefined })),
    );
    const opened = await this.#open(key, await this.#answer("version"));
    guess?.right();
    const version = decodeVersion(opened);
    const pairing = this.#pairing(key, version.introduction);
    if (confirm !== undefined) await this.#confirm(key, () => confirm(pairing.verifier));
    if (version.confirms) await this.#awaitConfirmation(key);
    return pairing;
  }

  /** Gets a yes from this side's person and tells the peer either way. */
  async #confirm(key: Uint8Array, ask: () => Promise<void>): Promise<void> {
    const tell = async (confirmed: boolean) =>
      this.#mailbox.add("0", await this.#seal(key, "0", encodeJson({ confirmed })));
    try {
      await ask();
    } catch (error) {
      await tell(false).catch(() => {}); // The link may be what failed; the first error says more.
      throw error;
    }
    await tell(true);
  }

  async #awaitConfirmation(key: Uint8Array): Promise<void> {
    // A person compares words now, so there is no deadline but the caller's.
    const message = await this.#phase("0", this.#options.signal);
    if (decodeConfirmation(await this.#open(key, message))) return;
    throw new WormholeError("REFUSED", "Cannot go on: the other side did not confirm the verifier");
  }

  /** Waits for the peer's next step with the deadline for answers. */
  async #answer(phase: string): Promise<MailboxMessage> {
    const { signal, answerTimeoutMs = 30_000 } = this.#options;
    const deadline = new AbortController();
    const timer = setTimeout(() => deadline.abort(), answerTimeoutMs);
    try {
      return await this.#phase(phase, anySignal(signal, deadline.signal));
    } catch (error) {
      if (signal?.aborted || !deadline.signal.aborted) throw error;
      throw new WormholeError(
        "CODE_USED",
        this.#options.role === "sender"
          ? "Cannot go on with this code: somebody joined with it and went silent, so it is used up"
          : "Cannot go on with this code: the sender went silent",
      );
    } finally {
      clearTimeout(timer);
    }
  }

  /** Gives the peer's message of `phase`; keeps known phases for later, passes over repeats and unknown ones. */
  async #phase(phase: string, signal: AbortSignal | undefined): Promise<MailboxMessage> {
    for (;;) {
      const early = this.#early.get(phase);
      if (early !== undefined) return early;
      const message = await this.#mailbox.next({ signal });
      this.#peerSide ??= message.side;
      if (message.side !== this.#peerSide) {
        throw new WormholeError("CODE_CROWDED", "Cannot use this code: a third side joined it");
      }
      if (PHASES.includes(message.phase)) {
        if (!this.#early.has(message.phase)) this.#early.set(message.phase, message);
      } else if (++this.#unknown > MAX_UNKNOWN_MESSAGES) {
        throw new WormholeError("PROTOCOL", "Cannot pair: the other side sends too many unknown messages");
      }
    }
  }

  async #seal(key: Uint8Array, phase: string, plaintext: Uint8Array): Promise<Uint8Array> {
    const { crypto } = this.#options;
    return crypto.seal(await phaseKey(crypto, key, { side: this.#mailbox.side, phase }), plaintext);
  }

  async #open(key: Uint8Array, { side, phase, body }: MailboxMessage): Promise<Uint8Array> {
    const { crypto } = this.#options;
    const opening = await phaseKey(crypto, key, { side, phase });
    try {
      return crypto.open(opening, body);
    } catch (cause) {
      throw this.#wrong(cause);
    }
  }

  #pairing(key: Uint8Array, introduction: Uint8Array): Pairing {
    const { crypto } = this.#options;
    const derive = (purpose: string, length: number) => crypto.hkdf(key, utf8(purpose), length);
    const verifier = derive("wormhole:verifier", KEY_BYTES);
    return {
      introduction,
      verifier: wordsOf(verifier.subarray(0, VERIFIER_WORD_BYTES)),
      verifierHex: verifier.toHex(),
      derive,
    };
  }

  #wrong(cause?: unknown): WormholeError {
    return new WormholeError(
      "CODE_WRONG",
      this.#options.role === "sender"
        ? "Cannot go on with this code: somebody tried a wrong code, so it is used up; run send again for a new one"
        : "Cannot use this code: it was wrong; unless it is for many, one try is all it allows, so ask the sender for a new one",
      { cause },
    );
  }
}

const PHASES: readonly string[] = ["pake", "version", "0"];

function utf8(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text);
}

function mood(error: unknown, peerSeen: boolean): Mood {
  if (isWormholeError(error, "CODE_WRONG", "CODE_USED")) return "scary";
  return peerSeen ? "errory" : "lonely";
}
