/** Merges by a command of the person, in a folder that nobody else sees. */
import type { Clock } from "../base/clock.ts";
import { commandWords } from "../base/command_words.ts";
import { WormholeError } from "../base/errors.ts";
import { join } from "../base/paths.ts";
import { hashBuffer } from "../native/hash.ts";
import type { NativeQueue } from "../native/queue.ts";
import { type Bases, isText } from "./bases.ts";
import { type CommandEnd, runCommand } from "./command.ts";
import type { End, Failure, Staged } from "./end.ts";
import { LocalEnd } from "./local_end.ts";
import { MAX_MERGE_BYTES, type MergeCase, type MergedFile, type Merger, slotOf } from "./merge.ts";
import { STAGING } from "./places.ts";
import { ALPHA, BETA } from "./plan.ts";
import { ALL_ABILITIES } from "./policy.ts";
import type { Snapshot } from "./snapshot.ts";

/** Longest that one merge takes. */
const TIMEOUT_MS = 60_000;

/** Files that are looked at in one call after a run. */
const BATCH = 512;

/** Options of {@linkcode MergeFolder.open}. */
export interface MergeFolderOptions {
  /** Absolute path; it is emptied, and removed at the end. */
  readonly folder: string;
  /** As the person wrote it. */
  readonly command: string;
  readonly bases: Bases;
  readonly queue: NativeQueue;
  readonly clock: Clock;
  onWarning?(sentence: string): void;
  readonly signal?: AbortSignal;
}

/** See `Merger`. Dispose it to remove the folder. */
export class MergeFolder implements Merger, AsyncDisposable {
  readonly end: LocalEnd;
  readonly #options: MergeFolderOptions;
  readonly #words: string[];
  #count = 0;

  private constructor(options: MergeFolderOptions) {
    const { folder, queue, clock } = options;
    this.#options = options;
    this.#words = mergeWords(options.command);
    this.end = new LocalEnd(folder, {
      queue,
      exclude: [],
      oneFileSystem: false,
      abilities: ALL_ABILITIES,
      now: () => clock.now(),
    });
  }

  /** Makes the folder. @throws {WormholeError} INVALID_ARGUMENT for a command that is none; what the disk says. */
  static async open(options: MergeFolderOptions): Promise<MergeFolder> {
    const merger = new MergeFolder(options);
    await merger.#clear();
    await Deno.mkdir(join(options.folder, STAGING), { recursive: true, mode: 0o700 });
    return merger;
  }

