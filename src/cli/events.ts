import type { ErrorCode } from "../base/errors.ts";
import type { ChangeEvent, CopiedEvent, DeletionsEvent } from "./events_copy.ts";
import type { LockEvent } from "./events_lock.ts";
import type { JobEvent, JobPlanEvent, JobRunEvent } from "./events_job.ts";
import type {
  ConflictCopyEvent,
  SyncChangeEvent,
  SyncConflictEvent,
  SyncedEvent,
  SyncLockedEvent,
  SyncMergedEvent,
  SyncServingEvent,
  SyncSessionEvent,
  SyncStatusEvent,
  VersionEvent,
} from "./events_sync.ts";

/**
 * What commands tell, once; `--json` writes each as one line, a person gets sentences and a progress line.
 *
 * The fields are a promise to scripts, written down in docs/json.md: they may grow, never change. Sizes are
 * bytes, times ms, names as in the offer (`\udcXX` for a byte that is not UTF-8).
 */
export type OutputEvent =
  | CodeEvent
  | VerifierEvent
  | PeerEvent
  | ReconnectingEvent
  | OfferEvent
  | ProgressEvent
  | FileFailedEvent
  | TextEvent
  | ListeningEvent
  | HubStatusEvent
  | SettingEvent
  | CheckEvent
  | NetworkEvent
  | ChecksumEvent
  | UnfinishedEvent
  | KeptEvent
  | VerifiedEvent
  | WrongGuessEvent
  | ReceiverFailedEvent
  | ReceiversEvent
  | StoreEvent
  | StoreVerifiedEvent
  | StoreCleanedEvent
  | WaitingEvent
  | KnownPeerEvent
  | PeerForgottenEvent
  | SyncChangeEvent
  | SyncConflictEvent
  | SyncLockedEvent
  | SyncMergedEvent
  | SyncStatusEvent
  | LockEvent
  | SyncedEvent
  | SyncServingEvent
  | SyncSessionEvent
  | ConflictCopyEvent
  | VersionEvent
  | JobEvent
  | JobPlanEvent
  | JobRunEvent
  | ChangeEvent
  | DeletionsEvent
  | CopiedEvent
  | WarningEvent
  | DoneEvent
  | ErrorEvent;

/** What belongs to one receiver of `send --receivers`. */
interface OfReceiver {
  /** Counted from 1; left out where there is only one. */
  readonly receiver?: number;
}

/** The code that the other person needs. */
export interface CodeEvent extends OfReceiver {
  readonly event: "code";
  /** How many receivers there are, each with a code of its own; or that this one is for whoever has it. */
  readonly receivers?: number | "any";
  /** Wrong guesses at which a code for whoever has it ends, and its words. */
  readonly guesses?: number;
  readonly words?: number;
  readonly code: string;
  /** Hub through which the code is found; null: the local network. */
  readonly hub: string | null;
  /** The program that the code is for, where that is not this one. */
  readonly client?: "magic-wormhole";
  /** Port of this machine's own mailbox, for `recv --peer HOST:PORT`; null: a hub is used. */
  readonly port: number | null;
  /** When it expires, ISO 8601; null: when this program ends. */
  readonly expires_at: string | null;
  /** What the other person runs with it; left out: recv. */
  readonly command?: "pair";
}

/** The value that both people compare. */
export interface VerifierEvent extends OfReceiver {
  readonly event: "verifier";
  readonly verifier: string;
}

/** A link to the other machine; again when the path in use changes. */
export interface PeerEvent extends OfReceiver {
  readonly event: "peer";
  readonly transport: "quic" | "tcp" | "memory";
  readonly path: "direct" | "relay";
  /** `ip:port`, or `relay host:port`. */
  readonly remote: string;
}

