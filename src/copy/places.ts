/** Where each source goes: `cp`'s conventions, with `rsync`'s trailing slash; pure but for what it is told of the disk. */
import { type ErrorCode, WormholeError } from "../base/errors.ts";
import { basename, dirname, join } from "../base/paths.ts";

/** What is at a path. */
export interface Seen {
  readonly kind: "file" | "directory" | "symlink" | "other";
  /** Device and inode: the same for two names of one thing. */
  readonly id: string;
  /** What a symlink leads to in the end; undefined: nowhere. */
  readonly leadsTo?: Seen;
}

/** What has to be known of the disk. */
export interface Disk {
  /** What is at `path` itself; undefined: nothing. */
  at(path: string): Seen | undefined;
  /** The ids of the folder `path`, symlinks followed, and of every folder above, the nearest first; undefined: no folder. */
  chain(path: string): readonly string[] | undefined;
  /** `path` without symlinks. */
  real(path: string): string;
}

/** What was asked for on the command line. */
export interface Wanted {
  /** Sources, and the destination as the last unless `into` is given. */
  readonly paths: readonly string[];
  /** Folder that everything goes into: `--target-directory`. */
  readonly into?: string | undefined;
  /** The destination is never a folder to put things into: `--no-target-directory`. */
  readonly exactly?: boolean;
  /** The destination is made like the source. */
  readonly sync?: boolean;
  /** What the source does not have is deleted. */
  readonly deletes?: boolean;
}

/** One source with the path that it, not something in it, will have. */
export interface Root {
  readonly source: string;
  readonly target: string;
  /** The source is a folder. */
  readonly folder: boolean;
}

/** Why a source is left out. */
export interface Refusal {
  readonly path: string;
  readonly code: ErrorCode;
  readonly message: string;
}

/** What is to be copied, and what cannot be. */
export interface Places {
  readonly roots: readonly Root[];
  readonly refused: readonly Refusal[];
}

/**
 * Gives each source its target.
 *
 * A folder that exists takes the sources in under their names; otherwise the only source becomes the destination. A source
 * that ends in a slash, `.` or `..` stands for what is in it. With `sync`, one folder is always the destination's content, so
 * that the same command twice does the same. A source that cannot be copied is refused alone, as `cp` does.
 *
 * @throws {WormholeError} USAGE for too few paths; NOT_FOUND or NOT_DIRECTORY for the destination; what refuses a source
 * when nothing is left.
 */
export function placesOf(wanted: Wanted, disk: Disk): Places {
  const { sources, destination } = split(wanted);
  const into = goesInto(sources, destination, { wanted, disk });
  const roots: Root[] = [];
  const refused: Refusal[] = [];
  for (const source of sources) {
    try {
      const root = placeOf(source, destination, { into, wanted, disk });
      refuseOverlap(root, roots, { wanted, disk });
      roots.push(root);
    } catch (error) {
      if (!(error instanceof WormholeError)) throw error;
      if (sources.length === 1) throw error;
      refused.push({ path: source, code: error.code, message: error.message });
    }
  }
  return { roots, refused };
}

interface About {
  readonly wanted: Wanted;
  readonly disk: Disk;
}

function split({ paths, into, exactly }: Wanted): { sources: readonly string[]; destination: string } {
  if (into !== undefined) {
    if (exactly) throw usage("-t and -T cannot be given together");
    if (paths.length === 0) throw usage("say what to copy");
    return { sources: paths, destination: into };
  }
  if (paths.length === 0) throw usage("say what to copy, and where to");
  if (paths.length === 1) throw usage(`say where to copy "${paths[0]}"`);
  if (exactly && paths.length > 2) throw usage("with -T there is one source and one destination");
  return { sources: paths.slice(0, -1), destination: paths.at(-1)! };
}

/** Tells whether sources go into the destination under their names. */
function goesInto(sources: readonly string[], destination: string, { wanted, disk }: About): boolean {
  const kind = kindFollowed(disk.at(destination));
  if (wanted.into !== undefined || sources.length > 1) {
    if (kind === "directory") return true;
    if (kind === undefined) {
      throw cannot("NOT_FOUND", `copy into "${destination}"`, "there is no such folder");
    }
    throw cannot("NOT_DIRECTORY", `copy into "${destination}"`, "it is not a folder");
  }
  if (wanted.exactly || kind !== "directory") return false;
  // One folder that is kept in sync is the destination, not something in it.
  return !(wanted.sync && kindFollowed(disk.at(trimmed(sources[0]!))) === "directory" &&
    !isLink(sources[0]!, disk));
}

/** Tells whether a source is a symlink that is copied as such. */
function isLink(source: string, disk: Disk): boolean {
  return !standsForContents(source) && disk.at(source)?.kind === "symlink";
}

