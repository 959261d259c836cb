import type { Clock } from "../base/clock.ts";
import type { Identity } from "../config/identity.ts";
import type { NativeQueue } from "../native/queue.ts";
import type { Code } from "../pairing/code.ts";
import type { PairingCrypto } from "../pairing/crypto.ts";
import type { GuessGate } from "../pairing/guesses.ts";
import type { LanDiscovery } from "../pairing/lan.ts";
import type { Mailbox } from "../pairing/mailbox_client.ts";
import type { DialTransport } from "../transport/hints.ts";
import type { MetPeer } from "./acquaintance.ts";
import type { ConnectedEvent } from "./connected_event.ts";
import type { AbilityValue } from "../wire/fields.ts";

/** Where two sides with one code meet; disposing it gives up the mailbox and whatever serves it. */
export interface Meeting extends AsyncDisposable {
  readonly mailbox: Mailbox;
  readonly code: Code;
  /** Whose codes these are; both sides have the same. */
  readonly appId: string;
  /** Port of the sender's own mailbox, which `--peer` takes; none at a hub. */
  readonly port?: number | undefined;
  /** How long the code waits for somebody, in ms; none when it lasts as long as the sender. */
  readonly expiresInMs?: number | undefined;
}

/** How far the making of a session is, for people and for `--json`. */
export type SessionEvent =
  /** The sender has a code to read out; `port` is for `--peer`; `expiresInMs`: how long the code waits, where that is known. */
  | {
    readonly type: "code";
    readonly code: string;
    readonly port: number | undefined;
    readonly expiresInMs: number | undefined;
  }
  /** The receiver looks for the sender. */
  | { readonly type: "looking" }
  /** Somebody with the nameplate is there; nothing is known about it yet. */
  | { readonly type: "found" }
  /** Words to compare; whoever asked for them has to answer. */
  | { readonly type: "verifier"; readonly verifier: string }
  /** Both know each other's keys and addresses; `agent` is the other program's name. */
  | { readonly type: "connecting"; readonly agent: string }
  | ConnectedEvent;

/** What both sides of a session need. */
export interface SessionOptions {
  readonly queue: NativeQueue;
  readonly identity: Identity;
  readonly crypto: PairingCrypto;
  /** This network, to find the other machine on it again when both have other addresses; left out: it is not looked at. */
  readonly lan?: LanDiscovery;
  /** Transports to use; `allowedTransports` of the config. */
  readonly transports: readonly DialTransport[];
  /** Port to listen on; 0 or none takes a free one. */
  readonly port?: number;
  /** Asks the router for a UDP port once there is a relay. */
  readonly portMapping?: boolean;
  /** Program and version in printable ASCII: `wormhole/0.1.0`. */
  readonly agent: string;
  readonly abilities?: Readonly<Record<string, AbilityValue>>;
  /** Asks the person whether the other side shows the same verifier; without it nobody is asked here. */
  readonly confirm?: (verifier: string, options: { signal?: AbortSignal }) => Promise<boolean>;
  /** Bounds the guesses of a code that more than one may use. */
  readonly guesses?: GuessGate;
  readonly onEvent?: (event: SessionEvent) => void;
  /** Told who the other machine is, once it has proved its key. */
  readonly onMet?: (peer: MetPeer) => void;
  /** How long the two machines, once paired, may take to connect; {@linkcode CONNECT_TIMEOUT_MS} by default. */
  readonly connectTimeoutMs?: number;
  readonly clock?: Clock;
  readonly signal?: AbortSignal;
}

/** Every address has been tried twice by then, and a person still watches. */
export const CONNECT_TIMEOUT_MS = 30_000;
