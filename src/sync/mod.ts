/**
 * `wormhole sync`: two folders stay the same. A pure decision (`reconcile.ts`) over snapshots of both and of what they had in
 * common, and a machine (`synchronize.ts`) that carries it out through ends (`end.ts`).
 *
 * It never deletes: whatever it displaces is kept beside or in the trash; it never follows symlinks; it never prints. Model,
 * invariants and crash table: docs/design/sync.md.
 */
export { conflictCopies, type ConflictCopy, settleConflicts } from "./conflict_copies.ts";
export type { FolderThere } from "./folders.ts";
export { placeOf, restore, type Version, versionsOf } from "./versions.ts";
