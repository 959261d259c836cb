/**
 * What this machine knows about content: which chunks lie where, the chunk lists of files hashed before, chunks that are
 * kept in packs, and which transfers are unfinished.
 *
 * It never reads or writes the bytes of chunks (native code does, told where) and never decides what is sent; it only
 * remembers, in SQLite and packs. What the index says is a hint that names its proof: whoever uses a place compares the file's
 * {@linkcode FileStamp}, and hashes what is not beyond doubt. Design: docs/design/dedup_and_resume.md.
 */
export {
  type FileStamp,
  isAsPlaced,
  isSettledWhenPlaced,
  sizeOf,
  STAMP_BYTES,
  wasSettledWhenRead,
} from "./file_stamp.ts";
export { type Cleaned, Store, type StoreFinding, type StorePlaces, type StoreStats } from "./care.ts";
export { type Kept, type PackFile, Packs, type PacksOptions } from "./packs.ts";
export { chunkCount, type Chunking, type ChunkList, chunkOffsets, FIXED_CHUNKS } from "./chunk_list.ts";
export {
  type ChunkPlace,
  FileIndex,
  type FileIndexOptions,
  type FileVersion,
  type IndexTotals,
  type KnownFile,
  type LookupOptions,
  openIndex,
} from "./file_index.ts";
export {
  type FinishedTransfer,
  Journal,
  type JournalOptions,
  type NewTransfer,
  RECORD_BYTES,
  type UnfinishedTransfer,
} from "./journal.ts";