/** The connection was lost, and is tried again; a `peer` follows when that worked. Once for each attempt. */
export interface ReconnectingEvent extends OfReceiver {
  readonly event: "reconnecting";
  /** From 1 since the loss. */
  readonly attempt: number;
  /** Until the attempt begins. */
  readonly wait_ms: number;
  /** Until it is given up. */
  readonly left_ms: number;
}

/** What is sent or offered. */
export interface OfferEvent {
  readonly event: "offer";
  readonly direction: "send" | "recv";
  readonly kind: "files" | "text" | "stream";
  /** The names at the top, not what is in folders. */
  readonly names: readonly string[];
  readonly files: number;
  readonly directories: number;
  /** null: not known before the end (standard input, or still being counted). */
  readonly bytes: number | null;
}

/** How far it is; at most ten per second. */
export interface ProgressEvent extends OfReceiver {
  readonly event: "progress";
  readonly bytes: number;
  readonly bytes_total: number | null;
  readonly files: number;
  readonly files_total: number | null;
  readonly bytes_per_second: number;
  readonly eta_ms: number | null;
  /** The file in work; null between files. */
  readonly name: string | null;
  /** Left out by `copy`, which has no connection. */
  readonly transport?: "quic" | "tcp" | "memory";
  readonly path?: "direct" | "relay";
  /** Of `copy`. */
  readonly files_per_second?: number;
  /** Of `copy`: entries that are the same there already, and that failed, so far. */
  readonly unchanged?: number;
  readonly failed?: number;
}

/** One entry that could not be sent or placed; the others go on. */
export interface FileFailedEvent extends OfReceiver {
  readonly event: "file_failed";
  readonly name: string;
  readonly code: ErrorCode;
  readonly message: string;
}

/** A text that was received. */
export interface TextEvent {
  readonly event: "text";
  readonly text: string;
}

/** A service that takes connections now. */
export interface ListeningEvent {
  readonly event: "listening";
  readonly url: string;
  /** Where its metrics are; null: nowhere else. */
  readonly metrics?: string | null;
  /** `ip:port` of a hub's transit relay; null: it has none. */
  readonly transit?: readonly string[] | null;
}

/** How a hub is; `wormhole hub status`. */
export interface HubStatusEvent {
  readonly event: "hub_status";
  readonly url: string;
  readonly status: "ok" | "draining";
  readonly connections: number;
  /** Numbers of codes in use or still blocked. */
  readonly nameplates: number;
  readonly mailboxes: number;
  /** null: it does not say. */
  readonly uptime_ms: number | null;
}

/** One setting; `wormhole config show`. */
export interface SettingEvent {
  readonly event: "setting";
  readonly name: string;
  readonly value: string | number | boolean;
  readonly source: "default" | "file" | "env" | "flag";
}

/** One finding of `wormhole doctor`. */
export interface CheckEvent {
  readonly event: "check";
  readonly name: string;
  readonly status: "ok" | "note" | "problem";
  readonly text: string;
  /** What to do about it; null when nothing. */
  readonly advice: string | null;
}

/** How this machine can be reached; `wormhole doctor --network`, after the findings. */
export interface NetworkEvent {
  readonly event: "network";
  readonly reach: "direct" | "punching" | "relay" | "unknown" | "local" | "none";
  /** Whether a transfer will be possible. */
  readonly possible: boolean;
  readonly text: string;
  readonly advice: string | null;
  readonly addresses: readonly string[];
  /** That of IPv4, where this reaches the hub. */
  readonly nat: "none" | "endpoint-independent" | "symmetric" | "unknown";
  /** Who gets in through it that was not asked: other ports of an address that was, or nobody. */
  readonly filtering: "port-independent" | "port-dependent" | "unknown";
  /** `ip:port` at which the hub sees a UDP socket of this machine, IPv4 first. */
  readonly seen: readonly string[];
  /** Whether UDP gets to the hub and back; null: it was not asked, or the hub does not tell addresses. */
  readonly udp: boolean | null;
  /** What answers in the hub's place. */
  readonly captive_portal: string | null;
  /** null: none is set, or it does not answer. */
  readonly hub: {
    readonly connect_ms: number;
    readonly rtt_ms: number | null;
    /** The hub's clock less this machine's. */
    readonly skew_ms: number | null;
    /** Whether it offers one. */
    readonly relay: boolean;
    /** `host:port` */
    readonly proxy: string | null;
  } | null;
  /** What the router answered: UPnP, NAT-PMP, PCP. */
  readonly port_mapping: readonly string[];
  /** The router's address outside. */
  readonly external: string | null;
  /** null: it could not be looked at. */
  readonly multicast: boolean | null;
  readonly firewalls: readonly string[];
}

