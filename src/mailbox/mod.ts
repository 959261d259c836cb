/**
 * The mailbox server: carries a few sealed messages between two sides that share a nameplate. It never
 * learns a password, a key or what is sent, and never imports pairing.
 *
 * Spec: `src/wire/spec/mailbox.md`.
 */
export { DEFAULT_LIMITS, type MailboxLimits, MANY_LIMITS, SINGLE_CODE_LIMITS } from "./limits.ts";
export { MemoryMailboxStore } from "./memory_store.ts";
export type { HttpAnswer, HttpRequest } from "./http_request.ts";
export { RATE_LIMITS, type RefusalReason } from "./refusal.ts";
export { MailboxServer, type MailboxServerOptions } from "./server.ts";
export type { ServerAction, ServerCounts, ServerReport } from "./server_action.ts";
export type { MailboxStore } from "./store.ts";
export { jsonAnswer, type MailboxService, serveMailbox, type ServeMailboxOptions } from "./serve.ts";
export type { TlsIdentity } from "./door.ts";
export type { Traffic } from "./web_socket_link.ts";
