import { decodeName, encodeName } from "../base/names.ts";
import { sameBytes } from "../base/bytes.ts";
import type { KnownFile } from "./file_index.ts";

/**
 * Tells whether a known file is still where it was: `gone` when not, or not in that state, `unknown` when that cannot be
 * seen (a folder that is closed to us, a name that is no text). Times are compared to the ms; whoever uses a place
 * compares them to the ns.
 */
export async function placeOnDisk({ path, stamp }: KnownFile): Promise<"there" | "gone" | "unknown"> {
  const name = decodeName(path);
  if (!sameBytes(encodeName(name.toWellFormed()), path)) return "unknown";
  try {
    const { isFile, dev, ino, size, mtime } = await Deno.lstat(name);
    const view = new DataView(stamp.buffer, stamp.byteOffset, stamp.length);
    const number = (at: number) => Number(view.getBigUint64(at, true));
    const mtimeMs = Math.floor(Number(view.getBigInt64(24, true)) / 1e6);
    const same = isFile && dev === number(0) && (ino ?? 0) === number(8) && size === number(16) &&
      (mtime === null || Math.abs(mtime.getTime() - mtimeMs) <= 1);
    return same ? "there" : "gone";
  } catch (error) {
    const isGone = error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory;
    return isGone ? "gone" : "unknown";
  }
}
