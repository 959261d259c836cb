/** Walks the same directory of three snapshots at once: each name with its rows, in the order of the names' bytes. */
import { compareBytes } from "../base/bytes.ts";
import { decodeName, encodeName } from "../base/names.ts";
import type { Abilities } from "./policy.ts";
import { DIRECTORY, type Snapshot } from "./snapshot.ts";

/** Stands for a row: the root, whose entries have depth 0. */
export const ROOT = -1;

/** Stands for a row: nothing is there. */
export const NOTHING = -2;

/** One name. Rows are negative where it is not. */
export interface JointNode {
  readonly name: string;
  readonly ancestor: number;
  /** Alpha's and beta's. */
  readonly rows: readonly [number, number];
  /** Another name of the same directory is the same to one of the file systems. */
  readonly clash: boolean;
}

/** What is walked. */
export interface Joined {
  readonly ancestor: Snapshot;
  readonly alpha: Snapshot;
  readonly beta: Snapshot;
  readonly policy: { readonly abilities: Abilities };
}

/** Gives the names in a directory, which is row `ancestor`, `alpha` and `beta` there; {@linkcode ROOT} or {@linkcode NOTHING}. */
export function joint(given: Joined, ancestor: number, alpha: number, beta: number): Iterable<JointNode> {
  const cursors = [
    new Cursor(given.ancestor, ancestor),
    new Cursor(given.alpha, alpha),
    new Cursor(given.beta, beta),
  ] as const;
  const { foldsCase, normalizes } = given.policy.abilities;
  return foldsCase || normalizes ? folded(cursors, given.policy.abilities) : merged(cursors);
}

/** Gives the name by which a file system with these abilities knows `name`. */
export function foldedName(name: string, { foldsCase, normalizes }: Abilities): string {
  const normal = normalizes ? name.normalize("NFC") : name;
  return foldsCase ? normal.toLowerCase() : normal;
}

type Cursors = readonly [Cursor, Cursor, Cursor];

/** The entries of one directory. */
class Cursor {
  readonly snapshot: Snapshot;
  row: number;
  readonly #end: number;

  constructor(snapshot: Snapshot, directory: number) {
    this.snapshot = snapshot;
    const isThere = directory === ROOT || (directory >= 0 && snapshot.kind(directory) === DIRECTORY);
    this.row = isThere ? directory + 1 : 0;
    this.#end = !isThere ? 0 : directory === ROOT ? snapshot.count : snapshot.ends[directory]!;
  }

  get isOpen(): boolean {
    return this.row < this.#end;
  }

  /** Gives the row at hand and goes on to the next. */
  take(): number {
    const row = this.row;
    this.row = this.snapshot.ends[row]!;
    return row;
  }
}

class Node implements JointNode {
  readonly clash = false;

  constructor(
    readonly ancestor: number,
    readonly rows: readonly [number, number],
    readonly snapshot: Snapshot,
    readonly row: number,
  ) {}

  /** Decoded only when somebody asks: most names are never looked at. */
  get name(): string {
    return this.snapshot.name(this.row);
  }
}

function* merged(cursors: Cursors): Generator<JointNode> {
  const rows = [0, 0, 0];
  for (;;) {
    let first: Cursor | undefined;
    for (const cursor of cursors) {
      if (!cursor.isOpen) continue;
      if (first === undefined || cursor.snapshot.compareNames(cursor.row, first.snapshot, first.row) < 0) {
        first = cursor;
      }
    }
    if (first === undefined) return;
    const at = first.row;
    for (let i = 0; i < 3; i++) {
      const cursor = cursors[i]!;
      const isIt = cursor === first ||
        (cursor.isOpen && cursor.snapshot.compareNames(cursor.row, first.snapshot, at) === 0);
      // The first cursor's own row is read before it moves on.
      rows[i] = isIt ? cursor.row : NOTHING;
    }
    for (let i = 0; i < 3; i++) if (rows[i]! >= 0) cursors[i]!.take();
    yield new Node(rows[0]!, [rows[1]!, rows[2]!], first.snapshot, at);
  }
}

function* folded(cursors: Cursors, abilities: Abilities): Generator<JointNode> {
  const groups = new Map<string, { names: Map<string, number[]>; counts: number[] }>();
  for (const [i, cursor] of cursors.entries()) {
    while (cursor.isOpen) {
      const name = decodeName(cursor.snapshot.nameBytes(cursor.row));
      const key = foldedName(name, abilities);
      let group = groups.get(key);
      if (group === undefined) groups.set(key, group = { names: new Map(), counts: [0, 0, 0] });
      let rows = group.names.get(name);
      if (rows === undefined) group.names.set(name, rows = [NOTHING, NOTHING, NOTHING]);
      rows[i] = cursor.take();
      group.counts[i]!++;
    }
  }
  const nodes: JointNode[] = [];
  for (const { names, counts } of groups.values()) {
    const clash = counts[1]! > 1 || counts[2]! > 1;
    if (clash) {
      for (const [name, [ancestor, alpha, beta]] of names) {
        nodes.push({ name, ancestor: ancestor!, rows: [alpha!, beta!], clash });
      }
      continue;
    }
    // One spelling at each end: alpha's counts, since where beta tells them apart there would be no fold.
    const rows = [0, 1, 2].map((i) => [...names.values()].find((rows) => rows[i]! >= 0)?.[i] ?? NOTHING);
    const spelling = [1, 2, 0].map((i) => [...names].find(([, rows]) => rows[i]! >= 0)?.[0]);
    nodes.push({
      name: spelling.find((name) => name !== undefined)!,
      ancestor: rows[0]!,
      rows: [rows[1]!, rows[2]!],
      clash,
    });
  }
  // By their bytes, as in any snapshot: UTF-16 sorts what is beyond U+FFFF otherwise.
  const sorted = nodes.map((node) => ({ node, bytes: encodeName(node.name) }));
  for (const { node } of sorted.sort((a, b) => compareBytes(a.bytes, b.bytes))) yield node;
}
