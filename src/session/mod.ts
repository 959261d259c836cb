/**
 * Turns a code into an authenticated connection: brings rendezvous, pairing and transport together and mints the
 * only {@linkcode PeerConnection}s there are. It never moves files and never prints.
 *
 * Order of things, for both sides: open the endpoint and the meeting at once; pair under the code, which swaps
 * sealed introductions (`introduction.ts`); the host lets the peer's key in and accepts; the joining side races the
 * host's addresses and selects one link (`selection.ts`); all else is closed. A session outlives its links: when one
 * dies, either side makes another (`renewal.ts`, `door.ts`) for as long as `reconnect.ts` tries. Machines
 * that know each other need no code (`known_session.ts`). Specs: `src/wire/spec/pairing.md`, `handshake.md`,
 * `known_peers.md`.
 */
export { hostSession, type HostSessionOptions } from "./host_session.ts";
export { joinSession, type JoinSessionOptions } from "./join_session.ts";
export { CONNECT_TIMEOUT_MS, type Meeting, type SessionEvent, type SessionOptions } from "./options.ts";
export {
  decodeIntroduction,
  encodeIntroduction,
  type Introduction,
  PROTOCOL_VERSION,
} from "./introduction.ts";
export {
  findRendezvous,
  type FindRendezvousOptions,
  type FoundRendezvous,
  type OpenRendezvous,
  openRendezvous,
  type OpenRendezvousOptions,
} from "./rendezvous.ts";
export type { MetPeer } from "./acquaintance.ts";
export { hostKnown, joinKnown, type KnownSessionOptions } from "./known_session.ts";
export type { KnownWays } from "./known_search.ts";
export { noteMeeting, onlyPairs, remember, rememberAbilities, type Remembering } from "./remember.ts";
export { type MultiRendezvous, openMultiRendezvous } from "./multi_rendezvous.ts";
export { acrossLinks, type AcrossLinksOptions, type ReconnectEvent } from "./reconnect.ts";
export { APP_ID, type Machine, openMachine } from "./machine.ts";
export { knownOptions, machineOptions, type SessionSettings } from "./machine_options.ts";
export { withDeadline } from "./deadline.ts";
