/** What was displaced in a synchronized folder: which versions of a path are in its trash, and bringing one back. */
import { WormholeError } from "../base/errors.ts";
import { basename, dirname, join } from "../base/paths.ts";
import { NativeQueue } from "../native/queue.ts";
import { fileStamps } from "../native/reuse.ts";
import { encodeName } from "../base/names.ts";
import { changeFolder, type NativeStep } from "../native/sync.ts";
import { openOwnFolder } from "./own_folder.ts";
import { OWN_FOLDER, TRASH, trashName, trashTime } from "./places.ts";

/** A version that was displaced. */
export interface Version {
  /** The path that it had, relative to the root. */
  readonly path: string;
  /** When it was displaced, ms since 1970: until then it was in place. */
  readonly ms: number;
  readonly kind: "file" | "directory" | "symlink";
  /** Bytes of a file. */
  readonly size: number;
  /** Where it is now, relative to the root. */
  readonly place: string;
}

/** A path in a synchronized folder. */
export interface Place {
  /** The synchronized folder. */
  readonly root: string;
  /** Relative to it; empty: itself. */
  readonly path: string;
}

/**
 * Finds the synchronized folder that `path` is in, or is; the path itself need not exist.
 *
 * @throws {WormholeError} NOT_FOUND when it is in none.
 */
export async function placeOf(path: string): Promise<Place> {
  const start = path.startsWith("/") ? path : join(Deno.cwd(), path);
  const names = start.split("/").filter((name) => name !== "" && name !== ".");
  for (let depth = names.length; depth >= 0; depth--) {
    const root = `/${names.slice(0, depth).join("/")}`;
    const own = await Deno.stat(join(root, OWN_FOLDER)).catch(() => undefined);
    if (own?.isDirectory) return { root, path: names.slice(depth).join("/") };
  }
  throw new WormholeError("NOT_FOUND", `Cannot restore "${path}": it is in no folder that is synchronized`);
}

/**
 * Gives the versions of a path that are in the trash, the last one first; at most one for each run and name. Of the folder itself:
 * all files and symlinks in its trash.
 */
export async function versionsOf({ root, path }: Place): Promise<Version[]> {
  const versions: Version[] = [];
  for (const time of await namesIn(join(root, TRASH))) {
    const ms = trashTime(time);
    if (ms === undefined) continue;
    const place = `${TRASH}/${time}`;
    if (path === "") await addAll(versions, { root, place, above: "", ms });
    else {
      const above = path.includes("/") ? `${place}/${dirname(path)}` : place;
      const names = await namesIn(join(root, above));
      for (const name of names) {
        if (name !== basename(path) && originalOf(name, names) !== basename(path)) continue;
        versions.push({ path, ms, ...await versionAt(root, `${above}/${name}`) });
      }
    }
  }
  return versions.toSorted((a, b) => b.ms - a.ms || (a.place < b.place ? 1 : -1));
}

async function addAll(
  versions: Version[],
  { root, place, above, ms }: { root: string; place: string; above: string; ms: number },
): Promise<void> {
  const names = await namesIn(join(root, place));
  for (const name of names) {
    const version = await versionAt(root, `${place}/${name}`);
    if (version.kind === "directory") {
      await addAll(versions, { root, place: version.place, above: `${above}${name}/`, ms });
    } else versions.push({ path: `${above}${originalOf(name, names)}`, ms, ...version });
  }
}

async function versionAt(root: string, place: string): Promise<Pick<Version, "kind" | "size" | "place">> {
  const { isDirectory, isSymlink, size } = await Deno.lstat(join(root, place));
  const kind = isDirectory ? "directory" : isSymlink ? "symlink" : "file";
  return { kind, size: kind === "file" ? size : 0, place };
}

async function namesIn(folder: string): Promise<ReadonlySet<string>> {
  return new Set(await Array.fromAsync(Deno.readDir(folder), ({ name }) => name).catch(() => []));
}

/**
 * Brings back the version that was in place at `ms` (since 1970), or the last one; what is in place now goes to the trash.
 * Of a folder, every file that was displaced in it in that run comes back.
 *
 * @throws {WormholeError} NOT_FOUND when there is none; INVALID_ARGUMENT for the folder itself; BUSY while the folder is being synchronized; SOURCE_CHANGED,
 * PARTIAL when something could not be put back.
 */
export async function restore(place: Place, { ms, now }: { ms?: number; now: number }): Promise<Version> {
  const { root, path } = place;
  if (path === "") {
    throw new WormholeError(
      "INVALID_ARGUMENT",
      `Cannot restore all of "${root}": name one path in it; --list shows what there is`,
    );
  }
  const versions = await versionsOf(place);
  const version = ms === undefined ? versions[0] : versions.findLast((one) => one.ms >= ms);
  if (version === undefined) {
    const when = ms === undefined ? "" : ` of ${new Date(ms).toISOString()}`;
    throw new WormholeError(
      "NOT_FOUND",
      `Cannot restore "${join(root, path)}": there is no version${when} in the trash`,
    );
  }
  using _own = await openOwnFolder(root);
  await using queue = NativeQueue.open();
  const files = version.kind === "directory"
    ? await below(root, version.place, path)
    : [{ from: version.place, path }];
  const again = `${TRASH}/${trashName(now)}`;
  const steps: NativeStep[] = foldersAbove(files.map((file) => file.path)).map((path) => (
    { do: "make", path, mode: 0o777 & ~Deno.umask() }
  ));
  for (const { from, path } of files) {
    const stamp = (await fileStamps(queue, [encodeName(join(root, path))])).slice();
    const isThere = stamp.some((byte) => byte !== 0);
    steps.push({ do: "put", from, path, ...isThere && { was: stamp, keep: join(again, path) } });
  }
  const { failed } = await changeFolder(queue, { root, steps });
  if (failed.length === 0) return version;
  const { code, message } = failed[0]!;
  throw new WormholeError(steps.length === 1 ? code : "PARTIAL", message);
}

/**
 * Gives the name that something in the trash had: `name~1` is what `name` is called where that was taken, so without the one
 * before it, it is somebody's own name.
 */
function originalOf(name: string, names: ReadonlySet<string>): string {
  const [, original, again] = /^(.+)~([1-9]\d*)$/s.exec(name) ?? [];
  if (original === undefined) return name;
  return names.has(again === "1" ? original : `${original}~${Number(again) - 1}`) ? original : name;
}

async function below(root: string, place: string, path: string): Promise<{ from: string; path: string }[]> {
  const found: { from: string; path: string }[] = [];
  for await (const { name, isDirectory } of Deno.readDir(join(root, place))) {
    const inner = { from: join(place, name), path: join(path, name) };
    if (isDirectory) found.push(...await below(root, inner.from, inner.path));
    else found.push(inner);
  }
  return found;
}

/** Gives the folders above paths, each before what is in it. */
function foldersAbove(paths: readonly string[]): string[] {
  const folders = new Set<string>();
  for (const path of paths) {
    const names = path.split("/");
    for (let depth = 1; depth < names.length; depth++) folders.add(names.slice(0, depth).join("/"));
  }
  return [...folders].toSorted();
}
