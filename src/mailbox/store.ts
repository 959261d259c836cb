/** A nameplate's state: `open` until both sides left, then `used` or `expired` until it may be given out again. */
export type NameplateState = "open" | "used" | "expired";

/** A short number that leads to a mailbox. */
export interface Nameplate {
  appId: string;
  name: string;
  mailbox: string;
  state: NameplateState;
  /** Sides that claimed it, at most two. */
  sides: string[];
  /** Sides of those that released it. */
  released: string[];
  /** Whether somebody may have guessed at its code, or may still come with it: it is not made anew before its time. */
  spoiled: boolean;
  createdMs: number;
  /** When it left the state `open`; 0 before. */
  endedMs: number;
}

/** A mailbox without its messages. */
export interface MailboxState {
  id: string;
  appId: string;
  nameplate: string;
  /** Sides that claimed or opened it, at most two. */
  sides: string[];
  /** Sides of those that closed it. */
  closed: string[];
  updatedMs: number;
  messageCount: number;
  byteLength: number;
}

/** A message as one side added it. */
export interface StoredMessage {
  side: string;
  phase: string;
  /** Hex. */
  body: string;
  receivedMs: number;
  /** The `id` of the `add`. */
  id: string | undefined;
}

/** Counts over everything in a store. */
export interface StoreTotals {
  nameplates: number;
  mailboxes: number;
  /** Characters of all message bodies. */
  byteLength: number;
}

/**
 * Where a mailbox server keeps nameplates, mailboxes and messages. Records are copied on the way in and out.
 * Every call is durable as far as the store is when it returns.
 */
export interface MailboxStore extends Disposable {
  nameplate(appId: string, name: string): Nameplate | undefined;
  /** Tells whether any application has a nameplate of that name. */
  hasNameplate(name: string): boolean;
  putNameplate(nameplate: Nameplate): void;
  deleteNameplate(appId: string, name: string): void;
  /** Names of at most `limit` open nameplates of an application. */
  openNameplates(appId: string, limit: number): string[];
  /** Open nameplates made at or before `openMs`, and ended ones that ended at or before `endedMs`. */
  staleNameplates(before: { openMs: number; endedMs: number }): Nameplate[];

  mailbox(id: string): MailboxState | undefined;
  putMailbox(mailbox: MailboxState): void;
  /** Deletes a mailbox and its messages. */
  deleteMailbox(id: string): void;
  /** Mailboxes without an event after `updatedMs`. */
  staleMailboxes(updatedMs: number): MailboxState[];

  /** Appends a message; the caller keeps the mailbox's own counts. */
  addMessage(mailbox: string, message: StoredMessage): void;
  messages(mailbox: string): StoredMessage[];

  totals(): StoreTotals;
  /** Gives 32 random bytes that stay the same for `name` as long as the store does. */
  secret(name: string): Uint8Array;
  /** Runs `change` so that all of it or nothing is kept. */
  transaction<T>(change: () => T): T;
}
