/** What `wormhole sync` and its subcommands tell; see {@link ./events.ts}. */

/** Something was changed in a folder that is synchronized, or with --dry-run would be. */
export interface SyncChangeEvent {
  readonly event: "sync_change";
  readonly side: "alpha" | "beta";
  /** `trash`: it was deleted at the other end. */
  readonly action: "create" | "replace" | "trash" | "move" | "permissions";
  /** Relative to the folder. */
  readonly name: string;
  /** Where a moved one was; null otherwise. */
  readonly from: string | null;
}

/** Both ends have changed the same thing. */
export interface SyncConflictEvent {
  readonly event: "sync_conflict";
  readonly name: string;
  readonly kind: "edit" | "delete" | "type" | "name" | "blocked";
  /** Whose version has the name now; null: both were left as they are. */
  readonly winner: "alpha" | "beta" | null;
  /** Name of the other version; null: it is in the trash, or there is none. */
  readonly copy: string | null;
}

/** Both ends have edited the same file, and --merge made one of both. */
export interface SyncMergedEvent {
  readonly event: "sync_merged";
  readonly name: string;
}

/** Something was left at both ends, since somebody has locked it; `wormhole lock`. */
export interface SyncLockedEvent {
  readonly event: "sync_locked";
  /** Where it is locked. */
  readonly side: "alpha" | "beta";
  readonly name: string;
  /** As it was given. */
  readonly owner: string;
  /** The machine whose lock it is: this one's host name, what a known one is called here; null: one that is not known here. */
  readonly machine: string | null;
  /** ISO 8601: when the lock ends unless it is renewed. */
  readonly until: string;
}

/** Where a sync that goes on stands; first on its socket, again whenever it changes, and in `wormhole sync status`. */
export interface SyncStatusEvent {
  readonly event: "sync_status";
  readonly alpha: string;
  readonly beta: string;
  readonly mode: string;
  readonly state: "working" | "waiting";
  readonly pid: number;
  /** Path of its socket; null: it has none. */
  readonly socket: string | null;
  /** ISO 8601. */
  readonly started_at: string;
  /** Runs that have ended. */
  readonly runs: number;
  /** The last one of them; null: there was none. */
  readonly last: {
    readonly ended_at: string;
    readonly changes: number;
    readonly conflicts: number;
    readonly merged: number;
    readonly failed: number;
    readonly postponed: number;
    readonly locked: number;
    readonly entries: number;
    /** Why it did not end well; null: it did. */
    readonly error: string | null;
  } | null;
}

/** What became of one end. */
export interface SyncedSide {
  readonly changes: number;
  /** Of them, what went to the trash because it was deleted at the other end. */
  readonly trashed: number;
  /** Copied there. */
  readonly bytes: number;
}

/** The end of `wormhole sync`. */
export interface SyncedEvent {
  readonly event: "synced";
  readonly alpha: SyncedSide;
  readonly beta: SyncedSide;
  readonly conflicts: number;
  /** Files that both have edited and that were merged. */
  readonly merged: number;
  /** Entries that failed; each had a `file_failed`. */
  readonly failed: number;
  /** Sockets and their like. */
  readonly skipped: number;
  /** Entries that somebody changed meanwhile; the next run sees to them. */
  readonly postponed: number;
  /** Paths that were left since somebody has locked them; each had a `sync_locked`. */
  readonly locked: number;
  /** Entries that are the same now. */
  readonly entries: number;
  readonly dry_run: boolean;
  readonly duration_ms: number;
}

/** The other version of a conflict; `wormhole sync conflicts`. */
export interface ConflictCopyEvent {
  readonly event: "conflict_copy";
  readonly name: string;
  readonly copy: string;
  readonly machine: string;
  /** ISO 8601. */
  readonly time: string;
  /** It was settled just now: which version stays; null: not yet. */
  readonly kept: "current" | "copy" | "both" | null;
}

/** A version that is in the trash; `wormhole sync restore`. */
export interface VersionEvent {
  readonly event: "version";
  readonly name: string;
  /** When it went there: ISO 8601. */
  readonly displaced_at: string;
  readonly kind: "file" | "directory" | "symlink";
  readonly bytes: number;
  /** It is in place again just now. */
  readonly restored: boolean;
}

/** A known machine is waited for, which may synchronize these folders; `sync serve`. */
export interface SyncServingEvent {
  readonly event: "sync_serving";
  readonly name: string;
  readonly folders: readonly string[];
  /** Those of them that it may only read. */
  readonly read_only: readonly string[];
  /** Those of them that it may only change. */
  readonly write_only: readonly string[];
}

/** A machine has come to synchronize, or is gone; `sync serve`. */
export interface SyncSessionEvent {
  readonly event: "sync_session";
  readonly name: string;
  readonly state: "connected" | "left";
  /** Where it is, once it is connected; null otherwise. */
  readonly remote: string | null;
  /** Why it is gone, where it did not end by itself; null otherwise. */
  readonly message: string | null;
}
