/** A folder of this machine as one end. */
import { WormholeError } from "../base/errors.ts";
import { join } from "../base/paths.ts";
import { diskSpace, type Space } from "../native/files.ts";
import type { NativeQueue } from "../native/queue.ts";
import type { Walk } from "../native/walk.ts";
import { changeFolder, flushFolder, type NativeStep, stageFiles } from "../native/sync.ts";
import {
  type Done,
  type End,
  type Failure,
  gives,
  isFailure,
  type Known,
  type Scanned,
  type Staged,
  type Step,
} from "./end.ts";
import { ignoreRules } from "./ignore_rules.ts";
import { lockPattern, type LocksBelow } from "./locks_below.ts";
import { type SummedWalk, sumWalk } from "./open_walk.ts";
import { STAGING, TRASH, trashName } from "./places.ts";
import type { Abilities } from "./policy.ts";
import { scanFolder, type ScanOptions } from "./scan.ts";
import { type Snapshot, stampAt } from "./snapshot.ts";

/** Room that a disk keeps free, for what else is done there: so many bytes, of a small one such a part. */
const SPARE_BYTES = 64 * 1024 * 1024, SPARE_SHARE = 1 / 32;

/** Options of {@linkcode LocalEnd}. */
export interface LocalEndOptions extends Omit<ScanOptions, "ahead"> {
  /** Gives a walk with these rules that has begun already, if there is one. */
  ahead?(rules: readonly string[]): SummedWalk | undefined;
  /** Throws when the root is not the folder any more that it was when it was locked; what is seen or done there counts for nothing. */
  assertThere?(): void;
  /** What somebody has locked in the root, relative to it; what is in it belongs to it. */
  readonly locks?: LocksBelow;
  /** What its file system can do (`probe.ts`). */
  readonly abilities: Abilities;
}

/** See `End`. The folder has to be locked and prepared (`own_folder.ts`). */
export class LocalEnd implements End {
  readonly root: string;
  readonly #options: LocalEndOptions;
  readonly #scanning: ScanOptions;
  readonly #queue: NativeQueue;
  readonly #trash: string;
  #round = 0;
  #scanned: Snapshot | undefined;
  /** A walk that is summed up and not taken yet, with its rules. */
  #ahead: { readonly walk: Promise<Walk>; readonly rules: string } | undefined;
  /** Where what came from another machine is, by slot, relative to the root. */
  readonly #arrived = new Map<number, string>();

  /** `root` is absolute. */
  constructor(root: string, options: LocalEndOptions) {
    this.root = root;
    this.#options = options;
    const { ahead: _, ...scanning } = options;
    this.#scanning = scanning;
    this.#queue = options.queue;
    this.#trash = `${TRASH}/${trashName(options.now())}`;
  }

