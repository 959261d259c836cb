/**
 * A sync session with a known machine: the client (`session.ts`, `remote_end.ts`) has the plan and asks, the other side
 * (`serve.ts`, `serve_folder.ts`) has the folder and answers. Content goes the way of every transfer (`outgoing.ts`,
 * `incoming.ts`). What the other machine says is checked in `checks.ts` before anything is done with it; nothing outside
 * of a folder with a right is touched or told. Spec: wire/spec/sync.md.
 */
export type { FarAsked, FarLock, FarLocks, FarRequest } from "./far_locks.ts";
export { type ServeEvent, serveSync, type ServeSyncOptions } from "./serve.ts";
export { type ConnectOptions, SyncSession } from "./session.ts";
