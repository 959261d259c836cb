/**
 * `wormhole sync`: two folders stay the same. A pure decision (`reconcile.ts`) over snapshots of both and of what they had in
 * common, and a machine (`synchronize.ts`) that carries it out through ends (`end.ts`).
 *
 * It never deletes: whatever it displaces is kept beside or in the trash; it never follows symlinks; it never prints. Model,
 * invariants and crash table: docs/design/sync.md.
 */
export { type CommandEnd, runCommand } from "./command.ts";
export { DEFAULT_MAX_DELETE, type MaxDelete } from "./brakes.ts";
export { conflictCopies, type ConflictCopy, type Keep, settleConflicts } from "./conflict_copies.ts";
export { type FoldersOptions, type FolderThere, syncFolders } from "./folders.ts";
export { ALPHA, BETA, type Change, type Conflict, type ConflictKind, type Side } from "./plan.ts";
export { type Mode, MODES, PERMISSIONS, type Permissions, type Preference, PREFERENCES } from "./policy.ts";
export type { Outcome, SyncEvent } from "./synchronize.ts";
export { type Place, placeOf, restore, type Version, versionsOf } from "./versions.ts";
export { FolderWatch, type WatchOptions } from "./watch.ts";
