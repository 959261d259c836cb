/**
 * `wormhole recv`: finds the sender of a code, shows what it offers and receives it into a folder.
 * It never prints and never asks; the command does.
 */
import { type Clock, systemClock } from "../base/clock.ts";
import { WormholeError } from "../base/errors.ts";
import { hostOf } from "../base/host_port.ts";
import type { Folders } from "../config/paths.ts";
import { parseCode } from "../pairing/mod.ts";
import type { Peer } from "../peers/mod.ts";
import {
  APP_ID,
  findRendezvous,
  joinKnown,
  joinSession,
  knownOptions,
  type Machine,
  machineOptions,
  type MetPeer,
  noteMeeting,
  openMachine,
  type ReconnectEvent,
  rememberAbilities,
  type Remembering,
  type SessionEvent,
  type SessionSettings,
  withDeadline,
} from "../session/mod.ts";
import { Keeper, type KeepOptions } from "./keep.ts";
import {
  type Acceptance,
  KnownContent,
  type KnownContentOptions,
  type Offer,
  openJournalIfPossible,
  type Progress,
  type TransferFile,
  type TransferOutcome,
} from "../transfer/mod.ts";
import type { PeerConnection } from "../transport/mod.ts";
import { receiveOverLinks } from "./over_links.ts";

/** Options of {@linkcode recv}. */
export interface RecvOptions extends SessionSettings {
  /** What the sender shows, or asks for it: whatever can be made ready without it is ready by then. */
  readonly code?: string | (() => Promise<string>);
  /** A known machine, which needs no code. */
  readonly from?: Peer;
  /** Keep the other machine, if its person wants that too. */
  readonly remember?: Remembering;
  /** Folder to receive into; it must exist. */
  readonly destination: string;
  readonly folders: Folders;
  /** Address of a hub; "" for none. */
  readonly hub: string;
  /** `host:port` of the sender's own mailbox. */
  readonly peer?: string;
  readonly maxStreams: number;
  readonly poolBytes: number;
  /** Forces how files are written; see `debug_io`. */
  readonly io?: string;
  /** Globs of what is wanted; all when empty. */
  readonly only: readonly string[];
  /** How long to look for the sender, in ms. */
  readonly timeoutMs?: number;
  /** How long a connection that was lost may be away, in ms; with 0, or when left out, its loss is the end. */
  readonly reconnectMs?: number;
  /** Asks the person about the offer. */
  accept(offer: Offer, options: { signal: AbortSignal }): Promise<Acceptance> | Acceptance;
  /** Asks whether the sender shows the same verifier. */
  confirm?(verifier: string): Promise<boolean>;
  onEvent?(event: SessionEvent): void;
  onLooking?(): void;
  /** Told when the code's other side was found; before, nothing was said that is about the code's words. */
  onFound?(): void;
  /** Asked at a hub that would make a number that nobody offers: whether it is of another program there. */
  isOthers?(nameplate: string): Promise<boolean>;
  /** Told every file that is to be received, by its path in the destination. */
  onFile?(file: TransferFile): void;
  /** Told that the other machine is known from now on. */
  onRemembered?(peer: Peer): void;
  onReconnect?(event: ReconnectEvent): void;
  onProgress?(progress: Progress): void;
  /** Keep what arrives of a transfer that fails, and go on with what earlier ones kept; true unless told otherwise. */
  readonly resume?: boolean;
  /** Also keep what is received in the store. */
  readonly keep?: KeepOptions;
  /** Where content that is known is looked up and remembered; nowhere when left out. */
  readonly index?: Omit<KnownContentOptions, "onWarning">;
  /** Look for what is offered before it is asked for; true unless told otherwise. */
  readonly dedup?: boolean;
  /** Told the outcome as soon as there is one: what is to be remembered takes a moment more. */
  onOutcome?(outcome: TransferOutcome): void | Promise<void>;
  /** Told when the transfer fails and bytes of it stay. */
  onKept?(bytes: number): void;
  /** Told of what is odd but no failure. */
  onWarning?(sentence: string): void;
  readonly clock?: Clock;
  readonly signal: AbortSignal;
}

/**
 * Receives what the code's sender sends, or a known machine.
 *
 * @throws {WormholeError} CODE_INVALID and its kin; what `joinSession` and `receiveOverLinks` throw; TIMEOUT when the sender
 * was not found in time; the signal's reason when aborted.
 */
export async function recv(options: RecvOptions): Promise<TransferOutcome> {
  const { keep, destination, folders, signal, onWarning } = options;
  if (keep === undefined) return await receive(options);
  await using keeper = await Keeper.open({
    ...keep,
    destination,
    folders,
    signal,
    ...onWarning && { onWarning: (sentence: string) => onWarning.call(options, sentence) },
  });
  const outcome = await receive(options);
  await keeper.keep();
  return outcome;
}