  async merge(
    cases: readonly MergeCase[],
    ends: readonly [End, End],
  ): Promise<ReadonlyMap<string, MergedFile>> {
    const merged = new Map<string, MergedFile>();
    const known = cases.flatMap((one) => {
      const base = this.#options.bases.get(one.base);
      if (base !== undefined) return [{ ...one, bytes: base }];
      this.#options.onWarning?.(
        `Cannot merge "${one.path}": what both had in common is not kept (it is of text, from the first run with --merge on)`,
      );
      return [];
    });
    if (known.length === 0) return merged;
    const failed: Map<number, Failure>[] = [];
    for (const side of [ALPHA, BETA] as const) {
      const staged = known.map(({ path, versions }, index) =>
        stagedFile(slotOf(index, side), path, versions[side])
      );
      failed.push(await this.end.stage(staged, ends[side]));
    }
    for (const [index, { path, bytes }] of known.entries()) {
      const slots = [slotOf(index, ALPHA), slotOf(index, BETA)] as const;
      // It changed meanwhile, which the next round sees.
      if (slots.some((slot, side) => failed[side]!.has(slot))) continue;
      const file = await this.#mergeOne(path, bytes, slots);
      if (file !== undefined) merged.set(path, file);
    }
    return merged;
  }

  /** Keeps what files of `agreed` have in them, from whichever end still has it. */
  async remember(agreed: Snapshot, ends: readonly [End, End]): Promise<void> {
    let rows = this.#options.bases.missing(agreed);
    for (const end of ends) {
      const left: number[] = [];
      for (let at = 0; at < rows.length; at += BATCH) {
        const batch = rows.slice(at, at + BATCH);
        const staged = batch.map((row, slot) =>
          stagedFile(slot, pathOf(agreed, row), versionOf(agreed, row))
        );
        const failed = await this.end.stage(staged, end);
        const files = [];
        for (const [slot, row] of batch.entries()) {
          if (failed.has(slot)) left.push(row);
          else files.push({ content: agreed.content(row), bytes: await this.#take(slot) });
        }
        this.#options.bases.add(files);
      }
      rows = left;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#clear();
  }

  async #mergeOne(
    path: string,
    base: Uint8Array,
    [alpha, beta]: readonly [number, number],
  ): Promise<MergedFile | undefined> {
    const { folder, clock, signal, onWarning } = this.#options;
    const versions = [await this.#take(alpha), await this.#take(beta)] as const;
    if (!versions.every(isText)) return undefined;
    const name = `${++this.#count}`;
    // Mergers that know languages go by the end of a name; nothing else of it is anybody's business.
    const [extension = ""] = /\.[A-Za-z0-9]{1,16}$/.exec(path) ?? [];
    const files = {
      A: join(folder, `${name}-alpha${extension}`),
      O: join(folder, `${name}-base${extension}`),
      B: join(folder, `${name}-beta${extension}`),
      M: join(folder, `${name}-merged${extension}`),
    };
    for (const [letter, bytes] of [["A", versions[0]], ["O", base], ["B", versions[1]]] as const) {
      await Deno.writeFile(files[letter], bytes, { mode: 0o600 });
    }
    const ended = await runCommand(this.#words.map((word) => filled(word, files)), {
      cwd: folder,
      env: { WORMHOLE_PATH: path },
      maxOutputBytes: MAX_MERGE_BYTES,
      timeoutMs: TIMEOUT_MS,
      clock,
      ...signal && { signal },
    });
    const refuse = (state: string) => void onWarning?.(`Cannot merge "${path}": ${state}`);
    if (ended.ended !== undefined) return refuse(`the command was ended: ${ended.ended}`);
    // As diff3 and git say it: there are conflicts in it.
    if (ended.code !== 0) {
      return ended.code === 1 || ended.stderr === "" ? undefined : refuse(lastLine(ended));
    }
    const isFile = this.#words.some((word) => word.includes("%M"));
    // Half a file would take the place of two whole ones.
    if (ended.isCut && !isFile) {
      return refuse("somebody whom the command has started holds its standard output");
    }
    const bytes = isFile ? await readSmall(files.M) : ended.stdout;
    if (bytes === undefined) return refuse("the command wrote no file, or one that is too large");
    if (bytes.length === 0 && versions.every((version) => version.length > 0)) {
      return refuse("the command wrote nothing; it has to write to its standard output, or to %M");
    }
    const merged = `${name}-result`;
    await Deno.writeFile(join(folder, merged), bytes, { mode: 0o600 });
    return {
      path: merged,
      size: bytes.length,
      content: hashBuffer(bytes),
      mtime: BigInt(clock.now()) * 1_000_000n,
    };
  }

  /** Reads a staged copy and removes it. */
  async #take(slot: number): Promise<Uint8Array<ArrayBuffer>> {
    const path = join(this.#options.folder, this.end.stagedAt(slot));
    const bytes = await Deno.readFile(path);
    await Deno.remove(path);
    return bytes;
  }

  async #clear(): Promise<void> {
    await Deno.remove(this.#options.folder, { recursive: true }).catch((error) => {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    });
  }
}

/**
 * Gives the words of `--merge CMD`; without placeholders `%A %O %B` come last.
 *
 * @throws {WormholeError} INVALID_ARGUMENT for what is no command.
 */
export function mergeWords(command: string): string[] {
  const words = commandWords(command);
  const letters = words.flatMap((word) => [...word.matchAll(/%(.?)/g)].map(([, letter]) => letter!));
  const unknown = letters.find((letter) => !"AOBM%".includes(letter) || letter === "");
  if (unknown !== undefined) {
    throw new WormholeError(
      "INVALID_ARGUMENT",
      `Cannot merge with ${JSON.stringify(command)}: there are %A, %O, %B, %M and %%, and no "%${unknown}"`,
    );
  }
  return letters.some((letter) => letter !== "%") ? words : [...words, "%A", "%O", "%B"];
}

function filled(word: string, files: Readonly<Record<string, string>>): string {
  return word.replaceAll(/%([AOBM%])/g, (_, letter: string) => letter === "%" ? "%" : files[letter]!);
}

function stagedFile(
  slot: number,
  path: string,
  version: Omit<Staged, "slot" | "path" | "isSymlink">,
): Staged {
  const { size, content, mtime } = version;
  return { slot, path, isSymlink: false, size, content, mode: 0o600, mtime };
}

function versionOf(snapshot: Snapshot, row: number) {
  return {
    size: snapshot.size(row),
    content: snapshot.content(row),
    mtime: snapshot.mtime(row),
    mode: 0o600,
  };
}

function pathOf(snapshot: Snapshot, row: number): string {
  const names = [snapshot.name(row)];
  for (let at = row, depth = snapshot.depth(row); depth > 0;) {
    at--;
    if (snapshot.depth(at) !== depth - 1) continue;
    names.unshift(snapshot.name(at));
    depth--;
  }
  return names.join("/");
}

async function readSmall(path: string): Promise<Uint8Array<ArrayBuffer> | undefined> {
  const stat = await Deno.lstat(path).catch(() => undefined);
  return stat?.isFile && stat.size <= MAX_MERGE_BYTES ? await Deno.readFile(path) : undefined;
}

function lastLine({ code, stderr }: CommandEnd): string {
  return `the command ended with ${code}: ${stderr.split("\n").at(-1)}`;
}
