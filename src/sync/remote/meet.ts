/** How the two sides of a sync session find each other: as for a transfer, but under a secret of their own. */
import { syncSecret } from "../../pairing/known_place.ts";
import type { Peer } from "../../peers/mod.ts";
import { knownOptions, machineOptions } from "../../session/machine_options.ts";
import type {
  hostKnown,
  joinKnown,
  KnownWays,
  Machine,
  MetPeer,
  SessionEvent,
  SessionSettings,
} from "../../session/mod.ts";
import { noteMeeting } from "../../session/remember.ts";
import type { PeerConnection } from "../../transport/mod.ts";

/** What {@linkcode meetForSync} needs. */
export interface MeetOptions {
  readonly known: Peer;
  readonly machine: Machine;
  readonly settings: SessionSettings;
  readonly ways: Pick<KnownWays, "hub" | "peer" | "mailboxPort" | "onWarning">;
  readonly onEvent?: (event: SessionEvent) => void;
  /** How long a machine that was found may take to connect, in ms; as always when left out. */
  readonly connectTimeoutMs?: number;
  /** Runs the search, for as long as it may take. */
  readonly within: (
    search: (signal: AbortSignal) => Promise<PeerConnection>,
  ) => Promise<PeerConnection>;
}

/** Meets a known machine as `how` says, and keeps where it was. @throws {WormholeError} what `how` and `within` throw. */
export async function meetForSync(
  how: typeof hostKnown | typeof joinKnown,
  { known, machine, settings, ways, onEvent, connectTimeoutMs, within }: MeetOptions,
): Promise<PeerConnection> {
  let met: MetPeer | undefined;
  const options = knownOptions(known, machine, ways);
  const connection = await within((signal) =>
    how({
      ...machineOptions(settings, machine),
      ...options,
      known: { ...known, secret: syncSecret(machine.crypto, known.secret) },
      ...onEvent && { onEvent },
      ...connectTimeoutMs !== undefined && { connectTimeoutMs },
      onMet: (peer) => void (met = peer),
      signal,
    })
  );
  await noteMeeting(met!, {
    book: machine.peers,
    identity: machine.identity,
    isKnown: true,
    onRemembered: () => {},
    onWarning: (sentence) => ways.onWarning?.(sentence),
  });
  return connection;
}
