import { encodeName } from "../base/names.ts";
import { checked } from "./failure.ts";
import { loadLibrary } from "./library.ts";

/** A lock on a file against other processes, and against others in this one; it ends with the process at the latest. */
export class FileLock implements Disposable {
  #handle: number | undefined;

  private constructor(handle: number) {
    this.#handle = handle;
  }

  /**
   * Locks the file `path`, made for this user alone where there is none; undefined when somebody has a lock that excludes this
   * one: any for an exclusive lock, an exclusive one for a shared lock. It never waits. (`Deno.FsFile` can only wait before
   * Deno 2.7.)
   *
   * @throws {WormholeError} what the disk says; ELOOP for a symlink, which is not followed.
   */
  static try(path: string, { exclusive = true }: { exclusive?: boolean } = {}): FileLock | undefined {
    const name = encodeName(path);
    const handle = checked((error) =>
      loadLibrary().symbols.wh_lock_try(name, BigInt(name.length), exclusive ? 1 : 0, error)
    );
    return handle === 0 ? undefined : new FileLock(handle);
  }

  [Symbol.dispose](): void {
    if (this.#handle !== undefined) loadLibrary().symbols.wh_lock_close(this.#handle);
    this.#handle = undefined;
  }
}