async function receive(options: RecvOptions): Promise<TransferOutcome> {
  await using machine = await openMachine(options.folders);
  const known = options.from;
  if (options.remember !== undefined) await machine.peers.assertCanName(options.remember.name);
  const session = await join(options, machine, known);
  await using connection = session.connection;
  await noteMeeting(session.met, {
    book: machine.peers,
    identity: machine.identity,
    isKnown: known !== undefined,
    ...options.remember && { remembering: options.remember },
    onRemembered: (peer) => options.onRemembered?.(peer),
    onWarning: (sentence) => options.onWarning?.(sentence),
  });
  const { onKept, onReconnect, onWarning, onOutcome, index, dedup, clock } = options;
  const warn = onWarning && ((sentence: string) => onWarning.call(options, sentence));
  using content = index && new KnownContent({ ...index, ...warn && { onWarning: warn } });
  using journal = options.resume === false ? undefined : await openJournalIfPossible(options.folders, warn);
  return await receiveOverLinks({
    connection,
    reconnectMs: options.reconnectMs ?? 0,
    ...onReconnect && { onReconnect: (event: ReconnectEvent) => onReconnect.call(options, event) },
    ...clock && { clock },
    queue: machine.queue,
    destination: options.destination,
    agent: options.agent,
    maxStreams: options.maxStreams,
    poolBytes: options.poolBytes,
    ...options.io !== undefined && { io: options.io },
    accept: (offer, about) => options.accept(offer, about),
    only: options.only,
    ...journal && { journal },
    ...onKept && { onKept: (bytes: number) => onKept.call(options, bytes) },
    ...options.onFile && { onFile: (file: TransferFile) => options.onFile?.(file) },
    ...warn && { onWarning: warn },
    ...onOutcome && { onOutcome: (outcome: TransferOutcome) => onOutcome.call(options, outcome) },
    ...content && { content },
    ...dedup !== undefined && { dedup },
    onProgress: options.onProgress,
    signal: options.signal,
  });
}

/** Finds the sender and connects to it. */
async function join(
  options: RecvOptions,
  machine: Machine,
  known: Peer | undefined,
): Promise<{ connection: PeerConnection; met: MetPeer }> {
  const { timeoutMs, clock = systemClock, signal } = options;
  let met: MetPeer | undefined;
  const onMet = (peer: MetPeer) => void (met = peer);
  const run = known === undefined
    ? await byCode(options, machine, onMet)
    : byName(options, machine, { known, onMet });
  const late = (ms: number) => (cause: unknown) =>
    new WormholeError(
      "TIMEOUT",
      `Cannot receive: ${known ? `"${known.name}"` : "the sender"} was not reached within ${
        Math.round(ms / 1000)
      } s`,
      { cause },
    );
  const connection = timeoutMs === undefined
    ? await run(signal)
    : await withDeadline(run, { ms: timeoutMs, late: late(timeoutMs), clock, signal });
  return { connection, met: met! };
}

type Run = (signal: AbortSignal) => Promise<PeerConnection>;

async function byCode(
  options: RecvOptions,
  machine: Machine,
  onMet: (peer: MetPeer) => void,
): Promise<Run> {
  const { code, peer, timeoutMs, confirm, remember, onLooking, isOthers } = options;
  const ask = async () => {
    if (code === undefined) throw new WormholeError("INVALID_ARGUMENT", "Cannot receive: there is no code");
    return parseCode(typeof code === "string" ? code : await code.call(options));
  };
  // The time that is set for finding the sender does not run while the person types.
  const known = timeoutMs === undefined && typeof code !== "string" ? undefined : await ask();
  return (signal) =>
    joinSession({
      ...common(options, machine),
      onMet,
      meet: async ({ signal }) => {
        const found = await findRendezvous({
          appId: APP_ID,
          code: known ?? await ask(),
          registry: machine.registry,
          lan: machine.lan,
          ...options.hub !== "" && { hub: options.hub },
          ...peer !== undefined && { peer },
          ...timeoutMs !== undefined && { lookMs: timeoutMs },
          ...onLooking && { onLooking: () => onLooking.call(options) },
          ...isOthers && { isOthers: (nameplate: string) => isOthers.call(options, nameplate) },
          ...signal && { signal },
        });
        options.onFound?.();
        return found;
      },
      ...peer !== undefined && { peerHost: hostOf(peer) },
      ...remember && { abilities: rememberAbilities(remember) },
      ...confirm && { confirm: (verifier: string) => confirm.call(options, verifier) },
      signal,
    });
}

function byName(
  options: RecvOptions,
  machine: Machine,
  { known, onMet }: { known: Peer; onMet: (peer: MetPeer) => void },
): Run {
  const { hub, peer, onWarning } = options;
  return (signal) =>
    joinKnown({
      ...common(options, machine),
      ...knownOptions(known, machine, {
        hub,
        ...peer !== undefined && { peer },
        ...onWarning && { onWarning: (sentence: string) => onWarning.call(options, sentence) },
      }),
      onMet,
      signal,
    });
}

function common(options: RecvOptions, machine: Machine) {
  const { onEvent } = options;
  return {
    ...machineOptions(options, machine),
    ...onEvent && { onEvent: (event: SessionEvent) => onEvent.call(options, event) },
  };
}
