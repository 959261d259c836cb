/** What `wormhole copy` tells; see {@link ./events.ts}. */

/** What happens, or with `dry_run` would happen, to one entry; `wormhole copy -n` and `-v`. */
export interface ChangeEvent {
  readonly event: "change";
  /** Where it is, or will be. */
  readonly path: string;
  /** new; content: other bytes; attributes only; kind: something else stood there; delete. */
  readonly what: "new" | "content" | "attributes" | "kind" | "delete";
  readonly kind: "file" | "directory" | "symlink" | "special" | "hardlink";
  readonly bytes: number;
  /** How its bytes moved; null: it has none, or nothing moved. */
  readonly method: string | null;
  readonly dry_run: boolean;
}

/** What `wormhole copy --delete` found to delete. */
export interface DeletionsEvent {
  readonly event: "deletions";
  readonly entries: number;
  /** Of them. */
  readonly directories: number;
  /** Entries that the targets hold. */
  readonly of: number;
  /** Why they are not deleted without a yes; null: they are. */
  readonly reason: string | null;
}

/** The end of `wormhole copy`. */
export interface CopiedEvent {
  readonly event: "copied";
  readonly files: number;
  readonly directories: number;
  readonly symlinks: number;
  readonly specials: number;
  readonly hardlinks: number;
  readonly bytes: number;
  /** Files that were the same there already. */
  readonly unchanged: number;
  readonly deleted: number;
  /** Entries that failed; each had a `file_failed`. */
  readonly failed: number;
  readonly duration_ms: number;
  /** Files by how their bytes moved. */
  readonly methods: Readonly<Record<string, number>>;
  readonly dry_run: boolean;
  /** Ctrl-C or another signal stopped it. */
  readonly interrupted: boolean;
}
