/** Makes manifest pages that no honest sender would, from a seed, so that a failure can be had again. */
import { encodeName } from "../../src/base/names.ts";
import { type Columns, NO_PARENT } from "../../src/wire/mod.ts";

/** A small generator of random numbers (mulberry32); the same seed gives the same manifests. */
export class Dice {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** Gives a whole number from 0 to `limit` - 1. */
  below(limit: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * limit);
  }

  /** Tells whether something happens that does so once in `times`. */
  once(times: number): boolean {
    return this.below(times) === 0;
  }

  pick<T>(values: readonly T[]): T {
    return values[this.below(values.length)]!;
  }
}

/** What a hostile manifest knows of the receiver. */
export interface Surroundings {
  /** Absolute path of a folder outside of the destination that it would like to write into. */
  readonly outside: string;
  /** Names that stand in the destination already, symlinks to the outside among them. */
  readonly known: readonly string[];
}

/** One root with the name under which the receiver would place it. */
export interface HostileRoot {
  readonly entry: number;
  readonly name: Uint8Array<ArrayBuffer>;
}

/** One page of a manifest that should not be trusted. */
export interface HostilePage {
  readonly columns: Columns;
  readonly roots: readonly HostileRoot[];
}

interface HostileEntry {
  kind: number;
  parent: number;
  name: Uint8Array<ArrayBuffer>;
  mode: number;
  size: bigint;
  mtime: bigint;
  target: Uint8Array<ArrayBuffer>;
}

const SIZES = [
  0n,
  0n,
  0n,
  0n,
  1n,
  4096n,
  2n ** 31n,
  2n ** 53n - 1n,
  2n ** 53n,
  2n ** 63n - 1n,
  2n ** 63n,
  2n ** 64n - 1n,
];
const TIMES = [0n, 1n, -1n, 2n ** 62n, 2n ** 63n - 1n, -(2n ** 63n), 1_700_000_000_000_000_000n];
const COUNTS = [0, 1, 4096, 4097, 2 ** 30, 2 ** 31, 2 ** 32 - 1];
const KIND_DIRECTORY = 2;
const KIND_SYMLINK = 3;
const KIND_STREAM = 4;

/** Gives one page of a few entries: most manifests are nearly right, so that they get far before they are caught. */
export function hostilePage(dice: Dice, { outside, known }: Surroundings, first = 0): HostilePage {
  const entries: HostileEntry[] = [];
  const count = dice.below(9);
  for (let index = 0; index < count; index++) {
    entries.push(hostileEntry(dice, { outside, known }, entries, first));
  }
  const columns = toColumns(entries, first, !dice.once(4));
  const roots = entries.flatMap(({ parent, name }, index) =>
    parent === NO_PARENT ? [{ entry: first + index, name }] : []
  );
  if (dice.once(6)) spoil(dice, columns);
  return { columns, roots };
}

function hostileEntry(
  dice: Dice,
  { outside, known }: Surroundings,
  before: readonly HostileEntry[],
  first: number,
): HostileEntry {
  const kind = dice.once(100)
    ? dice.below(256)
    : dice.once(30)
    ? KIND_STREAM
    : dice.pick([1, 1, 2, 2, 2, 3, 3, 3]);
  const target = kind === KIND_SYMLINK ? encodeName(hostileTarget(dice, outside)) : new Uint8Array();
  return {
    kind,
    parent: hostileParent(dice, before, first),
    name: hostileName(dice, { outside, known }, before),
    mode: dice.once(80) ? dice.below(2 ** 32) : dice.pick([0o644, 0o755, 0o000, 0o4755, 0o2777, 0o7777]),
    size: dice.once(30) ? dice.pick(SIZES) : honestSize(kind, target),
    mtime: dice.pick(TIMES),
    target,
  };
}

function honestSize(kind: number, target: Uint8Array): bigint {
  if (kind === KIND_STREAM) return 2n ** 64n - 1n;
  return kind === KIND_SYMLINK ? BigInt(target.length) : 0n;
}

