/**
 * What a folder of this machine gets from another one: files under the hex of their content in a folder of sync's own, where
 * they stay when a run is cut off, and from where another run takes them. Nothing is used without having been hashed here.
 */
import { sameBytes } from "../../base/bytes.ts";
import { isWormholeError, WormholeError } from "../../base/errors.ts";
import { encodeName } from "../../base/names.ts";
import { join } from "../../base/paths.ts";
import { hashBuffer, hashChunks, hashFiles, MAX_HASHED } from "../../native/hash.ts";
import { fileLooks, fileStamps, MAX_STAMPS } from "../../native/reuse.ts";
import { changeFolder, type NativeStep, stageFiles } from "../../native/sync.ts";
import { type Offer, runGetter } from "../../transfer/mod.ts";
import type { PeerConnection } from "../../transport/mod.ts";
import { CHUNK_BYTES } from "../../wire/mod.ts";
import type { Failure, Staged } from "../end.ts";
import type { LocalEnd } from "../local_end.ts";
import { PathFinder } from "../path_finder.ts";
import { ARRIVED } from "../places.ts";
import { FILE, stampAt } from "../snapshot.ts";
import { u16s } from "./columns.ts";
import { LINKS } from "./outgoing.ts";
import type { TransferSettings } from "./settings.ts";

/** From this size on a transfer asks for older versions. */
const MIN_OLDER_BYTES = 128 * 1024;

/** Paths that a transfer is listed by, and how long their list is, in UTF-16 units: paths of 64 KiB help nobody. */
const MAX_LABEL_PATHS = 3, MAX_LABEL_LENGTH = 400;

/** See the top of this file. One for each run. */
export class Incoming {
  readonly #end: LocalEnd;
  readonly #settings: TransferSettings;
  readonly #folder: string;
  /** Contents that are there and were hashed in this run, with the permissions that they had just before that. */
  readonly #checked = new Map<string, number>();
  /** Contents that a slot of this round has. */
  readonly #taken = new Set<string>();

  constructor(end: LocalEnd, settings: TransferSettings) {
    this.#end = end;
    this.#settings = settings;
    this.#folder = join(end.root, ARRIVED);
  }

  /** A round begins: what an earlier one took may be gone. */
  begin(): void {
    this.#checked.clear();
    this.#taken.clear();
  }

