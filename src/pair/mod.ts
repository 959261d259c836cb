/**
 * `wormhole pair`: two machines get to know each other by a code, and move nothing. It never prints and never asks; the
 * command does. Spec: `src/wire/spec/known_peers.md` §1.
 */
import { type Clock, systemClock } from "../base/clock.ts";
import { isWormholeError, WormholeError } from "../base/errors.ts";
import { hostOf } from "../base/host_port.ts";
import type { Folders } from "../config/paths.ts";
import { parseCode } from "../pairing/mod.ts";
import type { Peer } from "../peers/mod.ts";
import {
  APP_ID,
  findRendezvous,
  hostSession,
  joinSession,
  type Machine,
  machineOptions,
  type MetPeer,
  onlyPairs,
  openMachine,
  openRendezvous,
  remember,
  rememberAbilities,
  type SessionEvent,
  withDeadline,
} from "../session/mod.ts";
import type { PeerConnection } from "../transport/mod.ts";
import { decodeCbor, encodeCbor } from "../wire/cbor.ts";
import { isMap } from "../wire/fields.ts";

/** How long the other side may take to say that it has kept this machine, in ms: it writes one small file. */
const KEPT_MS = 10_000;

/** Options of {@linkcode pairMachines}. */
export interface PairOptions {
  /** What the other side shows; left out: this side shows one of `words` words. */
  readonly code?: string;
  readonly words: number;
  /** What the other machine is to be called; what it calls itself when left out. */
  readonly name?: string;
  /** What this machine calls itself. */
  readonly calledItself: string;
  readonly folders: Folders;
  /** Program and version: `wormhole/0.1.0`. */
  readonly agent: string;
  /** Address of a hub; "" for none. */
  readonly hub: string;
  /** `host:port` of the other side's own mailbox. */
  readonly peer?: string;
  readonly port: number;
  readonly forceTcp: boolean;
  readonly portMapping: boolean;
  /** How long to wait for the other side, in ms; for ever when left out. */
  readonly timeoutMs?: number;
  /** Asks whether the other side shows the same verifier. */
  confirm(verifier: string): Promise<boolean>;
  onEvent?(event: SessionEvent): void;
  onWarning?(sentence: string): void;
  readonly clock?: Clock;
  readonly signal: AbortSignal;
}

/** What has come of it. */
export interface PairOutcome {
  readonly peer: Peer;
  /** The other side has said that it has kept this machine as well. */
  readonly isMutual: boolean;
}

/**
 * Pairs with whoever runs the same and has the code.
 *
 * @throws {WormholeError} INVALID_ARGUMENT for the name, or when it is this machine itself; CODE_INVALID and its kin; REFUSED
 * when the verifiers differ or the other side does something else; what the list of known machines throws; TIMEOUT;
 * the signal's reason.
 */
export async function pairMachines(options: PairOptions): Promise<PairOutcome> {
  const { name, timeoutMs, clock = systemClock, signal } = options;
  await using machine = await openMachine(options.folders);
  await machine.peers.assertCanName(name);
  let met: MetPeer | undefined;
  const run = (signal: AbortSignal) => meet(options, machine, { onMet: (peer) => void (met = peer), signal });
  const late = (ms: number) => (cause: unknown) =>
    new WormholeError("TIMEOUT", `Cannot pair: nobody came within ${Math.round(ms / 1000)} s`, { cause });
  await using connection = timeoutMs === undefined
    ? await run(signal)
    : await withDeadline(run, { ms: timeoutMs, late: late(timeoutMs), clock, signal });
  if (!onlyPairs(met!)) {
    throw new WormholeError("REFUSED", "Cannot pair: the other side does not run wormhole pair");
  }
  const peer = await remember(met!, {
    book: machine.peers,
    identity: machine.identity,
    ...name !== undefined && { name },
  });
  if (peer === undefined) {
    throw new WormholeError("PROTOCOL", "Cannot pair: the other side does not say what it calls itself");
  }
  return { peer, isMutual: await tellKept(connection, { clock, signal }) };
}

async function meet(
  options: PairOptions,
  machine: Machine,
  { onMet, signal }: { onMet: (peer: MetPeer) => void; signal: AbortSignal },
): Promise<PeerConnection> {
  const { code: given, hub, peer, words, port, onEvent, onWarning } = options;
  const code = given === undefined ? undefined : parseCode(given);
  const common = {
    ...machineOptions({ ...options, transport: "auto" }, machine),
    abilities: rememberAbilities(options, { only: true }),
    confirm: (verifier: string) => options.confirm(verifier),
    ...onEvent && { onEvent: (event: SessionEvent) => onEvent.call(options, event) },
    onMet,
    signal,
  };
  const place = { appId: APP_ID, registry: machine.registry, lan: machine.lan, signal };
  if (code === undefined) {
    return await hostSession({
      ...common,
      port: hub === "" ? 0 : port,
      meet: () =>
        openRendezvous({
          ...place,
          words,
          ...hub === "" ? { port } : { hub },
          ...onWarning && { onWarning: (sentence: string) => onWarning.call(options, sentence) },
        }),
    });
  }
  return await joinSession({
    ...common,
    meet: () =>
      findRendezvous({ ...place, code, ...hub !== "" && { hub }, ...peer !== undefined && { peer } }),
    ...peer !== undefined && { peerHost: hostOf(peer) },
  });
}

/** Says that the other machine is kept, and waits for the same word. */
async function tellKept(
  connection: PeerConnection,
  { clock, signal }: { clock: Clock; signal: AbortSignal },
): Promise<boolean> {
  try {
    await connection.send(encodeCbor({ kept: true }));
    const frame = await withDeadline((signal) => connection.recv({ signal }), {
      ms: KEPT_MS,
      late: (cause) => new WormholeError("TIMEOUT", "Cannot wait any longer", { cause }),
      clock,
      signal,
    });
    const value = frame === undefined ? undefined : decodeCbor(frame);
    return isMap(value) && value.kept === true;
  } catch (error) {
    if (!isWormholeError(error) || signal.aborted) throw error;
    // What is kept here is kept; the person is told that the other side may lack it.
    return false;
  }
}
