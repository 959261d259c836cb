/** Copying into a folder that is kept in sync, and changing it; `ffi/src/export/sync.rs`. */
import { type ErrorCode, errorCode } from "../base/errors.ts";
import { encodeName } from "../base/names.ts";
import type { CallOptions, NativeQueue } from "./queue.ts";

/** Most entries of one call. */
export const MAX_SYNC_ENTRIES = 65_536;

/** A file or symlink of one folder that is to be copied into another. Paths are relative to the roots. */
export interface CopyOrder {
  readonly path: string;
  readonly to: string;
  readonly symlink: boolean;
  readonly size: number;
  /** 32 bytes: BLAKE3 of a file of one chunk (4 MiB) or of a target, of the chunks' ids for larger ones. */
  readonly content: Uint8Array;
  readonly mode: number;
  /** ns since 1970. */
  readonly mtime: bigint;
}

/** One change below a root; paths are relative to it. */
export type NativeStep =
  | { readonly do: "make"; readonly path: string; readonly mode: number }
  | {
    readonly do: "put";
    readonly path: string;
    readonly from: string;
    /** Stamp of what is there; with it `keep` is where that goes to. Without it nothing may be there. */
    readonly was?: Uint8Array;
    readonly keep?: string;
  }
  | { readonly do: "take"; readonly path: string; readonly was: Uint8Array; readonly keep: string }
  | { readonly do: "drop"; readonly path: string }
  | { readonly do: "move"; readonly path: string; readonly from: string; readonly was: Uint8Array }
  | { readonly do: "mode"; readonly path: string; readonly was: Uint8Array; readonly mode: number };

/** Why one entry of a call failed; the others did not. */
export interface StepFailure {
  readonly index: number;
  readonly code: ErrorCode;
  readonly message: string;
}

/**
 * Copies files and symlinks below `source` to where nothing is below `root`, several at once, and checks what was written;
 * what is not as it was wanted fails with SOURCE_CHANGED and leaves nothing.
 *
 * @throws {WormholeError} what opening the folders throws.
 */
export async function stageFiles(
  queue: NativeQueue,
  { source, root, files }: { source: string; root: string; files: readonly CopyOrder[] },
  { signal }: CallOptions = {},
): Promise<StepFailure[]> {
  const { failed } = await queue.call<{ failed: RawFailure[] }>("sync.stage", {
    source: encodeName(source),
    root: encodeName(root),
    files: files.map((file) => ({ ...file, path: encodeName(file.path), to: encodeName(file.to) })),
  }, { signal });
  return failed.map(failureOf);
}

/**
 * Makes changes below `root`, one after the other, each only where what is there has the stamp `was`; SOURCE_CHANGED
 * otherwise. `stamps`: 40 bytes for each, zeros where nothing is left there.
 *
 * @throws {WormholeError} what opening the folder throws.
 */
export async function changeFolder(
  queue: NativeQueue,
  { root, steps }: { root: string; steps: readonly NativeStep[] },
): Promise<{ stamps: Uint8Array<ArrayBuffer>; failed: StepFailure[] }> {
  const { stamps, failed } = await queue.call<{ stamps: Uint8Array; failed: RawFailure[] }>("sync.change", {
    root: encodeName(root),
    steps: steps.map((step) => ({
      ...step,
      path: encodeName(step.path),
      ..."from" in step && { from: encodeName(step.from) },
      ..."keep" in step && step.keep !== undefined && { keep: encodeName(step.keep) },
    })),
  });
  return { stamps: stamps.slice(), failed: failed.map(failureOf) };
}

/** Resolves when everything that was written to the file system of `root` is on the disk. */
export async function flushFolder(queue: NativeQueue, root: string): Promise<void> {
  await queue.call("sync.flush", { root: encodeName(root) });
}

interface RawFailure {
  index: number;
  kind: number;
  text: string;
}

function failureOf({ index, kind, text }: RawFailure): StepFailure {
  return { index, code: errorCode(kind), message: text };
}