function hostileParent(dice: Dice, before: readonly HostileEntry[], first: number): number {
  const nested = before.flatMap(({ kind }, index) => kind === KIND_DIRECTORY ? first + index : []);
  if (nested.length > 0 && !dice.once(4)) return dice.pick(nested);
  if (before.length > 0 && dice.once(15)) return first + dice.below(before.length); // a file's or a symlink's child
  if (dice.once(20)) {
    return dice.pick([first + before.length, first + before.length + 1, 2 ** 31, 0xfffffffe]);
  }
  return NO_PARENT;
}

function hostileName(
  dice: Dice,
  { outside, known }: Surroundings,
  before: readonly HostileEntry[],
): Uint8Array<ArrayBuffer> {
  // The same name again, or the name of a symlink that a directory then takes.
  if (before.length > 0 && dice.once(4)) return dice.pick(before).name;
  if (dice.once(4)) return encodeName(dice.pick(known));
  if (!dice.once(3)) return encodeName(`${dice.pick(["a", "b", "A", "é", "e\u0301"])}${dice.below(4)}`);
  return encodeName(dice.pick([
    "",
    ".",
    "..",
    "...",
    "../escaped",
    "../../escaped",
    "../outside/escaped",
    "a/../../escaped",
    "a/b",
    "/",
    `${outside}/escaped`,
    "a\0b",
    "\0",
    "x".repeat(255),
    "x".repeat(256),
    "x".repeat(4096),
    "con",
    "NUL.txt",
    "a\\..\\..\\b",
    "C:",
    "file:stream",
    "dot.",
    "new\nline",
    "\u001b[2J",
    "\udcff\udcfe",
    "~",
    "-rf",
    ".wormhole-0000000000000000.part",
    "lock",
    "tree",
    "0",
    "1",
  ]));
}

function hostileTarget(dice: Dice, outside: string): string {
  return dice.pick([
    "..",
    "../..",
    "../outside",
    "../../outside",
    "../../../outside",
    outside,
    `${outside}/escaped`,
    "/",
    "/etc/passwd",
    "a/../../outside",
    ".",
    "a0",
    "itself",
    "x".repeat(4096),
    "x".repeat(4097),
    "with\0zero",
    "/proc/self/cwd",
    "/proc/self/fd/1",
  ]);
}

/** Makes the columns contradict each other or the limits. */
function spoil(dice: Dice, columns: { -readonly [K in keyof Columns]: Columns[K] }): void {
  const name = dice.pick(
    ["kinds", "parents", "name_lengths", "names", "modes", "sizes", "mtimes", "targets"] as const,
  );
  switch (dice.below(5)) {
    case 0:
      columns[name] = columns[name].slice(0, dice.below(columns[name].length + 1));
      break;
    case 1: {
      const longer = new Uint8Array(columns[name].length + 1 + dice.below(16));
      longer.set(columns[name]);
      columns[name] = longer;
      break;
    }
    case 2:
      columns.count = dice.pick(COUNTS);
      break;
    case 3:
      columns.first = dice.pick(COUNTS);
      break;
    default:
      if (columns[name].length > 0) columns[name][dice.below(columns[name].length)] = dice.below(256);
  }
}

function toColumns(entries: readonly HostileEntry[], first: number, last: boolean): Columns {
  const numbers = (width: number, write: (view: DataView, at: number, entry: HostileEntry) => void) => {
    const column = new Uint8Array(entries.length * width);
    const view = new DataView(column.buffer);
    entries.forEach((entry, index) => write(view, index * width, entry));
    return column;
  };
  return {
    first,
    count: entries.length,
    kinds: numbers(1, (view, at, { kind }) => view.setUint8(at, kind)),
    parents: numbers(4, (view, at, { parent }) => view.setUint32(at, parent, true)),
    name_lengths: numbers(2, (view, at, { name }) => view.setUint16(at, name.length, true)),
    names: joined(entries.map(({ name }) => name)),
    modes: numbers(4, (view, at, { mode }) => view.setUint32(at, mode, true)),
    sizes: numbers(8, (view, at, { size }) => view.setBigUint64(at, size, true)),
    mtimes: numbers(8, (view, at, { mtime }) => view.setBigInt64(at, mtime, true)),
    targets: joined(entries.map(({ target }) => target)),
    last,
  };
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
