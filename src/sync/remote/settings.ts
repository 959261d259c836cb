import type { NativeQueue } from "../../native/queue.ts";
import type { Journal } from "../../store/mod.ts";
import type { KnownContent, Progress, SendSettings } from "../../transfer/mod.ts";
import type { PeerConnection } from "../../transport/mod.ts";

/** How content travels between the two folders of a sync session: as with `send` and `recv`. */
export interface TransferSettings extends SendSettings {
  readonly queue: NativeQueue;
  /** Program and version, such as `wormhole/0.1.0`. */
  readonly agent: string;
  /** Forces how files are read and written; see `debug_io`. */
  readonly io?: string;
  /** 32 bytes: this machine's secret for the versions of files. */
  readonly versionKey?: Uint8Array;
  /** What this machine has; without it nothing is looked up. */
  readonly content?: KnownContent;
  /** Look there for what the other side offers; true unless told otherwise. */
  readonly dedup?: boolean;
  /** Where what arrived of a large file is written down, so that another run goes on with it. */
  readonly journal?: Journal;
  onProgress?(progress: Progress): void;
  onWarning?(sentence: string): void;
}

/** Gives the next link for a transfer: one side dials, the other takes it. */
export type NextDataLink = (options: { signal: AbortSignal }) => Promise<PeerConnection>;
