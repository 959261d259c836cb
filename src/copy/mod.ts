/**
 * Copies files and folders on this machine: where each source goes, what is kept, what may be deleted.
 *
 * It never prints or asks, and touches no byte of a file: `ffi/src/copy` walks, compares and copies by the policy that it
 * gets once. Design: docs/design/copy.md.
 */
export { brake, type DeleteLimit, type Deletions } from "./brake.ts";
export { copy, type CopyOptions, type CopyOutcome } from "./run.ts";
export type { CopyChange, CopyProblem, CopyProgress } from "../native/copy.ts";
export { type Existing, preserveOf } from "./policy.ts";
export { type Places, placesOf, type Refusal, type Root, type Wanted } from "./places.ts";
export { forgetStopped, wasStopped } from "./journal.ts";
export { systemDisk } from "./disk.ts";
