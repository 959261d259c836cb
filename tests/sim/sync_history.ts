/**
 * Random histories of people, crashes and cut links on two or three replicas, kept the same by the real machine: nothing
 * that somebody wrote and nobody touched afterwards is ever lost, and all replicas end the same.
 */
import type { MergedFile, Merger } from "../../src/sync/merge.ts";
import { ALPHA, BETA } from "../../src/sync/plan.ts";
import type { Mode, Preference } from "../../src/sync/policy.ts";
import type { reconcile } from "../../src/sync/reconcile.ts";
import { DIRECTORY, FILE, Snapshot, SYMLINK } from "../../src/sync/snapshot.ts";
import { type SyncEvent, synchronize } from "../../src/sync/synchronize.ts";
import { seeded } from "./random.ts";
import { type CoarseClock, SimCrash, SimFolder } from "./sync_folder.ts";

/** Options of {@linkcode runHistory}. */
export interface HistoryOptions {
  readonly seed: number;
  readonly replicas: 2 | 3;
  readonly mode: Mode;
  readonly prefer?: Preference;
  /** Both's edits of a file are merged, where what it was is known. */
  readonly merges?: boolean;
  /** Clocks step by whole seconds, in which much can happen, and files have several names. */
  readonly odd?: boolean;
  /** What is to be found out. */
  readonly fault?: {
    readonly careless?: boolean;
    readonly guessesAncestor?: boolean;
    readonly halfMerges?: boolean;
    readonly reconcile?: typeof reconcile;
  };
}

const NAMES = ["a", "b", "c"];

/** Passes over all pairs after which everything must be quiet: conflict copies of conflict copies take a few. */
const MAX_PASSES = 10;

const NOTHING_KNOWN = Snapshot.empty(2);

/** Runs one history. Throws what is wrong, with what happened. */
export async function runHistory(options: HistoryOptions): Promise<void> {
  const world = new World(options);
  try {
    await world.live();
    await world.settle();
    world.check();
  } catch (error) {
    const text = error instanceof Error ? error.stack : String(error);
    throw new Error(`history ${JSON.stringify(options)}:\n${world.log.join("\n")}\n${text}`, {
      cause: error,
    });
  }
}

class World {
  readonly log: string[] = [];
  readonly #options: HistoryOptions;
  readonly #random: () => number;
  readonly #folders: SimFolder[];
  readonly #pairs: [number, number][];
  /** What each pair has in common; gone when its database is. */
  readonly #ancestors = new Map<string, Snapshot>();
  /** Versions that somebody overwrote or deleted: they may go. */
  readonly #touched = new Set<number>();
  readonly #written = new Set<number>();
  /** What each version that a merge made has in it. */
  readonly #mergedFrom = new Map<number, readonly [number, number]>();
  readonly #clock: CoarseClock | undefined;
  #next = 1;
  #conflicts = 0;

