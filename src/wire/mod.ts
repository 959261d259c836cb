/**
 * The protocol's messages: types, one codec, limits, manifest columns. Never does I/O and never decides what to
 * send. Specs: spec/README.md and the files it lists.
 */
export { type Acknowledgement, readAcknowledgement, writeAcknowledgement } from "./acknowledgement.ts";
export * from "./columns.ts";
export * from "./limits.ts";
export {
  type Columns,
  decodeMessage,
  encodeMessage,
  IGNORABLE,
  type Message,
  MESSAGE_NUMBERS,
  type MessageOf,
  type MessageType,
  type OfferRoot,
  type Totals,
  type UnknownMessage,
} from "./message.ts";
export type { ToldLock } from "./lock_message.ts";
export type { AbilityValue } from "./fields.ts";
export {
  decodeSyncMessage,
  encodeSyncMessage,
  SYNC_MESSAGE_NUMBERS,
  type SyncMessage,
  type SyncMessageOf,
  type SyncMessageType,
} from "./sync_message.ts";
