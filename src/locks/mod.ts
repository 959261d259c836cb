/**
 * Advisory locks on paths of this machine: whoever asks is told whether somebody else works on a file or folder just now. Each lock
 * ends by itself (TTL) unless it is renewed, so that a holder that crashed holds nobody up; who waits is served in turn.
 *
 * A pure table (`table.ts`) decides; a SQLite file (`book.ts`) is where processes meet. `LockTable` takes any paths, keys
 * and times, for whoever keeps locks of other machines over a session. Nothing here keeps anybody from a file. docs/design/locks.md.
 */
export { LockBook, lockedPath, type OwnLock } from "./book.ts";
export { type HeldLock, type LockRequest, type LockState, LockTable, overlaps } from "./table.ts";
