/**
 * The directories of a manifest as they are announced: who is whose parent, how deep, and one flag that children
 * take over. Columns instead of objects, since a manifest may have millions of directories.
 */
import { WormholeError } from "../base/errors.ts";
import { decodeName } from "../base/names.ts";
import { MAX_DIRECTORIES, MAX_DIRECTORY_NAME_BYTES, MAX_PATH_BYTES, MAX_PATH_DEPTH } from "../wire/limits.ts";

/** A row of the table. */
export interface Directory {
  /** Directories above it; 0 for a root. */
  readonly depth: number;
  /** Bytes of its path. */
  readonly pathBytes: number;
  /** What {@linkcode DirectoryTable.add} was given. */
  readonly flag: number;
}

/** What the table needs to know of a directory's entry. */
export interface NewDirectory {
  readonly id: number;
  readonly parent: number | undefined;
  readonly name: Uint8Array;
  /** 0 to 255; the caller's. */
  readonly flag: number;
}

const NO_ROW = 0xffffffff;

/** Directories by entry id; ids must be added in ascending order. */
export class DirectoryTable {
  #count = 0;
  #ids = new Uint32Array(64);
  #parents = new Uint32Array(64);
  #depths = new Uint16Array(64);
  #pathBytes = new Uint32Array(64);
  #flags = new Uint8Array(64);
  #nameEnds = new Uint32Array(64);
  #names = new Uint8Array(1024);

  /** Number of directories. */
  get count(): number {
    return this.#count;
  }

  /**
   * Adds a directory below a known one.
   *
   * @throws {WormholeError} PROTOCOL when the parent is not a directory of the table or ids do not ascend;
   * LIMIT_EXCEEDED when it is too deep, its path too long or the table full.
   */
  add({ id, parent, name, flag }: NewDirectory): void {
    const { depth, pathBytes } = this.place({ id, parent, nameBytes: name.length });
    const row = this.#count;
    if (row > 0 && this.#ids[row - 1]! >= id) throw bad("PROTOCOL", `directory ${id} comes out of order`);
    if (row >= MAX_DIRECTORIES) {
      throw bad("LIMIT_EXCEEDED", `it has more than ${MAX_DIRECTORIES} directories`);
    }
    const start = this.#nameStart(row);
    if (start + name.length > MAX_DIRECTORY_NAME_BYTES) {
      throw bad("LIMIT_EXCEEDED", "its directory names take too much memory");
    }
    this.#reserve(row + 1, start + name.length);
    this.#ids[row] = id;
    this.#parents[row] = parent === undefined ? NO_ROW : this.#row(parent);
    this.#depths[row] = depth;
    this.#pathBytes[row] = pathBytes;
    this.#flags[row] = flag;
    this.#names.set(name, start);
    this.#nameEnds[row] = start + name.length;
    this.#count++;
  }

  /** Gives the directory with entry `id`; undefined when there is none. */
  get(id: number): Directory | undefined {
    const row = this.#row(id);
    if (row === NO_ROW) return undefined;
    return { depth: this.#depths[row]!, pathBytes: this.#pathBytes[row]!, flag: this.#flags[row]! };
  }

  /**
   * Gives how deep an entry of any kind is, and how long its path.
   *
   * @throws {WormholeError} PROTOCOL when the parent is not a directory; LIMIT_EXCEEDED when too deep or too long.
   */
  place(
    { id, parent, nameBytes }: { id: number; parent: number | undefined; nameBytes: number },
  ): { depth: number; pathBytes: number } {
    if (parent === undefined) return { depth: 0, pathBytes: nameBytes };
    const above = this.get(parent);
    if (above === undefined) throw bad("PROTOCOL", `the parent ${parent} of entry ${id} is not a directory`);
    const depth = above.depth + 1;
    const pathBytes = above.pathBytes + 1 + nameBytes;
    if (depth > MAX_PATH_DEPTH) {
      throw bad("LIMIT_EXCEEDED", `entry ${id} is deeper than ${MAX_PATH_DEPTH} directories`);
    }
    if (pathBytes > MAX_PATH_BYTES) {
      throw bad("LIMIT_EXCEEDED", `the path of entry ${id} is longer than ${MAX_PATH_BYTES} bytes`);
    }
    return { depth, pathBytes };
  }

  /** Gives the names from the root down to directory `id`; none for undefined. */
  path(id: number | undefined): string[] {
    const names: string[] = [];
    for (let row = id === undefined ? NO_ROW : this.#row(id); row !== NO_ROW; row = this.#parents[row]!) {
      names.push(decodeName(this.#names.subarray(this.#nameStart(row), this.#nameEnds[row]!)));
    }
    return names.reverse();
  }

  #nameStart(row: number): number {
    return row === 0 ? 0 : this.#nameEnds[row - 1]!;
  }

  /** Finds the row of an entry; the last ones are tried first, since siblings come together. */
  #row(id: number): number {
    let low = 0;
    let high = this.#count - 1;
    if (high >= 0 && this.#ids[high] === id) return high;
    while (low <= high) {
      const middle = (low + high) >>> 1;
      const found = this.#ids[middle]!;
      if (found === id) return middle;
      if (found < id) low = middle + 1;
      else high = middle - 1;
    }
    return NO_ROW;
  }

  #reserve(rows: number, nameBytes: number): void {
    if (rows > this.#ids.length) {
      const length = this.#ids.length * 2;
      this.#ids = grown(this.#ids, new Uint32Array(length));
      this.#parents = grown(this.#parents, new Uint32Array(length));
      this.#depths = grown(this.#depths, new Uint16Array(length));
      this.#pathBytes = grown(this.#pathBytes, new Uint32Array(length));
      this.#flags = grown(this.#flags, new Uint8Array(length));
      this.#nameEnds = grown(this.#nameEnds, new Uint32Array(length));
    }
    if (nameBytes > this.#names.length) {
      this.#names = grown(this.#names, new Uint8Array(Math.max(nameBytes, this.#names.length * 2)));
    }
  }
}

function grown<T extends Uint8Array | Uint16Array | Uint32Array>(from: T, to: T): T {
  to.set(from);
  return to;
}

function bad(code: "PROTOCOL" | "LIMIT_EXCEEDED", state: string): WormholeError {
  return new WormholeError(code, `Cannot read the manifest: ${state}`);
}
