import { anySignal } from "../base/any_signal.ts";
import { type Clock, systemClock } from "../base/clock.ts";
import { WormholeError } from "../base/errors.ts";
import {
  type Connected,
  type PipeHandle,
  type Place,
  place,
  pull,
  say,
  stage,
  unpack,
} from "../native/compat.ts";
import { diskSpace, existingNames } from "../native/files.ts";
import { NativeQueue } from "../native/queue.ts";
import { nativeCrypto } from "../pairing/mod.ts";
import type { Acceptance, Offer, Progress, TransferOutcome } from "../transfer/mod.ts";
import { Placement } from "../transfer/placement.ts";
import { type Conversation, converse } from "./conversation.ts";
import { Link } from "./link.ts";
import { meet, relaysOf } from "./meeting.ts";
import {
  assertNoError,
  type CompatOffer,
  encodeMessage,
  parseOffer,
  parseTransit,
  type PeerPlaces,
} from "./messages.ts";
import { NOTHING } from "./outcome.ts";

/** What a folder may have beyond what its sender counted: it says so itself that it estimates. */
const SLACK_BYTES = 1024 * 1024;

/** Options of {@linkcode receiveCompat}. */
export interface ReceiveCompatOptions {
  readonly code: string;
  /** Folder to receive into; it must exist. */
  readonly destination: string;
  /** Address of the mailbox server; "" for the public one. */
  readonly hub: string;
  /** Fails when nobody offers the code, where the server can tell. */
  readonly mustExist?: boolean;
  /** Transit relays of this side; the server's own when there are none. */
  readonly relays: readonly Place[];
  /** How long to wait for the sender, in ms. */
  readonly timeoutMs?: number;
  accept(offer: Offer, options: { signal: AbortSignal }): Promise<Acceptance> | Acceptance;
  /** Asks whether the sender shows the same verifier; a throw ends it. */
  confirm?(verifier: string): Promise<void>;
  onConnected?(connected: Connected): void;
  onProgress?(progress: Progress): void;
  readonly clock?: Clock;
  readonly signal: AbortSignal;
}

type Stored = Exclude<CompatOffer, { kind: "text" }>;

/**
 * Receives what a magic-wormhole client sends. What does not arrive whole leaves nothing.
 *
 * @throws {WormholeError} CODE_INVALID and its kin; REFUSED, PROTOCOL, CORRUPT, HOSTILE_NAME and LIMIT_EXCEEDED for what the
 * sender does; CONNECT_FAILED, CONNECTION_LOST, PEER_FROZEN; TIMEOUT when no sender came in time; what the disk fails with.
 */
export async function receiveCompat(options: ReceiveCompatOptions): Promise<TransferOutcome> {
  const { code, hub, mustExist = false, confirm, timeoutMs, clock = systemClock, signal } = options;
  await using queue = NativeQueue.open({ threads: 2 });
  const { mailbox, code: parsed } = await meet({ hub, code, mustExist, signal });
  await using _mailbox = mailbox;
  const late = new AbortController();
  const patience = Math.round((timeoutMs ?? 0) / 1000);
  const give = () =>
    late.abort(new WormholeError("TIMEOUT", `Cannot receive: no sender came within ${patience} s`));
  using timer = new DisposableStack();
  if (timeoutMs !== undefined) timer.use(clock.timer(timeoutMs, give));
  return await converse({
    mailbox,
    code: parsed,
    crypto: nativeCrypto(),
    role: "receiver",
    // Only waiting for the sender is timed.
    onPeer: () => timer.dispose(),
    ...confirm && { confirm: (verifier: string) => confirm.call(options, verifier) },
    signal: anySignal(signal, late.signal),
  }, (conversation) => {
    const relays = relaysOf(options.relays, mailbox);
    return new Receiving(options, { queue, conversation, relays }).run();
  });
}

class Receiving {
  readonly #options: ReceiveCompatOptions;
  readonly #queue: NativeQueue;
  readonly #conversation: Conversation;
  readonly #relays: readonly Place[];

  constructor(
    options: ReceiveCompatOptions,
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

  async run(): Promise<TransferOutcome> {
    const { offer, peer } = await this.#offered();
    return await (offer.kind === "text" ? this.#text(offer.text) : this.#stored(offer, peer));
  }

  /** Waits for an offer, and for a file or folder also for where its sender is. */
  async #offered(): Promise<{ offer: CompatOffer; peer: PeerPlaces }> {
    let offer: CompatOffer | undefined;
    let peer: PeerPlaces | undefined;
    for (;;) {
      // Before the offer the sender's person may compare verifiers.
      const message = await this.#conversation.next({ patient: offer === undefined });
      assertNoError(message);
      peer = parseTransit(message) ?? peer;
      offer ??= parseOffer(message);
      if (offer?.kind === "text" || offer && peer) {
        return { offer, peer: peer ?? { direct: [], relays: [] } };
      }
    }
  }

  async #text(text: string): Promise<TransferOutcome> {
    const acceptance = await this.#ask({ kind: "text", text });
    if (!acceptance.accept) throw refused();
    await this.#conversation.send({ answer: { message_ack: "ok" } });
    const bytes = new TextEncoder().encode(text).length;
    return { ...NOTHING, kind: "text", text, bytes, bytesWire: bytes };
  }

