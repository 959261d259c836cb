/** What another machine says of paths and folders, checked before anything is done with it; wire/spec/sync.md §3, §4. */
import { WormholeError } from "../../base/errors.ts";
import { decodeName } from "../../base/names.ts";
import { parseName } from "../../tree/mod.ts";
import { MAX_FILE_BYTES, MAX_NAME_BYTES, MAX_PATH_BYTES, MAX_PATH_DEPTH } from "../../wire/mod.ts";
import { OWN_FOLDER } from "../places.ts";
import { DIRECTORY, FILE, OPAQUE, type Snapshot, SYMLINK } from "../snapshot.ts";

declare const BELOW: unique symbol;

/** A path of checked names below a root, and not sync's own. */
export type PathBelow = string & { readonly [BELOW]: true };

/**
 * Gives a path below a root.
 *
 * @throws {WormholeError} HOSTILE_NAME and its kin for what is none, or leads into sync's own folder; LIMIT_EXCEEDED.
 */
export function parsePath(given: Uint8Array): PathBelow {
  if (given.length > MAX_PATH_BYTES) throw over("a path is too long");
  const path = decodeName(given);
  const names = path.split("/");
  if (names.length > MAX_PATH_DEPTH) throw over("a path is too deep");
  for (const name of names) {
    parseName(name);
    if (isOwn(name)) throw hostile("a path leads into a folder of sync itself");
  }
  return path as PathBelow;
}

/**
 * Checks a snapshot as a whole: kinds, names, sizes, permissions, and that siblings come in order, so that no path is there
 * twice and everything has its folder.
 *
 * @throws {WormholeError} PROTOCOL, HOSTILE_NAME, LIMIT_EXCEEDED.
 */
export function checkSnapshot(snapshot: Snapshot): void {
  const { kinds, depths, modes, sizes, names, nameStarts, settled } = snapshot.columns;
  // Row of the last sibling at each depth of the path at hand, -1 for none.
  const last: number[] = [];
  const pathBytes: number[] = [];
  for (let row = 0; row < snapshot.count; row++) {
    const kind = kinds[row]!, depth = depths[row]!, size = sizes[row]!;
    if (kind !== FILE && kind !== DIRECTORY && kind !== SYMLINK && kind !== OPAQUE) throw wrong("a kind");
    if (!Number.isSafeInteger(size) || size < 0 || size > MAX_FILE_BYTES) throw wrong("a size");
    if (kind === DIRECTORY && size !== 0) throw wrong("the size of a folder");
    if (modes[row]! > 0o777 || settled[row]! > 1) throw wrong("the permissions of an entry");
    if (depth >= MAX_PATH_DEPTH) throw over("a path is too deep");
    if (depth > last.length || (depth > 0 && kinds[last[depth - 1]!] !== DIRECTORY)) {
      throw wrong("the place of an entry");
    }
    const [from, to] = [nameStarts[row]!, nameStarts[row + 1]!];
    checkName(names, from, to);
    // Within another root it is told of, so that the folder that it is in stays, and nothing else.
    if (mayBeOwn(names, from, to) && isOwn(snapshot.name(row)) && (depth === 0 || kind !== OPAQUE)) {
      throw wrong("the folder of sync itself");
    }
    if (depth < last.length && snapshot.compareNames(last[depth]!, snapshot, row) >= 0) {
      throw wrong("the order of names");
    }
    pathBytes[depth] = (depth === 0 ? 0 : pathBytes[depth - 1]! + 1) + to - from;
    if (pathBytes[depth]! > MAX_PATH_BYTES) throw over("a path is too long");
    last.length = depth;
    last.push(row);
  }
}

/** As `parseName`, on bytes: a million names are not made strings for this. */
function checkName(names: Uint8Array, from: number, to: number): void {
  const length = to - from;
  if (length > MAX_NAME_BYTES) throw new WormholeError("NAME_TOO_LONG", refused("a name is too long"));
  if (length === 0) throw hostile("a name is empty");
  const dot = 0x2e;
  if (length <= 2 && names[from] === dot && names[to - 1] === dot) throw hostile("a name is a dot, or two");
  for (let at = from; at < to; at++) {
    const byte = names[at]!;
    if (byte === 0 || byte === 0x2f) throw hostile("a name has a slash or a zero byte");
  }
}

/** Cheap, since every name is asked: whether it has as many bytes as some form of {@linkcode OWN_FOLDER}, and begins like one. */
function mayBeOwn(names: Uint8Array, from: number, to: number): boolean {
  // A character takes four bytes at most. The dot is one, or some character that is none of ASCII.
  const first = names[from]!;
  return to - from >= OWN_FOLDER.length && to - from <= 4 * OWN_FOLDER.length &&
    (first === 0x2e || first >= 0x80);
}

/** However a file system that does not tell capitals or Unicode forms apart may write it. */
function isOwn(name: string): boolean {
  return name.length <= 3 * OWN_FOLDER.length && name.normalize("NFKC").toLowerCase() === OWN_FOLDER;
}

function refused(state: string): string {
  return `Cannot take what the other side says: ${state}`;
}

function wrong(what: string): WormholeError {
  return new WormholeError("PROTOCOL", refused(`${what} is not what it can be`));
}

function hostile(state: string): WormholeError {
  return new WormholeError("HOSTILE_NAME", refused(state));
}

function over(state: string): WormholeError {
  return new WormholeError("LIMIT_EXCEEDED", refused(state));
}