/** The checksum of one file; `--checksum`. */
export interface ChecksumEvent {
  readonly event: "checksum";
  readonly name: string;
  /** 64 hex digits: BLAKE3-256 of the whole file, as b3sum gives it. */
  readonly hash: string;
  readonly bytes: number;
}

/** A transfer that ended early; `wormhole transfers`. */
export interface UnfinishedEvent {
  readonly event: "unfinished";
  /** `sync`: of a run that was cut off; the next one goes on with it. */
  readonly kind: "transfer" | "sync";
  /** The names at the top of what was sent; of a sync, paths in the folder. */
  readonly name: string;
  /** Folder that it goes to; of a sync, the one that is kept the same. */
  readonly destination: string;
  readonly bytes: number;
  /** null: not known. */
  readonly bytes_total: number | null;
  /** ISO 8601. */
  readonly updated_at: string;
  /** It was dropped just now. */
  readonly dropped: boolean;
}

/** What arrived of a transfer that fails now stays for another try. */
export interface KeptEvent {
  readonly event: "kept";
  readonly bytes: number;
  readonly destination: string;
}

/** The end of `wormhole verify`. */
export interface VerifiedEvent {
  readonly event: "verified";
  /** Files that are as the list says, and their bytes. */
  readonly files: number;
  readonly bytes: number;
  /** Files that differ or cannot be read; each had a `file_failed`. */
  readonly failed: number;
  readonly duration_ms: number;
}

/** Somebody tried a wrong code where more than one guess is allowed. */
export interface WrongGuessEvent {
  readonly event: "wrong_guess";
  /** So far. */
  readonly wrong: number;
  /** With that many the code ends. */
  readonly allowed: number;
}

/** One of several receivers did not get what was sent; the others go on. */
export interface ReceiverFailedEvent {
  readonly event: "receiver_failed";
  readonly receiver: number;
  readonly code: ErrorCode;
  readonly message: string;
}

/** How it went for each of several receivers, at the end. */
export interface ReceiversEvent {
  readonly event: "receivers";
  /** Those who got everything, and those who did not. */
  readonly served: number;
  readonly failed: number;
  readonly receivers: readonly ReceiverSummary[];
}

/** How it went for one of them. */
export interface ReceiverSummary {
  readonly receiver: number;
  readonly files: number;
  readonly bytes: number;
  /** Entries that failed. */
  readonly failed: number;
  /** null: it got everything. */
  readonly code: ErrorCode | null;
  readonly message: string | null;
}

/** What the store holds; `wormhole store stats`. */
export interface StoreEvent {
  readonly event: "store";
  /** Files that the index knows, what they hold, and their chunks; packs count as files. */
  readonly files: number;
  readonly file_bytes: number;
  readonly chunks: number;
  /** Path and size of the index. */
  readonly index: string;
  readonly index_bytes: number;
  readonly packs: number;
  readonly pack_bytes: number;
  /** Folder of the packs. */
  readonly directory: string;
  /** Most bytes of packs. */
  readonly quota: number;
  /** Bytes that did not have to be received, over all transfers since the index was made. */
  readonly saved_bytes: number;
}

