/**
 * Advisory locks on paths of this machine: whoever asks is told whether somebody else works on a file or folder just now. Each lock
 * ends by itself (TTL) unless it is renewed, so that a holder that crashed holds nobody up; who waits is served in turn.
 *
 * A pure table (`table.ts`) decides; a SQLite file (`book.ts`) is where processes meet. Other machines ask over a session
 * (wire/spec/locks.md), within limits of their own. Nothing here keeps anybody from a file. docs/design/locks.md.
 */
export { LockBook, lockedPath, newToken, type OwnLock } from "./book.ts";
export { type Asked, type HeldLock, type LockRequest, type LockState, LockTable, overlaps } from "./table.ts";
