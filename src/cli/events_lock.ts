/** What `wormhole lock` and its subcommands tell; see {@link ./events.ts}. */

/** A lock, as it is taken, renewed, given up or listed. */
export interface LockEvent {
  readonly event: "lock";
  /** Absolute; at another machine with what that is called here and a colon before it. */
  readonly path: string;
  readonly owner: string;
  /** The machine whose lock it is: this one's host name, what a known one is called here; null: one that is not known here. */
  readonly machine: string | null;
  readonly shared: boolean;
  /** By which it is renewed and released (with the name of another machine and a colon before it); null where it is listed or given up. */
  readonly token: string | null;
  /** ISO 8601. */
  readonly acquired_at: string;
  /** ISO 8601: when it ends unless it is renewed. */
  readonly expires_at: string;
  /** It was given up just now. */
  readonly released: boolean;
}
