/** What a folder of this machine sends of itself: only files that its last scan saw, and only as it saw them. */
import { sameBytes } from "../../base/bytes.ts";
import { WormholeError } from "../../base/errors.ts";
import { decodeName, encodeName } from "../../base/names.ts";
import { join } from "../../base/paths.ts";
import type { NativeColumns } from "../../native/entries.ts";
import { fileStamps, MAX_STAMPS } from "../../native/reuse.ts";
import type { NativeSend } from "../../native/send.ts";
import { MAX_SYNC_ENTRIES as MAX_NATIVE, stageFiles } from "../../native/sync.ts";
import { runProvider, SendSource } from "../../transfer/mod.ts";
import type { PeerConnection } from "../../transport/mod.ts";
import { parseName } from "../../tree/mod.ts";
import { ENTRY_KINDS } from "../../wire/mod.ts";
import type { Failure, Staged } from "../end.ts";
import type { LocalEnd } from "../local_end.ts";
import { PathFinder } from "../path_finder.ts";
import { STAGING } from "../places.ts";
import { FILE, stampAt, SYMLINK } from "../snapshot.ts";
import { u32Column } from "./columns.ts";
import type { TransferSettings } from "./settings.ts";

/** Name of the folder in which symlinks travel, each under the number of its slot; wire/spec/sync.md §5. */
export const LINKS = "links";

/** Some files of a folder that another machine wants; see the top of this file. */
export class Outgoing {
  readonly failed = new Map<number, Failure>();
  readonly #end: LocalEnd;
  readonly #settings: TransferSettings;
  /** One file for each content, by the content's hex, with the stamp that it must have. */
  readonly #files = new Map<
    string,
    { readonly path: string; readonly size: number; readonly stamp: Uint8Array }
  >();
  #links: string | undefined;

  private constructor(end: LocalEnd, settings: TransferSettings) {
    this.#end = end;
    this.#settings = settings;
  }

  /**
   * Looks what of `files` is still as the last scan of `end` saw it; the others are in `failed`. `isOwn`: this program made the
   * files of an end that was never scanned, and nobody else asks for them.
   */
  static async open(
    end: LocalEnd,
    files: readonly Staged[],
    settings: TransferSettings & { readonly isOwn?: boolean },
  ): Promise<Outgoing> {
    const outgoing = new Outgoing(end, settings);
    if (settings.isOwn && end.scanned === undefined) {
      await outgoing.#trust(files);
      return outgoing;
    }
    const finder = new PathFinder(end.scanned);
    const regular: { file: Staged; stamp: Uint8Array }[] = [], links: Staged[] = [];
    for (const file of files) {
      const row = finder.find(file.path);
      const kind = file.isSymlink ? SYMLINK : FILE;
      if (row < 0 || end.scanned!.kind(row) !== kind || !sameBytes(end.scanned!.content(row), file.content)) {
        outgoing.failed.set(file.slot, changed(file.path));
      } else if (file.isSymlink) links.push(file);
      else regular.push({ file, stamp: end.scanned!.stamp(row) });
    }
    for (let at = 0; at < regular.length; at += MAX_STAMPS) {
      await outgoing.#look(regular.slice(at, at + MAX_STAMPS));
    }
    if (links.length > 0) await outgoing.#copyLinks(links);
    return outgoing;
  }

