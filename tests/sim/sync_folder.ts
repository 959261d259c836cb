/** A folder in memory: an end for the real machine of src/sync, a file system for simulated people, and a thing that crashes. */
import type { Done, End, Failure, Known, Scanned, Staged, Step } from "../../src/sync/end.ts";
import { wasSettledWhenRead } from "../../src/store/file_stamp.ts";
import { type Abilities, ALL_ABILITIES } from "../../src/sync/policy.ts";
import { DIRECTORY, FILE, SnapshotBuilder, SYMLINK } from "../../src/sync/snapshot.ts";

/** The machine stopped, or the link was cut, in the middle of something. */
export class SimCrash extends Error {}

interface SimFields {
  readonly kind: number;
  readonly content: number;
  readonly mode: number;
  readonly ino: number;
  /** Changes with the content. */
  readonly mtime: number;
  /** Changes with anything. */
  readonly ctime: number;
}

/** A clock of whole seconds that somebody sets: what happens within one of them has the same times. */
export interface CoarseClock {
  seconds: number;
}

/** What is at a path. `content` is a number that says it all; unique for each version that somebody wrote. */
export class SimEntry implements SimFields {
  readonly kind: number;
  readonly content: number;
  readonly mode: number;
  readonly ino: number;
  readonly mtime: number;
  readonly ctime: number;
  #stamp: Uint8Array | undefined;

  constructor({ kind, content, mode, ino, mtime, ctime }: SimFields) {
    this.kind = kind;
    this.content = content;
    this.mode = mode;
    this.ino = ino;
    this.mtime = mtime;
    this.ctime = ctime;
  }

  /** Gives the entry with other fields. */
  with(fields: Partial<SimFields>): SimEntry {
    return new SimEntry({ ...this, ...fields });
  }

  get size(): number {
    return this.kind === DIRECTORY ? 0 : 1 + this.content % 3;
  }

  get stamp(): Uint8Array {
    if (this.#stamp !== undefined) return this.#stamp;
    const words = new BigInt64Array(5);
    words[1] = BigInt(this.ino);
    words[2] = BigInt(this.size);
    words[3] = BigInt(this.mtime);
    words[4] = BigInt(this.ctime);
    return this.#stamp = new Uint8Array(words.buffer);
  }
}

/** See the top of this file. Paths sort as a walk gives them as long as names have letters, digits, `.`, `-` only. */
export class SimFolder implements End {
  readonly entries = new Map<string, SimEntry>();
  /** Contents of what was displaced. */
  readonly trash: number[] = [];
  /** Steps until a crash. */
  fuse = Infinity;
  /** Called before each step, as somebody who works in the folder meanwhile. */
  meddle: (() => void) | undefined;
  /** Does not look again before it changes something: what the checker must notice. */
  careless = false;
  readonly #staging = new Map<number, SimEntry>();
  readonly #coarse: CoarseClock | undefined;
  #clock = 1;
  #hasLinks = false;

  /** Without a clock no two things happen at the same time. */
  constructor(clock?: CoarseClock) {
    this.#coarse = clock;
  }

  abilities(): Promise<Abilities> {
    return Promise.resolve(ALL_ABILITIES);
  }

  space(): Promise<number> {
    return Promise.resolve(Number.MAX_SAFE_INTEGER);
  }

  ignored(): Promise<string[]> {
    return Promise.resolve([]);
  }

  scan({ snapshot, side }: Known): Promise<Scanned> {
    this.#burn();
    this.#staging.clear(); // what a crashed run left
    const builder = new SnapshotBuilder({ ends: 1, capacity: Math.max(this.entries.size, 1) });
    for (const path of this.sortedPaths()) {
      const entry = this.entries.get(path)!;
      const { stamp } = entry;
      const names = path.split("/");
      builder.add({
        kind: entry.kind,
        depth: names.length - 1,
        name: bytesOf(names.at(-1)!),
        mode: entry.mode,
        size: entry.size,
        mtime: BigInt(entry.mtime),
        content: this.#hashed(path, entry, { snapshot, side }, stamp),
        stamps: [stamp],
        settled: this.#isSettled(stamp) ? 1 : 0,
      });
    }
    return Promise.resolve({ snapshot: builder.finish(), problems: [], isEmpty: this.entries.size === 0 });
  }

  stage(files: readonly Staged[], from: End): Promise<Map<number, Failure>> {
    const failures = new Map<number, Failure>();
    for (const { slot, path, content, mode, mtime } of files) {
      this.#burn();
      const entry = (from as SimFolder).entries.get(path);
      if (entry === undefined || entry.kind === DIRECTORY || !same(contentOf(entry), content)) {
        failures.set(slot, CHANGED);
      } else {
        this.#staging.set(
          slot,
          entry.with({
            mode,
            mtime: Number(mtime),
            ino: this.#tick(),
            ctime: this.#time(),
          }),
        );
      }
    }
    return Promise.resolve(failures);
  }

