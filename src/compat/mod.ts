/**
 * Speaks to other people's clients: magic-wormhole's protocol version 1, from its public documents. Text, one file or one
 * folder, either way. Never prints and never asks; the bytes themselves go through the native library.
 * Spec: `src/wire/spec/compat.md`.
 */
export { COMPAT_APP_ID, isOffered, PUBLIC_MAILBOX } from "./meeting.ts";
export { receiveCompat, type ReceiveCompatOptions } from "./receive.ts";
export { type CompatContent, sendCompat, type SendCompatOptions } from "./send.ts";