  /** Gives the slots whose content came earlier and is whole. */
  async held(files: readonly Staged[]): Promise<Set<number>> {
    await Deno.mkdir(this.#folder, { recursive: true, mode: 0o700 });
    const there = new Set<string>();
    for await (const { name, isFile } of Deno.readDir(this.#folder)) if (isFile) there.add(name);
    // Somebody may have taken it away since.
    for (const hex of this.#checked.keys()) {
      if (there.has(hex)) continue;
      this.#checked.delete(hex);
      this.#taken.delete(hex);
    }
    const known = there.size === 0
      ? []
      : files.filter(({ isSymlink, content }) => !isSymlink && there.has(content.toHex()));
    await this.#check(known);
    return new Set(known.filter(({ content }) => this.#checked.has(content.toHex())).map(({ slot }) => slot));
  }

  /** Takes one transfer of contents. @throws {WormholeError} what `runGetter` throws. */
  async receive(
    connection: PeerConnection,
    files: readonly Staged[],
    { signal }: { signal: AbortSignal },
  ): Promise<void> {
    const wanted = new Map(
      files.filter(({ isSymlink }) => !isSymlink).map((file) => [file.content.toHex(), file]),
    );
    await Deno.mkdir(this.#folder, { recursive: true, mode: 0o700 });
    await Deno.remove(join(this.#folder, LINKS), { recursive: true }).catch(ignoreMissing);
    const older = await this.#older([...wanted.values()]);
    await runGetter({
      ...this.#settings,
      connection,
      destination: this.#folder,
      label: labelOf(files),
      accept: (offer) => {
        assertAsked(offer, wanted);
        return { accept: true, existing: "overwrite" };
      },
      // Only what the scan of this side sees is changed through it; where it leads matters to nobody here.
      unsafeLinks: true,
      olderAt: ([name, ...below]) => {
        const path = below.length === 0 ? older.get(name!) : undefined;
        return path && join(this.#end.root, path);
      },
      signal,
    });
  }

  /** Checks what has come and hands it to the folder; gives what did not come, or is not what was wanted, by slot. */
  async take(files: readonly Staged[]): Promise<Map<number, Failure>> {
    const failed = new Map<number, Failure>();
    const regular = files.filter(({ isSymlink }) => !isSymlink);
    await this.#check(regular);
    const first: Staged[] = [], copies: Staged[] = [];
    for (const file of regular) {
      const hex = file.content.toHex();
      if (!this.#checked.has(hex)) failed.set(file.slot, missing(file.path));
      else if (this.#taken.has(hex)) copies.push(file);
      else {
        this.#taken.add(hex);
        first.push(file);
      }
    }
    // Copies before the permissions: the original may become unreadable.
    const { queue } = this.#settings;
    const { root } = this.#end;
    const others = [
      ...copies.map((file) => ({ file, path: `${ARRIVED}/${file.content.toHex()}` })),
      ...files.filter(({ isSymlink }) => isSymlink).map((file) => (
        { file, path: `${ARRIVED}/${LINKS}/${file.slot}` }
      )),
    ];
    if (others.length > 0) {
      const results = await stageFiles(queue, {
        source: root,
        root,
        files: others.map(({ file: { slot, isSymlink: symlink, size, content, mode, mtime }, path }) => (
          { path, to: this.#end.stagingFor(slot), symlink, size, content, mode, mtime }
        )),
      });
      for (const { index, code, message } of results) failed.set(others[index]!.file.slot, { code, message });
    }
    await this.#setModes(first, failed);
    this.#end.arrived(new Map(first.map(({ slot, content }) => [slot, `${ARRIVED}/${content.toHex()}`])));
    return failed;
  }

  /** The run is over, and nothing of what is left will be wanted. */
  async clear(): Promise<void> {
    await Deno.remove(this.#folder, { recursive: true }).catch(ignoreMissing);
  }

  /**
   * Gives by content where older versions of files are: only those that the last scan saw and that are as it saw them. A path alone
   * may lead out of the folder by now, and whoever sends would learn how much of what is there it has guessed.
   */
  async #older(files: readonly Staged[]): Promise<Map<string, string>> {
    const older = new Map<string, string>();
    const { scanned, root } = this.#end;
    const large = files.filter(({ size }) => size >= MIN_OLDER_BYTES);
    if (scanned === undefined || large.length === 0) return older;
    const finder = new PathFinder(scanned);
    const rows = new Map(large.map(({ path }) => [path, finder.find(path)]));
    const there = large.filter(({ path }) => scanned.kind(rows.get(path)!) === FILE);
    for (let at = 0; at < there.length; at += MAX_STAMPS) {
      const some = there.slice(at, at + MAX_STAMPS);
      const stamps = await fileStamps(
        this.#settings.queue,
        some.map(({ path }) => encodeName(join(root, path))),
      );
      for (const [i, { path, content }] of some.entries()) {
        if (sameBytes(stampAt(stamps, i), scanned.stamp(rows.get(path)!))) older.set(content.toHex(), path);
      }
    }
    return older;
  }

  /** Hashes what is there of these contents; what is damaged is removed. */
  async #check(files: readonly Staged[]): Promise<void> {
    const unchecked = new Map(
      files.map((file) => [file.content.toHex(), file] as const).filter(([hex]) => !this.#checked.has(hex)),
    );
    const modes = await this.#modes([...unchecked.keys()]);
    for (const hex of [...unchecked.keys()].filter((hex) => !modes.has(hex))) {
      unchecked.delete(hex);
      await this.#drop(hex);
    }
    const small = [...unchecked].filter(([, { size }]) => size <= CHUNK_BYTES);
    for (let at = 0; at < small.length; at += MAX_HASHED) {
      const some = small.slice(at, at + MAX_HASHED);
      const sums = await hashFiles(this.#settings.queue, some.map(([hex]) => join(this.#folder, hex)));
      for (const [i, [hex, { size }]] of some.entries()) {
        const sum = sums[i]!;
        if ("hash" in sum && sum.hash === hex && sum.bytes === size) this.#checked.set(hex, modes.get(hex)!);
        else await this.#drop(hex);
      }
    }
    for (const [hex, { size }] of unchecked) {
      if (size <= CHUNK_BYTES) continue;
      if (await this.#isWhole(hex, size)) this.#checked.set(hex, modes.get(hex)!);
      else await this.#drop(hex);
    }
  }

  /** Gives the permissions of those that are there and are regular files: a symlink would lead the hashing elsewhere. */
  async #modes(names: readonly string[]): Promise<Map<string, number>> {
    const found = new Map<string, number>();
    for (let at = 0; at < names.length; at += MAX_STAMPS) {
      const some = names.slice(at, at + MAX_STAMPS);
      const { stamps, modes } = await fileLooks(this.#settings.queue, this.#paths(some));
      const given = u16s(modes);
      for (const [i, hex] of some.entries()) {
        if (stampAt(stamps, i).some((byte) => byte !== 0)) found.set(hex, given[i]!);
      }
    }
    return found;
  }

  async #isWhole(hex: string, size: number): Promise<boolean> {
    try {
      const file = await hashChunks(this.#settings.queue, join(this.#folder, hex), {
        chunkBytes: CHUNK_BYTES,
      });
      return file.size === size && hashBuffer(file.hashes).toHex() === hex;
    } catch (error) {
      if (!isWormholeError(error)) throw error;
      return false;
    }
  }

  async #drop(hex: string): Promise<void> {
    await Deno.remove(join(this.#folder, hex), { recursive: true }).catch(ignoreMissing);
  }

  async #setModes(files: readonly Staged[], failed: Map<number, Failure>): Promise<void> {
    const { queue } = this.#settings;
    // They mostly came with the permissions that they are to have.
    const others = files.filter(({ content, mode }) => this.#checked.get(content.toHex()) !== (mode & 0o777));
    for (let at = 0; at < others.length; at += MAX_STAMPS) {
      const some = others.slice(at, at + MAX_STAMPS);
      const names = some.map(({ content }) => content.toHex());
      const stamps = await fileStamps(queue, this.#paths(names));
      const steps = some.map(({ mode }, i): NativeStep => (
        { do: "mode", path: `${ARRIVED}/${names[i]}`, was: stampAt(stamps, i), mode }
      ));
      const results = await changeFolder(queue, { root: this.#end.root, steps });
      for (const { index, code, message } of results.failed) failed.set(some[index]!.slot, { code, message });
    }
  }

  #paths(names: readonly string[]): Uint8Array[] {
    return names.map((hex) => encodeName(join(this.#folder, hex)));
  }
}

/** Gives the paths of the files, for whoever lists what is unfinished: their contents' hashes say nothing. */
function labelOf(files: readonly Staged[]): string {
  const some = files.slice(0, MAX_LABEL_PATHS).map(({ path }) => path.toWellFormed()).join(", ");
  const more = files.length - MAX_LABEL_PATHS;
  return `${some.slice(0, MAX_LABEL_LENGTH)}${more > 0 ? ` and ${more} more` : ""}`;
}

/** Refuses a transfer of something else than what was asked for. */
function assertAsked({ kind, roots, more }: Offer, wanted: ReadonlyMap<string, Staged>): void {
  const isAsked = ({ name, kind, size }: Offer["roots"][number]) =>
    kind === "directory" ? name === LINKS : kind === "file" && wanted.get(name)?.size === size;
  if (kind === "files" && roots.length + more <= wanted.size + 1 && roots.every(isAsked)) return;
  throw new WormholeError(
    "PROTOCOL",
    "Cannot receive: the other side offers something else than was asked for",
  );
}

function missing(path: string): Failure {
  return {
    code: "SOURCE_CHANGED",
    message: `Cannot copy "${path}": it changed meanwhile; the next run sees to it`,
  };
}

function ignoreMissing(error: unknown): void {
  if (!(error instanceof Deno.errors.NotFound)) throw error;
}
