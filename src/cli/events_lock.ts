/** What `wormhole lock` and its subcommands tell; see {@link ./events.ts}. */

/** A lock, as it is taken, renewed, given up or listed. */
export interface LockEvent {
  readonly event: "lock";
  readonly path: string;
  readonly owner: string;
  readonly shared: boolean;
  /** By which it is renewed and released; null where it is listed or given up. */
  readonly token: string | null;
  /** ISO 8601. */
  readonly acquired_at: string;
  /** ISO 8601: when it ends unless it is renewed. */
  readonly expires_at: string;
  /** It was given up just now. */
  readonly released: boolean;
}