  abilities(): Promise<Abilities> {
    return Promise.resolve(this.#options.abilities);
  }

  async ignored(): Promise<string[]> {
    const rules = await ignoreRules(this.root);
    // Last, so that no rule of the file here takes it back.
    return [...rules, ...(this.#options.locks?.paths() ?? []).map(lockPattern)];
  }

  /** What the last scan saw. */
  get scanned(): Snapshot | undefined {
    return this.#scanned;
  }

  async mark(exclude: readonly string[]): Promise<Uint8Array | undefined> {
    await this.leave();
    const ahead = this.#options.ahead?.(exclude) ?? sumWalk(this.root, exclude, this.#options);
    this.#ahead = { walk: ahead.walk, rules: exclude.join("\n") };
    return await ahead.sum;
  }

  /** Forgets what was looked at ahead of a scan that does not follow. */
  async leave(): Promise<void> {
    const walk = await this.#taken();
    await walk?.[Symbol.asyncDispose]();
  }

  async scan(known: Known): Promise<Scanned> {
    this.#round++;
    this.#arrived.clear();
    if (this.#ahead?.rules !== (known.exclude ?? []).join("\n")) await this.leave();
    const ahead = await this.#taken();
    const scanned = await scanFolder(this.root, known, { ...this.#scanning, ...ahead && { ahead } });
    // What is not there because its disk is not would look deleted.
    this.#options.assertThere?.();
    this.#scanned = scanned.snapshot;
    return scanned;
  }

  /** Gives the walk that was begun ahead, which is nobody's else then. */
  async #taken(): Promise<Walk | undefined> {
    const walk = this.#ahead?.walk;
    this.#ahead = undefined;
    // What could not be begun failed for whoever asked for the mark, and a scan tries once more.
    return await walk?.catch(() => undefined);
  }

  async space(): Promise<number> {
    return roomIn(await diskSpace(this.#queue, this.root));
  }

  async stage(files: readonly Staged[], from: End): Promise<Map<number, Failure>> {
    // What came under these numbers before is not what they name now.
    for (const { slot } of files) this.#arrived.delete(slot);
    if (gives(from)) return await from.give(files, this);
    if (!(from instanceof LocalEnd)) {
      throw new WormholeError(
        "UNSUPPORTED",
        `Cannot copy into "${this.root}": the other end is no local folder`,
      );
    }
    const failed = await stageFiles(this.#queue, {
      source: from.root,
      root: this.root,
      files: files.map(({ slot, path, isSymlink, size, content, mode, mtime }) => (
        { path, to: this.#slot(slot), symlink: isSymlink, size, content, mode, mtime }
      )),
    }, { ...this.#options.signal && { signal: this.#options.signal } });
    return new Map(failed.map(({ index, code, message }) => [files[index]!.slot, { code, message }]));
  }

  async change(steps: readonly Step[]): Promise<Done[]> {
    this.#options.assertThere?.();
    // What was locked after the scan is left for the next round.
    const refusals = this.#options.locks?.refusals(steps);
    const done: Done[] = steps.map((_, index) => refusals?.[index] ?? {});
    const free = steps.flatMap((_, index) => isFailure(done[index]!) ? [] : [index]);
    const native = free.map((index) => this.#native(steps[index]!));
    const { stamps, failed } = await changeFolder(this.#queue, { root: this.root, steps: native });
    for (const [i, index] of free.entries()) {
      const stamp = stampAt(stamps, i);
      done[index] = stamp.some((byte) => byte !== 0) ? { stamp } : {};
    }
    for (const { index, code, message } of failed) done[free[index]!] = { code, message };
    return done;
  }

  async flush(): Promise<void> {
    await flushFolder(this.#queue, this.root);
    // What was placed elsewhere must not be taken for agreed.
    this.#options.assertThere?.();
  }

  /** Gives where the copy of a slot that was staged is, relative to the root. */
  stagedAt(slot: number): string {
    return this.#slot(slot);
  }

  #native(step: Step): NativeStep {
    switch (step.do) {
      case "put": {
        const { path, slot, was, keep = join(this.#trash, path) } = step;
        return { do: "put", path, from: this.#slot(slot), ...was && { was, keep } };
      }
      case "take":
        return { ...step, keep: join(this.#trash, step.path) };
      default:
        return step;
    }
  }

  /** Takes files that came from another machine, checked, by slot: paths relative to the root. */
  arrived(paths: ReadonlyMap<number, string>): void {
    for (const [slot, path] of paths) this.#arrived.set(slot, path);
  }

  /** Gives where the copy of a slot is to be staged, relative to the root. */
  stagingFor(slot: number): string {
    return `${STAGING}/${this.#round}-${slot}`;
  }

  #slot(slot: number): string {
    return this.#arrived.get(slot) ?? this.stagingFor(slot);
  }
}

/** Gives how much sync may write to a disk. */
export function roomIn({ available, total }: Space): number {
  return Math.max(0, available - Math.min(SPARE_BYTES, Math.floor(total * SPARE_SHARE)));
}
