/**
 * The mailbox server: carries a few sealed messages between two sides that share a nameplate. It never
 * learns a password, a key or what is sent, and never imports pairing.
 *
 * Spec: `src/wire/spec/mailbox.md`.
 */
export { DEFAULT_LIMITS, type MailboxLimits, MANY_LIMITS, SINGLE_CODE_LIMITS } from "./limits.ts";
export { MemoryMailboxStore } from "./memory_store.ts";
export { MailboxServer, type MailboxServerOptions, type ServerAction, type ServerCounts } from "./server.ts";
export type { MailboxStore } from "./store.ts";
export { type MailboxService, serveMailbox, type ServeMailboxOptions } from "./serve.ts";
