/** What somebody has locked in a folder that is synchronized: it is left alone at both ends until it is free. */
import { WormholeError } from "../base/errors.ts";
import { type HeldLock, LockBook, overlaps } from "../locks/mod.ts";
import type { Failure, Step } from "./end.ts";

/** The locks below one root. */
export class LocksBelow {
  readonly #root: string;
  readonly #book: LockBook;
  readonly #seen = new Map<string, HeldLock>();
  readonly #keys = new Set<string>();

  /** `root` is where the folder really is. */
  constructor(root: string, book: LockBook) {
    this.#root = root;
    this.#book = book;
  }

  /** Gives what is locked, relative to the root. @throws {WormholeError} BUSY when that is the root itself. */
  paths(): string[] {
    return this.#look().map((lock) => this.#relative(lock));
  }

  /** Tells for each step why it is not to be taken, if somebody has locked what it changes just now. */
  refusals(steps: readonly Step[]): (Failure | undefined)[] {
    const locks = this.#look();
    if (locks.length === 0) return steps.map(() => undefined);
    return steps.map((step) => {
      const changed = "from" in step ? [step.path, step.from] : [step.path];
      const lock = locks.find((lock) => (
        changed.some((path) => overlaps(`/${path}`, `/${this.#relative(lock)}`))
      ));
      if (lock === undefined) return undefined;
      return { code: "SOURCE_CHANGED", message: `Cannot change "${step.path}": ${lock.owner} has locked it` };
    });
  }

  /** What was seen to be locked so far, by path relative to the root. */
  get seen(): ReadonlyMap<string, HeldLock> {
    return this.#seen;
  }

  /** Keys of all locks that made this leave something, those on the root and above it as well. */
  get keys(): ReadonlySet<string> {
    return this.#keys;
  }

  #look(): HeldLock[] {
    const locks = this.#book.list(this.#root);
    for (const { key } of locks) this.#keys.add(key);
    const above = locks.find(({ path }) => overlaps(path, this.#root) && path.length <= this.#root.length);
    if (above !== undefined) {
      throw new WormholeError("BUSY", `Cannot synchronize "${this.#root}": ${above.owner} has locked it`);
    }
    for (const lock of locks) this.#seen.set(this.#relative(lock), lock);
    return locks;
  }

  #relative({ path }: HeldLock): string {
    return path.slice(this.#root === "/" ? 1 : this.#root.length + 1);
  }
}

/** Gives the gitignore pattern for just this path; a line break in it, which no pattern can have, matches any character. */
export function lockPattern(path: string): string {
  return `/${path.replaceAll(/[\\*?[\]!# ]/g, "\\$&").replaceAll(/[\r\n]/g, "?")}`;
}