/** The end of `wormhole store verify`. */
export interface StoreVerifiedEvent {
  readonly event: "store_verified";
  /** What is sound. */
  readonly packs: number;
  readonly files: number;
  readonly bytes: number;
  /** What is not; each had a `file_failed`. */
  readonly failed: number;
  readonly duration_ms: number;
}

/** The end of `wormhole store gc` and `clear`. */
export interface StoreCleanedEvent {
  readonly event: "store_cleaned";
  /** Files that the index does not know any more. */
  readonly files: number;
  /** Packs that were dropped, and their bytes. */
  readonly packs: number;
  readonly bytes: number;
  /** Files that crashed programs left, or that were set aside as damaged. */
  readonly leftovers: number;
}

/** A known machine is waited for; it needs no code. */
export interface WaitingEvent {
  readonly event: "waiting";
  readonly direction: "send" | "recv";
  /** What the machine is called. */
  readonly name: string;
}

/** A known machine. */
export interface KnownPeer {
  readonly name: string;
  /** 64 hex digits: its public key. */
  readonly key: string;
  /** IP addresses where it was last. */
  readonly hosts: readonly string[];
  /** Folder into which it may send without asking; null: none. */
  readonly inbox: string | null;
  /** It may receive where nobody can be asked. */
  readonly receive: boolean;
  /** Folders that it may synchronize while `sync serve` runs. */
  readonly sync: readonly string[];
  /** Folders that it may only read, and only change, in that way. */
  readonly sync_read_only: readonly string[];
  readonly sync_write_only: readonly string[];
  /** Time of the code, and of the last connection: ISO 8601. */
  readonly paired_at: string;
  readonly seen_at: string;
}

/** A known machine as it is listed or changed, or that is known from now on; `wormhole peers`, `pair`, `--remember`. */
export interface KnownPeerEvent extends KnownPeer {
  readonly event: "known_peer" | "paired";
}

/** A machine that is not known any more. */
export interface PeerForgottenEvent {
  readonly event: "peer_forgotten";
  readonly name: string;
  readonly key: string;
}

/** Something that is wrong without ending the command. */
export interface WarningEvent extends OfReceiver {
  readonly event: "warning";
  readonly message: string;
}

/** The end of a command that worked, for all or (`failed` > 0) for a part. */
export interface DoneEvent extends OfReceiver {
  readonly event: "done";
  readonly direction: "send" | "recv";
  readonly kind: "files" | "text" | "stream";
  readonly bytes: number;
  /** Files that are there now, also those that were there before. */
  readonly files: number;
  readonly skipped: number;
  readonly failed: number;
  readonly duration_ms: number;
  /** Bytes of file data that crossed the network; less than `bytes` where content was known or compressed. */
  readonly bytes_on_wire: number;
  /** Bytes of `bytes` that the receiver had before, in other files or from an earlier try; as far as it says when sending. */
  readonly bytes_found: number;
  /** Folder that was written into; null when sending and for standard output. */
  readonly destination: string | null;
  /** 64 hex digits: what this side noted of the transfer; null: nothing. */
  readonly receipt: string | null;
  /** The other side noted the same; null: it did not say. */
  readonly receipt_agreed: boolean | null;
}

/** The end of a command that failed. */
export interface ErrorEvent {
  readonly event: "error";
  readonly code: ErrorCode;
  readonly message: string;
  /** What to do next. */
  readonly advice: string;
  /** The exit code that follows. */
  readonly exit: number;
}

/** Takes what a command tells and shows it in one way; commands know no other way to speak. */
export interface Output {
  /** Shows one event. */
  emit(event: OutputEvent): void;
  /** Writes what the command was asked for (help, a page, a path) to standard output as it is. */
  print(text: string): void;
  /** Keeps what is on the screen in order while something else (a prompt, the log) writes to it. */
  pause(): void;
  /** Lets the progress line come back. */
  resume(): void;
  /** Takes the progress line away; nothing is shown after this. */
  close(): void;
}
