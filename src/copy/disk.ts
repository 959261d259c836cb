/** What `places.ts` has to know of this machine's disk. */
import { WormholeError } from "../base/errors.ts";
import type { Disk, Seen } from "./places.ts";

/** This machine's disk. Its functions throw {@linkcode WormholeError} PERMISSION_DENIED, NAME_TOO_LONG and IO. */
export const systemDisk: Disk = {
  at(path) {
    const info = look(path, Deno.lstatSync);
    if (info === undefined) return undefined;
    const seen = seenOf(info);
    if (seen.kind !== "symlink") return seen;
    const end = look(path, Deno.statSync);
    return end ? { ...seen, leadsTo: seenOf(end) } : seen;
  },
  chain(path) {
    if (!look(path, Deno.statSync)?.isDirectory) return undefined;
    const ids: string[] = [];
    for (let folder = Deno.realPathSync(path);; folder = folder.replace(/\/[^/]*$/, "") || "/") {
      ids.push(seenOf(Deno.statSync(folder)).id);
      if (folder === "/") return ids;
    }
  },
  real: (path) => Deno.realPathSync(path),
};

/** Why what a folder holds cannot be told; undefined: it has entries. An unplugged disk looks like an empty folder. */
export function emptiness(folder: string): "empty" | "unreadable" | undefined {
  try {
    for (const _ of Deno.readDirSync(folder)) return undefined;
    return "empty";
  } catch {
    return "unreadable";
  }
}

function look(path: string, stat: (path: string) => Deno.FileInfo): Deno.FileInfo | undefined {
  try {
    return stat(path);
  } catch (cause) {
    // A symlink that leads nowhere, or to itself, is there, and what it leads to is not.
    if (cause instanceof Deno.errors.NotFound || cause instanceof Deno.errors.NotADirectory) return undefined;
    if (cause instanceof Deno.errors.FilesystemLoop) return undefined;
    const [code, state] = cause instanceof Deno.errors.PermissionDenied
      ? ["PERMISSION_DENIED", "permission denied"] as const
      : (cause as { code?: unknown }).code === "ENAMETOOLONG"
      ? ["NAME_TOO_LONG", "a name has more than 255 bytes, or the path too many"] as const
      : ["IO", cause instanceof Error ? cause.message : String(cause)] as const;
    throw new WormholeError(code, `Cannot look at "${path}": ${state}`, { cause });
  }
}

function seenOf(info: Deno.FileInfo): Seen {
  const kind = info.isSymlink ? "symlink" : info.isDirectory ? "directory" : info.isFile ? "file" : "other";
  return { kind, id: `${info.dev}:${info.ino}` };
}