  async #stored(offer: Stored, peer: PeerPlaces): Promise<TransferOutcome> {
    const { destination, clock = systemClock, signal } = this.#options;
    const acceptance = await this.#ask(offer);
    if (!acceptance.accept) throw refused();
    const plan = await this.#plan(offer, acceptance.existing);
    if (plan === undefined) {
      await this.#conversation.send({ error: "transfer rejected" });
      return { ...NOTHING, kind: "files", skipped: 1 };
    }
    await this.#assertRoom(offer);
    await using link = await Link.open(this.#queue, this.#relays);
    await this.#conversation.send(link.message);
    await this.#conversation.send({ answer: { file_ack: "ok" } });
    const started = clock.now();
    const connected = await link.connect({ conversation: this.#conversation, sender: false, peer, signal });
    this.#options.onConnected?.(connected);
    const { pipe } = connected;
    await stage(this.#queue, { pipe, destination, size: offer.size });
    const sum = await this.#pull(pipe, offer);
    this.#progress("placing", { offer, bytes: offer.size });
    const unpacked = offer.kind === "directory" ? await this.#unpack(pipe, offer) : undefined;
    await place(this.#queue, { pipe, ...plan });
    // Only now: the sender may delete what it has once it hears this.
    const content = encodeMessage({ ack: "ok", sha256: sum.toHex() });
    await say(this.#queue, { pipe, content, signal });
    this.#progress("done", { offer, bytes: offer.size });
    return {
      ...NOTHING,
      kind: "files",
      files: unpacked?.files ?? 1,
      directories: unpacked === undefined ? 0 : unpacked.directories + 1,
      bytes: unpacked?.bytes ?? offer.size,
      bytesWire: offer.size,
      durationMs: clock.now() - started,
    };
  }

  async #ask(offer: CompatOffer): Promise<Acceptance> {
    const { destination, accept, signal } = this.#options;
    if (offer.kind === "text") {
      const totals = { files: 0, directories: 0, symlinks: 0, bytes: 0 };
      const shown = { kind: "text", roots: [], more: 0, totals, counting: false, text: offer.text } as const;
      return await accept.call(this.#options, shown, { signal });
    }
    const [exists] = await existingNames(this.#queue, destination, [offer.name]);
    const folder = offer.kind === "directory";
    const bytes = folder ? offer.bytes : offer.size;
    const files = folder ? offer.files : 1;
    const root = { name: offer.name, kind: offer.kind, size: bytes, files, exists: exists !== undefined };
    const totals = { files, directories: folder ? 1 : 0, symlinks: 0, bytes };
    const shown = {
      kind: "files",
      roots: [root],
      more: 0,
      totals,
      counting: false,
      text: undefined,
    } as const;
    return await accept.call(this.#options, shown, { signal });
  }

  /** Gives where it goes; undefined when it stays out because it exists. @throws {WormholeError} DESTINATION_EXISTS. */
  async #plan(
    offer: Stored,
    existing: Extract<Acceptance, { accept: true }>["existing"],
  ): Promise<{ name: Uint8Array; policy: string } | undefined> {
    const { destination } = this.#options;
    const exists = async (names: readonly Uint8Array[]) => {
      const texts = names.map((name) => new TextDecoder().decode(name));
      const found = new Set(await existingNames(this.#queue, destination, texts));
      return new Set(texts.flatMap((name, i) => found.has(name) ? [i] : []));
    };
    const root = { entry: 0, name: offer.name, kind: offer.kind };
    const { plans: [plan], refused: [refusal] } = await new Placement({ exists, existing }).plan([root]);
    if (plan === undefined) throw new WormholeError(refusal!.code, refusal!.message);
    if (plan.policy === "skip" && offer.kind === "file") return undefined;
    return { name: plan.final_name, policy: plan.policy };
  }

  /** @throws {WormholeError} NO_SPACE. */
  async #assertRoom(offer: Stored): Promise<void> {
    const { destination } = this.#options;
    const needed = offer.size + (offer.kind === "directory" ? offer.bytes : 0);
    const { available } = await diskSpace(this.#queue, destination);
    if (needed <= available) return;
    throw new WormholeError(
      "NO_SPACE",
      `Cannot receive into "${destination}": ${needed} bytes are needed, ${available} are free`,
    );
  }

  async #pull(pipe: PipeHandle, offer: Stored): Promise<Uint8Array> {
    for (;;) {
      const { received, sum } = await pull(this.#queue, pipe, { signal: this.#options.signal });
      this.#progress("transferring", { offer, bytes: received });
      if (sum !== undefined) return sum;
    }
  }

  #unpack(pipe: PipeHandle, offer: Extract<Stored, { kind: "directory" }>) {
    return unpack(this.#queue, {
      pipe,
      maxBytes: offer.bytes + SLACK_BYTES,
      // Some clients count the files only: the directories come on top, and at most one for each and the empty ones.
      maxEntries: 2 * offer.files + 10_000,
      signal: this.#options.signal,
    });
  }

  #progress(phase: Progress["phase"], { offer, bytes }: { offer: Stored; bytes: number }): void {
    this.#options.onProgress?.({
      phase,
      bytesDone: bytes,
      bytesFound: 0,
      bytesTotal: offer.size,
      filesDone: phase === "done" ? 1 : 0,
      filesTotal: 1,
      bytesWire: bytes,
      failedCount: 0,
    });
  }
}

function refused(): WormholeError {
  return new WormholeError("REFUSED", "Cannot receive: the offer was declined here");
}
