import { encodeName } from "../base/names.ts";
import type { CallOptions, NativeQueue } from "./queue.ts";

/** Room on a disk, in bytes. */
export interface Space {
  /** What this user may still write. */
  available: number;
  total: number;
}

/**
 * Asks how much room the disk of the directory `path` has.
 *
 * @throws {WormholeError} NOT_FOUND or PERMISSION_DENIED when the directory cannot be opened.
 */
export async function diskSpace(
  queue: NativeQueue,
  path: string,
  { signal }: CallOptions = {},
): Promise<Space> {
  const { available, total } = await queue.call<{ available: number | bigint; total: number | bigint }>(
    "files.space",
    { path: encodeName(path) },
    { signal },
  );
  return { available: Number(available), total: Number(total) };
}

/**
 * Gives those of `names` that are in `directory`; a symlink counts, wherever it points.
 *
 * @throws {WormholeError} NOT_FOUND when there is no such directory; PATH_ESCAPES for a name that is not
 * one ordinary path component.
 */
export async function existingNames(
  queue: NativeQueue,
  directory: string,
  names: readonly string[],
  { signal }: CallOptions = {},
): Promise<string[]> {
  const { existing } = await queue.call<{ existing: number[] }>(
    "files.exists",
    { directory: encodeName(directory), names: names.map(encodeName) },
    { signal },
  );
  return existing.map((index) => names[index]!);
}

/** A way to read and write files that this system may have. */
export interface FileBackend {
  readonly name: string;
  /** Why it cannot run here; null when it can. */
  readonly problem: string | null;
}

/** Tries every way to read and write files; `used` is what `auto` takes. */
export function fileBackends(
  queue: NativeQueue,
  { signal }: CallOptions = {},
): Promise<{ backends: readonly FileBackend[]; used: string }> {
  return queue.call("files.backends", {}, { signal });
}
