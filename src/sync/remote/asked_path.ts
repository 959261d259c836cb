/** What another machine calls a path of this one, and what it may learn of it. */
import { dirname, join } from "../../base/paths.ts";
import { isIn, type SharedFolder, type Way } from "../../peers/mod.ts";

/**
 * Gives the absolute path of what another machine calls `path`: absolute, below the home folder, or nothing for the only folder
 * that it has a right to; undefined when there is not just one. Nothing is checked.
 */
export function absolutePath(
  path: string,
  { folders, home }: { readonly folders: readonly SharedFolder[]; readonly home: string },
): string | undefined {
  if (path === "") return folders.length === 1 ? folders[0]!.path : undefined;
  return path.startsWith("/") ? path : join(home, path.replace(/^~(\/|$)/, ""));
}

/** Gives which right there is to a real path; undefined for none. */
export function wayTo(folders: readonly SharedFolder[], place: string): Way | undefined {
  return folders.find(({ path }) => isIn(place, path))?.way;
}

/** Tells whether nothing is at a path in one of the folders: a symlink that leads nowhere says what is not there elsewhere. */
export async function isMissingIn(folders: readonly SharedFolder[], path: string): Promise<boolean> {
  if (wayTo(folders, path) === undefined || path.split("/").includes("..")) return false;
  for (let above = path;; above = dirname(above)) {
    const isThere = await Deno.lstat(above).then(
      () => true,
      (error) => !(error instanceof Deno.errors.NotFound),
    );
    if (isThere) {
      return await Deno.realPath(above).then((real) => wayTo(folders, real) !== undefined, () => false);
    }
    if (folders.some((folder) => folder.path === above)) return true;
  }
}