  change(steps: readonly Step[]): Promise<Done[]> {
    return Promise.resolve(steps.map((step) => {
      this.meddle?.();
      this.#burn();
      return this.#step(step);
    }));
  }

  flush(): Promise<void> {
    return Promise.resolve();
  }

  /** Paths as a walk gives them. */
  sortedPaths(): string[] {
    return [...this.entries.keys()].sort((a, b) => {
      const [x, y] = [a.replaceAll("/", "\0"), b.replaceAll("/", "\0")];
      return x < y ? -1 : x > y ? 1 : 0;
    });
  }

  /** Somebody writes a file or makes a folder; what is above is made, unless a file is there. Tells whether it worked. */
  put(path: string, kind: number, content: number): boolean {
    if (!this.#makeAbove(path)) return false;
    const there = this.entries.get(path);
    if (there?.kind === DIRECTORY) return false;
    const mode = kind === DIRECTORY ? 0o755 : 0o644;
    const entry = new SimEntry({
      kind,
      content,
      mode: there?.mode ?? mode,
      // Written where it is; of another kind it is another thing.
      ino: there?.kind === kind ? there.ino : this.#tick(),
      mtime: this.#time(),
      ctime: this.#time(),
    });
    this.entries.set(path, entry);
    this.#tellNames(entry);
    return true;
  }

  /** Somebody gives a file a second name where nothing is. */
  link(from: string, to: string): void {
    const there = this.entries.get(from);
    if (there?.kind !== FILE || this.entries.has(to) || !this.#makeAbove(to)) return;
    const entry = there.with({ ctime: this.#time() });
    this.entries.set(to, entry);
    this.#hasLinks = true;
    this.#tellNames(entry);
  }

  /** Tells whether a file has other names. */
  isLinked(path: string): boolean {
    return this.#hasLinks && this.#names(this.entries.get(path)!.ino).length > 1;
  }

  /** Somebody deletes something with all that is in it; gives the contents that went. */
  remove(path: string): number[] {
    const gone: number[] = [];
    for (const [at, { kind, content }] of this.entries) {
      if (at !== path && !at.startsWith(`${path}/`)) continue;
      this.#unlink(at);
      if (kind !== DIRECTORY) gone.push(content);
    }
    return gone;
  }

  /** Somebody moves something to where nothing is. */
  move(from: string, to: string): void {
    if (this.entries.has(to) || to === from || to.startsWith(`${from}/`) || !this.#makeAbove(to)) return;
    for (const [at, entry] of [...this.entries]) {
      if (at !== from && !at.startsWith(`${from}/`)) continue;
      this.entries.delete(at);
      const moved = entry.with({ ctime: this.#time() });
      this.entries.set(to + at.slice(from.length), moved);
      this.#tellNames(moved);
    }
  }

  /** Somebody changes permissions. */
  chmod(path: string, mode: number): void {
    const entry = this.entries.get(path)!;
    if (entry.kind === SYMLINK) return;
    const changed = entry.with({ mode, ctime: this.#time() });
    this.entries.set(path, changed);
    this.#tellNames(changed);
  }

  /** Everything that is visible, as text. */
  toString(): string {
    return this.sortedPaths().map((path) => {
      const { kind, content, mode } = this.entries.get(path)!;
      return `${path} ${kind === DIRECTORY ? "/" : kind === SYMLINK ? `->${content}` : content} ${
        mode.toString(8)
      }`;
    }).join("\n");
  }

  #step(step: Step): Done {
    const { path } = step;
    const there = this.entries.get(path);
    if (step.do !== "drop" && !this.#hasParent(path) && step.do !== "move") return CHANGED;
    switch (step.do) {
      case "make":
        if (there === undefined) {
          this.entries.set(
            path,
            new SimEntry({ kind: DIRECTORY, content: 0, mode: step.mode, ...this.#times() }),
          );
        } else if (there.kind !== DIRECTORY) return CHANGED;
        return { stamp: this.entries.get(path)!.stamp };
      case "put": {
        const staged = this.#staging.get(step.slot);
        if (staged === undefined) throw new Error(`slot ${step.slot} was not staged`);
        if (step.was === undefined) {
          if (there !== undefined && !this.careless) return CHANGED;
        } else {
          if (!this.#isStill(there, step.was)) return CHANGED;
          if (step.keep === undefined) this.trash.push(there!.content);
          else if (this.entries.has(step.keep)) return CHANGED;
          else {
            // In two: the new one first, which a crash leaves there.
            this.entries.set(step.keep, staged);
            this.#burn();
            this.entries.set(step.keep, there!.with({ ctime: this.#time() }));
          }
        }
        this.#staging.delete(step.slot);
        if (there !== undefined) this.#unlink(path);
        this.entries.set(path, staged.with({ ctime: this.#time() }));
        return { stamp: this.entries.get(path)!.stamp };
      }
      case "take":
        if (!this.#isStill(there, step.was) || there!.kind === DIRECTORY) return CHANGED;
        if (!this.careless) this.trash.push(there!.content);
        this.#unlink(path);
        return {};
      case "drop":
        if (there === undefined) return {};
        if (there.kind !== DIRECTORY || this.#below(path)) return CHANGED;
        this.entries.delete(path);
        return {};
      case "move": {
        const from = this.entries.get(step.from);
        if (!this.#isStill(from, step.was) || there !== undefined || !this.#hasParent(path)) return CHANGED;
        this.move(step.from, path);
        return { stamp: this.entries.get(path)!.stamp };
      }
      case "mode":
        if (!this.#isStill(there, step.was)) return CHANGED;
        this.chmod(path, step.mode);
        return { stamp: this.entries.get(path)!.stamp };
    }
  }

  #isStill(entry: SimEntry | undefined, was: Uint8Array): boolean {
    if (entry === undefined) return false;
    if (this.careless) return true;
    // Of a folder only that it is the same one; each name of a file changes the ctime of the others.
    const isLinked = this.#hasLinks && this.#names(entry.ino).length > 1;
    const bytes = entry.kind === DIRECTORY ? 16 : isLinked ? 32 : 40;
    return same(entry.stamp.subarray(0, bytes), was.subarray(0, bytes));
  }

  /** Tells whether what is done from now on cannot leave this stamp as it is. */
  #isSettled(stamp: Uint8Array): boolean {
    return this.#coarse === undefined ||
      wasSettledWhenRead(stamp as Uint8Array<ArrayBuffer>, this.#coarse.seconds * 1000);
  }

  #names(ino: number): string[] {
    return [...this.entries].flatMap(([path, entry]) => entry.ino === ino ? [path] : []);
  }

  /** All names of a file show the same. */
  #tellNames(entry: SimEntry): void {
    if (entry.kind !== FILE || !this.#hasLinks) return;
    for (const path of this.#names(entry.ino)) this.entries.set(path, entry);
  }

  /** Takes a name away, which the other names of the file show. */
  #unlink(path: string): void {
    const entry = this.entries.get(path);
    this.entries.delete(path);
    if (entry !== undefined) this.#tellNames(entry.with({ ctime: this.#time() }));
  }

  /** As a real scan: what still has the stamp of the last time is not read. */
  #hashed(path: string, entry: SimEntry, { snapshot, side }: Known, stamp: Uint8Array): Uint8Array {
    const row = entry.kind === FILE ? snapshot.find(path) : -1;
    if (row < 0 || snapshot.kind(row) !== FILE || !snapshot.isSettled(row, side)) return contentOf(entry);
    return same(snapshot.stamp(row, side), stamp) ? snapshot.content(row) : contentOf(entry);
  }

  #makeAbove(path: string): boolean {
    const names = path.split("/");
    for (let depth = 1; depth < names.length; depth++) {
      const above = names.slice(0, depth).join("/");
      const there = this.entries.get(above);
      if (there === undefined) {
        this.entries.set(above, new SimEntry({ kind: DIRECTORY, content: 0, mode: 0o755, ...this.#times() }));
      } else if (there.kind !== DIRECTORY) return false;
    }
    return true;
  }

  #hasParent(path: string): boolean {
    const cut = path.lastIndexOf("/");
    return cut < 0 || this.entries.get(path.slice(0, cut))?.kind === DIRECTORY;
  }

  #below(path: string): boolean {
    for (const at of this.entries.keys()) if (at.startsWith(`${path}/`)) return true;
    return false;
  }

  #times(): Pick<SimEntry, "ino" | "mtime" | "ctime"> {
    return { ino: this.#tick(), mtime: this.#time(), ctime: this.#time() };
  }

  /** In ns where a clock was given. */
  #time(): number {
    const tick = this.#tick();
    return this.#coarse === undefined ? tick : this.#coarse.seconds * 1e9;
  }

  #tick(): number {
    return this.#clock++;
  }

  #burn(): void {
    if (--this.fuse < 0) throw new SimCrash();
  }
}

const CHANGED: Failure = { code: "SOURCE_CHANGED", message: "it changed meanwhile" };

const BYTES = new Map<string, Uint8Array>();

/** The same few names come again and again. */
function bytesOf(name: string): Uint8Array {
  let bytes = BYTES.get(name);
  if (bytes === undefined) BYTES.set(name, bytes = new TextEncoder().encode(name));
  return bytes;
}

const CONTENTS: Uint8Array[] = [];

function contentOf({ kind, content }: SimEntry): Uint8Array {
  const number = kind === DIRECTORY ? 0 : content;
  let bytes = CONTENTS[number];
  if (bytes === undefined) {
    CONTENTS[number] = bytes = new Uint8Array(32);
    new DataView(bytes.buffer).setUint32(0, number, true);
  }
  return bytes;
}

function same(a: Uint8Array, b: Uint8Array): boolean {
  for (let at = 0; at < a.length; at++) if (a[at] !== b[at]) return false;
  return true;
}
