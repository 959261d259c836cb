/**
 * Moves what one machine offers to another over an authenticated connection: pure machines (`provider.ts`,
 * `getter.ts`) decide, drivers run them with the native engine. Never pairs, dials or prints.
 * Specs: wire/spec/README.md.
 */
export { KnownContent, type KnownContentOptions } from "./dedup/known_content.ts";
export type { FailedEntry, Progress, TransferOutcome } from "./outcome.ts";
export type { ExistingPolicy } from "./placement.ts";
export {
  type Acceptance,
  type Offer,
  type OfferedRoot,
  runGetter,
  type RunGetterOptions,
} from "./run_getter.ts";
export type { TransferFile } from "./file_names.ts";
export type { Receipt } from "./receipt.ts";
export { runProvider, type RunProviderOptions, type SendSettings } from "./run_provider.ts";
export { type FilesOptions, type NamedOptions, SendSource } from "./source.ts";
export { dropUnfinished, openJournal, openJournalIfPossible, unfinishedTransfers } from "./unfinished.ts";
export { Tally } from "./tally.ts";
export { tellDone } from "./tell_done.ts";
export { versionKey } from "./version_key.ts";
