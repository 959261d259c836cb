/** What every session of a command has from its settings and from this machine. */
import type { Peer } from "../peers/mod.ts";
import { allowedTransports, type TransportChoice } from "../transport/mod.ts";
import type { KnownWays } from "./known_search.ts";
import type { KnownSessionOptions } from "./known_session.ts";
import type { Machine } from "./machine.ts";
import type { SessionOptions } from "./options.ts";

/** What a person's settings say of any session. */
export interface SessionSettings {
  /** Program and version: `wormhole/0.1.0`. */
  readonly agent: string;
  readonly transport: TransportChoice;
  readonly forceTcp: boolean;
  readonly portMapping: boolean;
}

/** Gives the options that are the same in every session of `machine`. */
export function machineOptions(
  { agent, transport, forceTcp, portMapping }: SessionSettings,
  { queue, identity, crypto, lan }: Machine,
): Pick<SessionOptions, "queue" | "identity" | "crypto" | "lan" | "agent" | "transports" | "portMapping"> {
  const transports = allowedTransports({ choice: transport, forceTcp });
  return { queue, identity, crypto, lan, agent, transports, portMapping };
}

/** Gives the options that name a machine which is known, with the ways to it that differ by command. */
export function knownOptions(
  known: Peer,
  { registry, lan, peers }: Machine,
  ways: Pick<KnownWays, "hub" | "peer" | "mailboxPort" | "onWarning">,
): Pick<KnownSessionOptions, "known" | "stillKnown" | "ways"> {
  return { known, stillKnown: () => peers.stillKnows(known), ways: { registry, lan, ...ways } };
}