function placeOf(
  source: string,
  destination: string,
  { into, wanted, disk }: About & { into: boolean },
): Root {
  const contents = standsForContents(source);
  const what = `copy "${source}"`;
  const seen = disk.at(trimmed(source));
  if (seen === undefined) throw cannot("NOT_FOUND", what, "there is no such file or folder");
  const folder = (contents ? kindFollowed(seen) : seen.kind) === "directory";
  if (contents && !folder) throw cannot("NOT_DIRECTORY", what, "it is not a folder");
  const named = into && !contents;
  if (!named && !folder && destination.endsWith("/") && disk.at(trimmed(destination)) === undefined) {
    throw cannot("NOT_FOUND", `copy into "${destination}"`, "there is no such folder");
  }
  const target = named ? join(trimmed(destination), basename(source)) : trimmed(destination);
  // The destination may be a symlink to a folder; what is in it is never followed.
  const there = named ? disk.at(target) : followed(disk.at(target));
  refuseSame({ what, seen, there: disk.at(target), target });
  refuseKinds({ what, folder, there, target });
  const above = disk.chain(dirname(target));
  if (above === undefined) {
    throw cannot("NOT_FOUND", `copy to "${target}"`, `there is no folder "${dirname(target)}"`);
  }
  const id = (contents ? seen.leadsTo ?? seen : seen).id;
  if (folder && (above.includes(id) || there && disk.chain(target)?.includes(id))) {
    throw cannot("INVALID_ARGUMENT", what, `"${target}" is inside it`);
  }
  if (wanted.deletes && folder && there && disk.chain(trimmed(source))?.includes(there.id)) {
    throw cannot("INVALID_ARGUMENT", what, `it is inside "${target}", where --delete would remove it`);
  }
  return {
    source: contents && seen.kind === "symlink" ? disk.real(trimmed(source)) : trimmed(source),
    target: !named && disk.at(target)?.kind === "symlink" && folder ? disk.real(target) : target,
    folder,
  };
}

function refuseSame(
  { what, seen, there, target }: { what: string; seen: Seen; there: Seen | undefined; target: string },
): void {
  if (there === undefined) return;
  const ids = [there.id, there.leadsTo?.id];
  if (ids.includes(seen.id) || seen.leadsTo !== undefined && ids.includes(seen.leadsTo.id)) {
    throw cannot("INVALID_ARGUMENT", what, `"${target}" is the same ${nounOf(followed(there) ?? there)}`);
  }
}

function refuseKinds(
  { what, folder, there, target }: { what: string; folder: boolean; there: Seen | undefined; target: string },
): void {
  if (there === undefined) return;
  if (folder && there.kind !== "directory") {
    throw cannot("NOT_DIRECTORY", what, `it is a folder, and "${target}" is none`);
  }
  if (!folder && there.kind === "directory") {
    throw cannot("IS_DIRECTORY", what, `"${target}" is a folder`);
  }
}

/** Two sources that would meet at one path would race. */
function refuseOverlap(root: Root, others: readonly Root[], { wanted, disk }: About): void {
  const place = placeId(root.target, disk);
  for (const other of others) {
    const what = `copy "${root.source}"`;
    if (placeId(other.target, disk) === place) {
      throw cannot("INVALID_ARGUMENT", what, `"${other.source}" goes to "${root.target}" as well`);
    }
    for (const [outer, inner] of [[root, other], [other, root]] as const) {
      if (!holds(outer.target, inner.target, disk)) continue;
      const meets = disk.at(join(outer.source, basename(inner.target))) !== undefined;
      if (wanted.deletes) {
        throw cannot(
          "INVALID_ARGUMENT",
          what,
          `with --delete "${outer.source}" would remove what others bring`,
        );
      }
      if (meets) throw cannot("INVALID_ARGUMENT", what, `"${other.source}" goes to the same place`);
    }
  }
}

/** Tells whether the folder `outer` is there and has `inner` below it. */
function holds(outer: string, inner: string, disk: Disk): boolean {
  const seen = followed(disk.at(outer));
  return seen?.kind === "directory" && disk.chain(dirname(inner))!.includes(seen.id);
}

/** What names a place, however its path is written. */
function placeId(target: string, disk: Disk): string {
  const seen = followed(disk.at(target));
  return seen?.kind === "directory" ? seen.id : `${disk.chain(dirname(target))![0]}/${basename(target)}`;
}

/** Tells whether `source` is written as what is in a folder. */
function standsForContents(source: string): boolean {
  return /(^|\/)\.{0,2}$/.test(source);
}

/** A path without the slashes at its end. */
function trimmed(path: string): string {
  return path.replace(/(.)\/+$/, "$1");
}

function followed(seen: Seen | undefined): Seen | undefined {
  return seen?.kind === "symlink" ? seen.leadsTo ?? seen : seen;
}

function kindFollowed(seen: Seen | undefined): Seen["kind"] | undefined {
  return followed(seen)?.kind;
}

function nounOf({ kind }: Seen): string {
  return kind === "directory" ? "folder" : "file";
}

function usage(state: string): WormholeError {
  return new WormholeError("USAGE", `Cannot copy: ${state}`);
}

function cannot(code: ErrorCode, what: string, state: string): WormholeError {
  return new WormholeError(code, `Cannot ${what}: ${state}`);
}
