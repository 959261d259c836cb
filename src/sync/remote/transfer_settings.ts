import type { Machine } from "../../session/machine.ts";
import { KnownContent, openJournalIfPossible, versionKey } from "../../transfer/mod.ts";
import type { SyncSessionSettings } from "./session.ts";
import type { TransferSettings } from "./settings.ts";

/** Gives what transfers of a session work with; what has to be closed goes onto `stack`. */
export async function transferSettings(
  options: SyncSessionSettings,
  { machine, stack }: { machine: Machine; stack: AsyncDisposableStack },
): Promise<TransferSettings> {
  const { cacheDir, maxChunks, io, onWarning } = options;
  const warn = onWarning && ((sentence: string) => onWarning.call(options, sentence));
  const content = stack.use(new KnownContent({ cacheDir, maxChunks, ...warn && { onWarning: warn } }));
  const journal = await openJournalIfPossible(options.folders, warn);
  if (journal !== undefined) stack.use(journal);
  return {
    queue: machine.queue,
    agent: options.agent,
    minStreams: options.minStreams,
    maxStreams: options.maxStreams,
    poolBytes: options.poolBytes,
    chunkBytes: options.chunkBytes,
    compression: options.compression,
    compressionLevel: options.compressionLevel,
    ...io !== undefined && { io },
    versionKey: versionKey(machine.identity.seed),
    content,
    dedup: options.dedup,
    ...journal && { journal },
    ...warn && { onWarning: warn },
  };
}