  /** Leaves out what is for none of these files, and what failed of it; symlinks all go. */
  keep(files: readonly Staged[]): void {
    const wanted = new Set(files.map(({ content }) => content.toHex()));
    for (const hex of this.#files.keys()) if (!wanted.has(hex)) this.#files.delete(hex);
    const slots = new Set(files.map(({ slot }) => slot));
    for (const slot of this.failed.keys()) if (!slots.has(slot)) this.failed.delete(slot);
  }

  /** Nothing is left to send. */
  get isEmpty(): boolean {
    return this.#files.size === 0 && this.#links === undefined;
  }

  /** Sends it. @throws {WormholeError} SOURCE_CHANGED when somebody changes it just now; what `runProvider` throws. */
  async send(connection: PeerConnection, { signal }: { signal: AbortSignal }): Promise<void> {
    const { queue, versionKey, io, chunkBytes } = this.#settings;
    const { root } = this.#end;
    const named = [...this.#files].map(([hex, { path, size }]) => ({
      path: join(root, path),
      name: parseName(hex),
      kind: "file" as const,
      size,
    }));
    const links = this.#links === undefined
      ? []
      : [{ path: join(root, this.#links), name: parseName(LINKS), kind: "directory" as const, size: 0 }];
    await using source = await SendSource.ofNamed(queue, {
      named: [...named, ...links],
      chunkBytes,
      ...io !== undefined && { io },
      ...versionKey && { versionKey },
    });
    await runProvider({
      ...this.#settings,
      connection,
      source,
      checkPage: (columns, engine) => this.#check(columns, engine),
      signal,
    });
  }

  async #trust(files: readonly Staged[]): Promise<void> {
    const stamped: { file: Staged; stamp: Uint8Array }[] = [];
    for (let at = 0; at < files.length; at += MAX_STAMPS) {
      const some = files.slice(at, at + MAX_STAMPS);
      const paths = some.map(({ path }) => encodeName(join(this.#end.root, path)));
      const stamps = await fileStamps(this.#settings.queue, paths);
      for (const [i, file] of some.entries()) {
        const stamp = stampAt(stamps, i).slice();
        if (stamp.some((byte) => byte !== 0)) stamped.push({ file, stamp });
        else this.failed.set(file.slot, changed(file.path));
      }
    }
    for (let at = 0; at < stamped.length; at += MAX_STAMPS) {
      await this.#look(stamped.slice(at, at + MAX_STAMPS));
    }
  }

  async #look(some: readonly { file: Staged; stamp: Uint8Array }[]): Promise<void> {
    const { root } = this.#end;
    const paths = some.map(({ file }) => encodeName(join(root, file.path)));
    const stamps = await fileStamps(this.#settings.queue, paths);
    for (const [i, { file: { slot, path, size, content }, stamp }] of some.entries()) {
      if (!sameBytes(stampAt(stamps, i), stamp)) {
        this.failed.set(slot, changed(path));
      } else if (!this.#files.has(content.toHex())) this.#files.set(content.toHex(), { path, size, stamp });
    }
  }

  /** The engine follows symlinks that it is told to send, so that copies of them go in a folder. */
  async #copyLinks(links: readonly Staged[]): Promise<void> {
    const { root } = this.#end;
    const folder = `${STAGING}/${LINKS}-${crypto.randomUUID()}`;
    for (let at = 0; at < links.length; at += MAX_NATIVE) {
      const some = links.slice(at, at + MAX_NATIVE);
      const failed = await stageFiles(this.#settings.queue, {
        source: root,
        root,
        files: some.map(({ slot, path, size, content, mode, mtime }) => (
          { path, to: `${folder}/${slot}`, symlink: true, size, content, mode, mtime }
        )),
      });
      for (const { index, code, message } of failed) this.failed.set(some[index]!.slot, { code, message });
      if (failed.length < some.length) this.#links = folder;
    }
  }

  /**
   * Refuses to send another file than the scan saw: somebody may have put a symlink into its path since, and whoever asked
   * for it is another machine.
   */
  async #check(columns: NativeColumns, engine: Pick<NativeSend, "stamps">): Promise<void> {
    const entries: number[] = [], wanted: Uint8Array[] = [];
    for (const { entry, kind, name } of rootsOf(columns)) {
      const file = this.#files.get(name);
      if (kind === ENTRY_KINDS.directory && file === undefined && name === LINKS) continue;
      if (kind !== ENTRY_KINDS.file || file === undefined) throw changedNow();
      entries.push(entry);
      wanted.push(file.stamp);
    }
    if (entries.length === 0) return;
    const { stamps } = await engine.stamps(u32Column(entries));
    for (const [i, stamp] of wanted.entries()) {
      if (!sameBytes(stampAt(stamps, i), stamp)) throw changedNow();
    }
  }
}

function* rootsOf(
  { first, count, kinds, parents, name_lengths, names }: NativeColumns,
): Generator<{ entry: number; kind: number; name: string }> {
  const view = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const [above, lengths] = [view(parents), view(name_lengths)];
  for (let i = 0, at = 0; i < count; i++) {
    const name = names.subarray(at, at += lengths.getUint16(2 * i, true));
    // What is below the folder of links is of our own making.
    if (above.getUint32(4 * i, true) !== NO_PARENT) continue;
    yield { entry: first + i, kind: kinds[i]!, name: decodeName(name) };
  }
}

/** `parents` of a root. */
const NO_PARENT = 0xffffffff;

function changed(path: string): Failure {
  return {
    code: "SOURCE_CHANGED",
    message: `Cannot copy "${path}": it changed meanwhile; the next run sees to it`,
  };
}

function changedNow(): WormholeError {
  return new WormholeError("SOURCE_CHANGED", "Cannot send what was asked for: it changed just now");
}
