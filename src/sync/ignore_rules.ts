/** What somebody wants to be left alone in a root, as the file there says. */
import { join } from "../base/paths.ts";

const IGNORE_FILE = ".wormholeignore";

/** As a walk reads of an ignore file (`ffi/src/io/ignores.rs`). */
const MAX_IGNORE_BYTES = 1024 * 1024;

/** Gives the rules of the ignore file in `root`, in gitignore syntax; none where it cannot be read. */
export async function ignoreRules(root: string): Promise<string[]> {
  try {
    const path = join(root, IGNORE_FILE);
    // Through a link, or of a device, nothing is read; the walk reports what is wrong with it.
    const { isFile, size } = await Deno.lstat(path);
    if (!isFile || size > MAX_IGNORE_BYTES) return [];
    const lines = (await Deno.readTextFile(path)).replace(/^\ufeff/, "").split(/\r?\n/);
    return lines.filter((line) => line.trim() !== "" && !line.startsWith("#"));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.PermissionDenied) return [];
    throw error;
  }
}

/** Gives the rules for both ends: those of each, since what one leaves alone the other one must not take for missing. */
export function rulesOfBoth([a, b]: readonly (readonly string[])[]): string[] {
  // Said twice they mean the same, and mostly the file is one that is synchronized itself.
  const isSame = a!.length === b!.length && a!.every((rule, at) => rule === b![at]);
  return isSame ? [...a!] : [...a!, ...b!];
}
