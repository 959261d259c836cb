/** What a known machine may do without asking; spec/known_peers.md §6. */
import { WormholeError } from "../base/errors.ts";

/** What a peer may do without asking; everything else it may not. */
export interface Rights {
  /** Absolute path of the folder into which it may send; absent: each offer is asked about. */
  readonly inbox?: string;
  /** It may receive what `send --to` offers where nobody is at a terminal to be asked. */
  readonly receive: boolean;
  /** Absolute real paths of folders that it may synchronize, with everything in them: read, change and delete. */
  readonly sync: readonly string[];
  /** Likewise, but only read. */
  readonly syncReadOnly: readonly string[];
  /** Likewise, but only change: it learns names and sizes and gets no content. */
  readonly syncWriteOnly: readonly string[];
}

/** What a machine may do that was just paired. */
export const NO_RIGHTS: Rights = { receive: false, sync: [], syncReadOnly: [], syncWriteOnly: [] };

/** Which ways content may go, as the machine with the folder sees it: from it (`pull`), to it (`push`), or both. */
export type Way = "both" | "pull" | "push";

/** A folder that another machine may synchronize. */
export interface SharedFolder {
  /** Absolute and real. */
  readonly path: string;
  readonly way: Way;
}

/** Gives the folders that a peer may synchronize. */
export function sharedFolders({ sync, syncReadOnly, syncWriteOnly }: Rights): SharedFolder[] {
  return [
    ...sync.map((path) => ({ path, way: "both" as const })),
    ...syncReadOnly.map((path) => ({ path, way: "pull" as const })),
    ...syncWriteOnly.map((path) => ({ path, way: "push" as const })),
  ];
}

/**
 * Adds folders; one that there was a right to gets the new one.
 *
 * @throws {WormholeError} INVALID_ARGUMENT when a folder is in one with another right: which of both counts would be anybody's guess.
 */
export function withFolders(rights: Rights, added: readonly SharedFolder[]): Rights {
  const paths = new Set(added.map(({ path }) => path));
  const all = [...sharedFolders(rights).filter(({ path }) => !paths.has(path)), ...added];
  const clash = clashing(all);
  if (clash !== undefined) {
    const [one, other] = clash;
    const state = one.path === other.path
      ? "two different rights were asked for"
      : `it has another right to "${other.path}" (take that back with --none)`;
    throw new WormholeError("INVALID_ARGUMENT", `Cannot give a right to "${one.path}": ${state}`);
  }
  const of = (wanted: Way) => [
    ...new Set(all.filter(({ way }) => way === wanted).map(({ path }) => path)),
  ];
  return { ...rights, sync: of("both"), syncReadOnly: of("pull"), syncWriteOnly: of("push") };
}

/** Gives two folders of which one is in the other, or is it, with different rights; the one that was added first comes last. */
export function clashing(folders: readonly SharedFolder[]): [SharedFolder, SharedFolder] | undefined {
  for (const [at, one] of folders.entries()) {
    const other = folders.slice(0, at).find(({ path, way }) => (
      way !== one.way && (isIn(path, one.path) || isIn(one.path, path))
    ));
    if (other !== undefined) return [one, other];
  }
  return undefined;
}

/** Tells whether `path` is `folder` or in it; both absolute. */
export function isIn(path: string, folder: string): boolean {
  return path === folder || path.startsWith(folder === "/" ? "/" : `${folder}/`);
}
