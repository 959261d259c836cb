/** What one mailbox server lets its clients use; every field caps memory, disk or guessing. */
export interface MailboxLimits {
  /** How long a nameplate waits for its second side, and how long a used one stays blocked. */
  codeTtlMs: number;
  /** How long a mailbox lives after its last event once nobody is connected to it. */
  mailboxTtlMs: number;
  /** How long a connection may stay without saying who it is (`bind`). */
  bindTimeoutMs: number;
  /** Longest frame a client may send, in bytes of UTF-8. */
  messageBytes: number;
  /** Most messages in one mailbox. */
  messagesPerMailbox: number;
  /** Most bytes of message bodies in one mailbox (as the hex text that is stored). */
  bytesPerMailbox: number;
  /** Most bytes of message bodies in all mailboxes together. */
  totalBytes: number;
  /** Most open connections. */
  connections: number;
  /** Most open connections from one address. */
  connectionsPerAddress: number;
  /** How many connections an address may make at once, and per minute after that. */
  connectionBurst: number;
  connectionsPerMinute: number;
  /** Most bytes that wait to be sent, over all connections. */
  totalUnsentBytes: number;
  /** Most nameplates, used ones that are still blocked included. */
  nameplates: number;
  /** Most mailboxes. */
  mailboxes: number;
  /** Most mailboxes that one address may have begun and not ended. */
  mailboxesPerAddress: number;
  /** How many `claim`, `allocate` and `list` an address may send at once… */
  claimBurst: number;
  /** …and how many per minute after that: what makes trying out nameplates slow. */
  claimsPerMinute: number;
  /** How many claims of one nameplate are looked at at once, and per minute after that, whoever makes them. */
  nameplateBurst: number;
  nameplateClaimsPerMinute: number;
  /** How many other messages a connection may send at once, and per second after that. */
  messageBurst: number;
  messagesPerSecond: number;
  /** How many mistakes (malformed or misplaced messages) end a connection. */
  mistakes: number;
}

/** Limits of a hub for the public. */
export const DEFAULT_LIMITS: Readonly<MailboxLimits> = Object.freeze({
  codeTtlMs: 60 * 60_000,
  mailboxTtlMs: 60 * 60_000,
  bindTimeoutMs: 30_000,
  messageBytes: 64 * 1024,
  messagesPerMailbox: 100,
  bytesPerMailbox: 1024 * 1024,
  totalBytes: 256 * 1024 * 1024,
  connections: 4_000,
  connectionsPerAddress: 64,
  connectionBurst: 256,
  connectionsPerMinute: 240,
  totalUnsentBytes: 64 * 1024 * 1024,
  nameplates: 50_000,
  mailboxes: 20_000,
  mailboxesPerAddress: 64,
  claimBurst: 12,
  claimsPerMinute: 12,
  // Many receivers of one code may come at once.
  nameplateBurst: 128,
  nameplateClaimsPerMinute: 60,
  messageBurst: 200,
  messagesPerSecond: 20,
  mistakes: 8,
});

/** Limits of the mailbox that a sender runs for one code. */
export const SINGLE_CODE_LIMITS: Readonly<MailboxLimits> = Object.freeze({
  ...DEFAULT_LIMITS,
  // The sender ends it: a code that waits allows no more guesses than a young one.
  codeTtlMs: Infinity,
  totalBytes: 2 * 1024 * 1024,
  connections: 64,
  connectionsPerAddress: 16,
  nameplates: 1,
  mailboxes: 1,
});

/** Limits of the mailbox that a sender runs for one code that many may use. */
export const MANY_LIMITS: Readonly<MailboxLimits> = Object.freeze({
  ...SINGLE_CODE_LIMITS,
  totalBytes: 32 * 1024 * 1024,
  connections: 512,
  // The sender's own are among them, one for each that comes from this machine or from anywhere else.
  connectionsPerAddress: 256,
  connectionBurst: 1_024,
  connectionsPerMinute: 1_024,
  mailboxes: 257,
  // Guesses are bounded by the sender: this only keeps one address from keeping it busy.
  claimBurst: 60,
  claimsPerMinute: 60,
  nameplateBurst: 512,
  nameplateClaimsPerMinute: 512,
});

/** Longest application id, side and phase, in UTF-16 units. */
export const MAX_NAME_LENGTH = 128;
