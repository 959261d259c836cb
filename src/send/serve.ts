import { type Clock, systemClock } from "../base/clock.ts";
import { WormholeError } from "../base/errors.ts";
import type { Folders } from "../config/paths.ts";
import type { GuessGate } from "../pairing/mod.ts";
import type { Peer } from "../peers/mod.ts";
import {
  hostKnown,
  hostSession,
  knownOptions,
  type Machine,
  machineOptions,
  type Meeting,
  type MetPeer,
  noteMeeting,
  type ReconnectEvent,
  rememberAbilities,
  type Remembering,
  type SessionEvent,
  type SessionSettings,
  withDeadline,
} from "../session/mod.ts";
import {
  type FilesOptions,
  KnownContent,
  type KnownContentOptions,
  type Progress,
  type SendSettings,
  SendSource,
  type TransferFile,
  type TransferOutcome,
  versionKey,
} from "../transfer/mod.ts";
import type { PeerConnection } from "../transport/mod.ts";
import { sendOverLinks } from "./over_links.ts";

/** What is sent: a text, or what {@linkcode FilesOptions} names. */
export type Content = { readonly text: string } | { readonly files: FilesOptions };

/** Options of {@linkcode send}. */
export interface SendOptions extends SessionSettings, SendSettings {
  readonly content: Content;
  readonly folders: Folders;
  /** A code that was agreed on; else one of `words` words is made. */
  readonly code?: string;
  readonly words: number;
  /** Name of a known machine, which needs no code. */
  readonly to?: string;
  /** Keep the other machine, if its person wants that too. */
  readonly remember?: Remembering;
  /** Address of a hub; "" for none. */
  readonly hub: string;
  readonly port: number;
  /** Where content that is known is looked up and remembered; nowhere when left out. */
  readonly index?: Omit<KnownContentOptions, "onWarning">;
  /** How long to wait for the receiver, in ms; for ever when left out. */
  readonly timeoutMs?: number;
  /** Bounds the guesses where the code is one that many may use. */
  readonly guesses?: GuessGate;
  /** How long a connection that was lost may be away, in ms; with 0, or when left out, its loss is the end. */
  readonly reconnectMs?: number;
  /** Asks whether the receiver shows the same verifier. */
  confirm?(verifier: string): Promise<boolean>;
  /** Called once what is sent has been found, before there is a code. */
  onSource?(source: SendSource): void;
  onEvent?(event: SessionEvent): void;
  /** Told every file that is sent, as it is listed. */
  onFile?(file: TransferFile): void;
  /** Told that the other machine is known from now on. */
  onRemembered?(peer: Peer): void;
  onReconnect?(event: ReconnectEvent): void;
  onProgress?(progress: Progress): void;
  /** Told the outcome as soon as there is one: what is to be remembered takes a moment more. */
  onOutcome?(outcome: TransferOutcome): void | Promise<void>;
  onWarning?(sentence: string): void;
  readonly clock?: Clock;
  readonly signal: AbortSignal;
}

/** Where one receiver is met: `openRendezvous` and its kin. */
export type Meet = (options: { signal?: AbortSignal }) => Promise<Meeting>;

/** Opens what is sent; for one receiver, since it is used up by a transfer. */
export async function openSource(
  { content, onSource }: Pick<SendOptions, "content"> & Partial<Pick<SendOptions, "onSource">>,
  machine: Machine,
): Promise<SendSource> {
  const source = "text" in content ? SendSource.ofText(content.text) : await SendSource.open(machine.queue, {
    ...content.files,
    versionKey: versionKey(machine.identity.seed),
  });
  onSource?.(source);
  return source;
}

/** Waits for one receiver and sends it `source`, which is disposed of. @throws {WormholeError} as `send` does. */
export async function serve(
  options: SendOptions,
  { machine, source: given, meet, known }: {
    machine: Machine;
    /** A function is asked once there is a connection. */
    source: SendSource | (() => Promise<SendSource>);
    meet: Meet;
    /** A known machine, which is met without a code. */
    known?: Peer;
  },
): Promise<TransferOutcome> {
  const session = await host(options, machine, known ?? meet);
  await using connection = session.connection;
  await noteMeeting(session.met, {
    book: machine.peers,
    identity: machine.identity,
    isKnown: known !== undefined,
    ...options.remember && { remembering: options.remember },
    onRemembered: (peer) => options.onRemembered?.(peer),
    onWarning: (sentence) => options.onWarning?.(sentence),
  });
  await using source = typeof given === "function" ? await given() : given;
  const { onReconnect, onWarning, onOutcome, index, clock } = options;
  const warn = onWarning && ((sentence: string) => onWarning.call(options, sentence));
  using content = index && new KnownContent({ ...index, ...warn && { onWarning: warn } });
  return await sendOverLinks({
    connection,
    source,
    reopen: () => openSource({ content: options.content }, machine),
    reconnectMs: options.reconnectMs ?? 0,
    ...onReconnect && { onReconnect: (event: ReconnectEvent) => onReconnect.call(options, event) },
    ...clock && { clock },
    agent: options.agent,
    minStreams: options.minStreams,
    maxStreams: options.maxStreams,
    poolBytes: options.poolBytes,
    chunkBytes: options.chunkBytes,
    compression: options.compression,
    compressionLevel: options.compressionLevel,
    ...options.onFile && { onFile: (file: TransferFile) => options.onFile?.(file) },
    ...content && { content },
    ...warn && { onWarning: warn },
    ...onOutcome && { onOutcome: (outcome: TransferOutcome) => onOutcome.call(options, outcome) },
    onProgress: options.onProgress,
    signal: options.signal,
  });
}

/** Waits for the receiver, as long as the person wants. */
async function host(
  options: SendOptions,
  machine: Machine,
  meet: Meet | Peer,
): Promise<{ connection: PeerConnection; met: MetPeer }> {
  const { timeoutMs, confirm, remember, onEvent, onWarning, clock = systemClock, signal } = options;
  let met: MetPeer | undefined;
  const common = {
    ...machineOptions(options, machine),
    ...onEvent && { onEvent: (event: SessionEvent) => onEvent.call(options, event) },
    onMet: (peer: MetPeer) => void (met = peer),
  };
  const run = (signal: AbortSignal) =>
    typeof meet === "function"
      ? hostSession({
        ...common,
        // Without a hub the mailbox has the port, which is what --peer names.
        port: options.hub === "" ? 0 : options.port,
        meet,
        ...remember && { abilities: rememberAbilities(remember) },
        ...options.guesses && { guesses: options.guesses },
        ...confirm && { confirm: (verifier: string) => confirm.call(options, verifier) },
        signal,
      })
      : hostKnown({
        ...common,
        ...knownOptions(meet, machine, {
          hub: options.hub,
          mailboxPort: options.port,
          ...onWarning && { onWarning: (sentence: string) => onWarning.call(options, sentence) },
        }),
        signal,
      });
  const nobody = typeof meet === "function" ? "nobody" : `"${meet.name}" has not`;
  const late = (ms: number) => (cause: unknown) =>
    new WormholeError(
      "TIMEOUT",
      `Cannot send: ${nobody} ${typeof meet === "function" ? "came" : "come"} within ${
        Math.round(ms / 1000)
      } s`,
      { cause },
    );
  const connection = timeoutMs === undefined
    ? await run(signal)
    : await withDeadline(run, { ms: timeoutMs, late: late(timeoutMs), clock, signal });
  return { connection, met: met! };
}