  constructor(options: HistoryOptions) {
    this.#options = options;
    this.#random = seeded(options.seed);
    if (options.odd) this.#clock = { seconds: 1e9 };
    this.#folders = Array.from({ length: options.replicas }, () => new SimFolder(this.#clock));
    // A chain: in a ring a deletion and a new file can chase each other (docs/design/sync.md §8).
    this.#pairs = options.replicas === 2 ? [[0, 1]] : [[0, 1], [1, 2]];
    for (const folder of this.#folders) folder.careless = options.fault?.careless ?? false;
  }

  /** People work, machines crash, links are cut. */
  async live(): Promise<void> {
    for (let left = 4 + this.#below(7); left > 0; left--) {
      const dice = this.#random();
      if (dice < 0.62) this.#act(this.#below(this.#folders.length));
      else if (dice < 0.96) await this.#run(this.#pairs[this.#below(this.#pairs.length)]!, true);
      else {
        const [a, b] = this.#pairs[this.#below(this.#pairs.length)]!;
        this.log.push(`database of ${a}-${b} is gone`);
        this.#ancestors.delete(`${a}-${b}`);
      }
    }
  }

  /** Everything works, and nobody does anything, until nothing happens any more. */
  async settle(): Promise<void> {
    for (let pass = 0; pass < MAX_PASSES; pass++) {
      let changes = 0;
      if (this.#clock) this.#clock.seconds += 10;
      for (const pair of this.#pairs) changes += await this.#run(pair, false);
      if (changes === 0) return;
    }
    throw new Error(`it does not come to rest:\n${this.#folders.join("\n--\n")}`);
  }

  check(): void {
    const trees = this.#folders.map(String);
    const isOneWay = this.#options.mode.startsWith("one-way");
    if (this.#options.mode !== "one-way-safe" && trees.some((tree) => tree !== trees[0])) {
      throw new Error(`they differ:\n${trees.join("\n--\n")}`);
    }
    if (this.#options.mode === "one-way-safe") this.#checkContained();
    const visible = this.#folders.map(contentsOf);
    for (const content of this.#written) {
      if (this.#touched.has(content)) continue;
      const isVisible = visible.some((contents) => [...contents].some((one) => this.#holds(one, content)));
      const isKept = isVisible || this.#folders.some(({ trash }) => trash.includes(content));
      // What was written within the second of the version that a run has seen can only be kept, not told from it.
      const mustBeVisible = !this.#options.odd &&
        (this.#options.mode === "two-way-safe" || this.#options.mode === "one-way-safe");
      if (mustBeVisible ? !isVisible : !isKept) {
        throw new Error(`version ${content} is lost:\n${trees.join("\n--\n")}`);
      }
    }
    if (isOneWay && this.#alphaChanges > 0) throw new Error("alpha was changed, one way");
  }

  /** Tells whether a version is `content`, or was merged from it. */
  #holds(version: number, content: number): boolean {
    return version === content ||
      (this.#mergedFrom.get(version)?.some((parent) => this.#holds(parent, content)) ?? false);
  }

  /** Somebody overwrote or deleted a version, and all that was merged into it. */
  #touch(content: number): void {
    this.#touched.add(content);
    for (const parent of this.#mergedFrom.get(content) ?? []) this.#touch(parent);
  }

  #alphaChanges = 0;

  #checkContained(): void {
    const [alpha, beta] = this.#folders as [SimFolder, SimFolder];
    for (const [path, { kind, content }] of alpha.entries) {
      const there = beta.entries.get(path);
      if (there?.kind !== kind || there.content !== content) {
        throw new Error(`beta lacks ${path}:\n${alpha}\n--\n${beta}`);
      }
    }
  }

  /** Somebody does something. */
  #act(index: number): void {
    const folder = this.#folders[index]!;
    const paths = [...folder.entries.keys()];
    const some = paths[this.#below(paths.length)];
    if (this.#clock) {
      if (this.#random() < 0.5) this.#clock.seconds += 1 + this.#below(4);
      if (some !== undefined && this.#random() < 0.15) {
        const to = this.#path();
        this.log.push(`${index}: link ${some} to ${to}`);
        return folder.link(some, to);
      }
    }
    const dice = this.#random();
    if (some === undefined || dice < 0.4) {
      return this.#write(index, this.#path(), this.#random() < 0.1 ? SYMLINK : FILE);
    }
    if (dice < 0.6) {
      const entry = folder.entries.get(some)!;
      if (entry.kind === DIRECTORY) return this.#write(index, `${some}/${this.#name()}`, FILE);
      return this.#write(index, some, entry.kind);
    }
    if (dice < 0.75) {
      this.log.push(`${index}: delete ${some}`);
      for (const content of folder.remove(some)) this.#touch(content);
    } else if (dice < 0.88) {
      const to = this.#path();
      this.log.push(`${index}: move ${some} to ${to}`);
      folder.move(some, to);
    } else if (dice < 0.95) {
      // What was a file becomes a folder, and the other way round.
      const kind = folder.entries.get(some)!.kind;
      this.log.push(`${index}: change the type of ${some}`);
      for (const content of folder.remove(some)) this.#touch(content);
      this.#write(index, kind === DIRECTORY ? some : `${some}/${this.#name()}`, FILE);
    } else if (!folder.isLinked(some)) {
      // Permissions that both ends give to several names of one file go to and fro.
      this.log.push(`${index}: chmod ${some}`);
      folder.chmod(some, this.#random() < 0.5 ? 0o700 : 0o600);
    }
  }

  #write(index: number, path: string, kind: number): void {
    const folder = this.#folders[index]!;
    const there = folder.entries.get(path);
    const content = this.#next++;
    if (!folder.put(path, kind, content)) return;
    this.log.push(`${index}: write ${path} = ${content}`);
    this.#written.add(content);
    if (there !== undefined) this.#touch(there.content);
  }

  /** Runs one synchronization; gives the changes it made. */
  async #run([a, b]: [number, number], rough: boolean): Promise<number> {
    const { mode, prefer = "alpha", fault } = this.#options;
    const ends = [this.#folders[a]!, this.#folders[b]!] as const;
    const key = `${a}-${b}`;
    // Outside of what can crash.
    for (const end of ends) end.fuse = Infinity;
    const known = this.#ancestors.get(key) ??
      (fault?.guessesAncestor ? await guessed(ends[0]) : NOTHING_KNOWN);
    for (const end of ends) {
      end.fuse = rough && this.#random() < 0.2 ? this.#below(14) : Infinity;
      end.meddle = undefined;
    }
    const meddler = this.#below(2) as 0 | 1;
    if (rough && this.#random() < 0.3) {
      ends[meddler].meddle = () => {
        if (this.#clock) this.#clock.seconds += this.#below(4);
        if (this.#random() < 0.3) this.#act(meddler === 0 ? a : b);
      };
    }
    this.log.push(`sync ${key}`);
    try {
      const outcome = await synchronize({
        ends,
        names: [String(a), String(b)],
        policy: {
          mode,
          prefer,
          permissions: "all",
          conflictName: (path) => `${path}.conflict-${++this.#conflicts}`,
        },
        maxDelete: { files: Infinity },
        confirm: () => Promise.resolve(true),
        ancestor: known,
        ...this.#options.merges && { merger: this.#merger() },
        save: (agreed) => void this.#ancestors.set(key, agreed),
        now: () => this.#clock === undefined ? 1e12 : this.#clock.seconds * 1000,
        onEvent: (event) => this.log.push(`  ${told(event)}`),
        ...fault?.reconcile && { reconcile: fault.reconcile },
      });
      if (outcome.problems > 0) throw new Error("there were problems");
      this.#alphaChanges += outcome.changes[ALPHA];
      return outcome.changes[ALPHA] + outcome.changes[BETA];
    } catch (error) {
      if (!(error instanceof SimCrash)) throw error;
      this.log.push(`  crashed`);
      return 1;
    } finally {
      for (const end of ends) end.meddle = undefined;
    }
  }

  /** Merges most of what it is asked to, into versions that have both in them. */
  #merger(): Merger {
    const end = new SimFolder();
    return {
      end,
      merge: (cases) => {
        const merged = new Map<string, MergedFile>();
        for (const { path, versions: [alpha, beta] } of cases) {
          if (this.#random() < 0.3) continue;
          const content = this.#next++;
          const [a, b] = [numberOf(alpha.content), numberOf(beta.content)];
          this.#mergedFrom.set(content, this.#options.fault?.halfMerges ? [a, a] : [a, b]);
          this.log.push(`  merge ${path} = ${content} of ${a} and ${b}`);
          end.put(`merged-${content}`, FILE, content);
          const { size, mtime } = end.entries.get(`merged-${content}`)!;
          const bytes = new Uint8Array(32);
          new DataView(bytes.buffer).setUint32(0, content, true);
          merged.set(path, { path: `merged-${content}`, size, mtime: BigInt(mtime), content: bytes });
        }
        return Promise.resolve(merged);
      },
    };
  }

  #path(): string {
    const names = [this.#name()];
    while (names.length < 3 && this.#random() < 0.4) names.push(this.#name());
    return names.join("/");
  }

  #name(): string {
    return NAMES[this.#below(NAMES.length)]!;
  }

  #below(limit: number): number {
    return Math.floor(this.#random() * limit);
  }
}

async function guessed(alpha: SimFolder): Promise<Snapshot> {
  const { count, columns } = (await alpha.scan({ snapshot: NOTHING_KNOWN, side: 0 })).snapshot;
  return new Snapshot(count, { ...columns, stamps: [columns.stamps[0]!, columns.stamps[0]!] });
}

function numberOf(content: Uint8Array): number {
  return new DataView(content.buffer, content.byteOffset).getUint32(0, true);
}

function told(event: SyncEvent): string {
  if (event.kind === "merged" || event.kind === "locked") return `${event.kind}: ${event.path}`;
  if (event.kind === "change") {
    const { change } = event;
    const from = change.do === "move" ? ` from ${change.from}` : "";
    return `${"ab"[event.side]}: ${change.do} ${change.path}${from}`;
  }
  return event.kind === "conflict" ? `conflict: ${JSON.stringify(event.conflict)}` : event.message;
}

function contentsOf(folder: SimFolder): Set<number> {
  const contents = new Set<number>();
  for (const { kind, content } of folder.entries.values()) if (kind !== DIRECTORY) contents.add(content);
  return contents;
}
