/**
 * The receiver's look at a manifest, page by page: every name, parent, target and count is checked here, and what is
 * wanted is decided, before the engine hears of an entry. Pure. Spec: wire/spec/manifest.md.
 */
import { type ErrorCode, isWormholeError, WormholeError } from "../base/errors.ts";
import { decodeName } from "../base/names.ts";
import {
  DirectoryTable,
  type EntryName,
  parseName,
  PLATFORM,
  type Platform,
  printable,
  safeLinkTarget,
} from "../tree/mod.ts";
import {
  type Columns,
  type Entry,
  type EntryKind,
  MAX_ENTRIES,
  MAX_MANIFEST_ROOTS,
  type MessageOf,
  readEntries,
} from "../wire/mod.ts";
import { compileGlob, type Glob } from "./glob.ts";

/** A root of the manifest that is wanted, or may hold what is wanted. */
export interface ManifestRoot {
  readonly entry: number;
  readonly name: EntryName;
  readonly kind: EntryKind;
}

/** An entry that is not taken for a reason of its own. */
export interface RefusedEntry {
  readonly entry: number;
  readonly path: string;
  readonly code: ErrorCode;
  readonly message: string;
}

/** A wanted file for which it is worth looking whether it is here already. */
export interface LargeFile {
  readonly entry: number;
  readonly size: number;
  /** Names from the root down to the file's own. */
  readonly path: readonly string[];
}

/** One page after the check. */
export interface CheckedPage {
  /** A bit per entry, lowest first. */
  readonly wanted: Uint8Array;
  readonly roots: readonly ManifestRoot[];
  readonly large: readonly LargeFile[];
  readonly refused: readonly RefusedEntry[];
  /** Entries other than directories that are refused, or lie in a refused directory. */
  readonly refusedLeaves: number;
}

/** What a reader is made from. */
export interface ReaderOptions {
  readonly offer: MessageOf<"offer">;
  /** Globs; without any everything is wanted. */
  readonly only?: readonly string[];
  /** Take symlinks that lead out of the tree. */
  readonly unsafeLinks?: boolean;
  readonly platform?: Platform;
}

/** Entries and bytes that a manifest may have beyond twice what was offered; spec/offer.md. */
const SLACK_ENTRIES = 65_536;
const SLACK_BYTES = 1024 ** 3;

/** Bytes from which on a file is looked for: smaller ones travel faster than questions about them. */
export const LARGE_BYTES = 128 * 1024;

/** Flags of directories. */
const WANTED = 1;
const REFUSED = 2;

/** Reads the pages of one manifest in order. */
export class ManifestReader {
  readonly #offer: MessageOf<"offer">;
  readonly #globs: readonly Glob[];
  readonly #unsafeLinks: boolean;
  readonly #platform: Platform;
  readonly #directories = new DirectoryTable();
  #next = 0;
  #roots = 0;
  #bytes = 0;
  #ended = false;
  #wantedFiles = 0;
  #wantedBytes = 0;

  constructor({ offer, only = [], unsafeLinks = false, platform = PLATFORM }: ReaderOptions) {
    this.#offer = offer;
    this.#globs = only.map(compileGlob);
    this.#unsafeLinks = unsafeLinks;
    this.#platform = platform;
  }

  /** The last page has been read. */
  get ended(): boolean {
    return this.#ended;
  }

  /** Wanted files and bytes so far. */
  get wanted(): { files: number; bytes: number } {
    return { files: this.#wantedFiles, bytes: this.#wantedBytes };
  }

  /**
   * Checks the next page.
   *
   * @throws {WormholeError} PROTOCOL, LIMIT_EXCEEDED or HOSTILE_NAME when no honest sender makes such a page.
   */
  read(columns: Columns): CheckedPage {
    if (this.#ended) throw bad("PROTOCOL", "a page follows the last one");
    if (columns.first !== this.#next) {
      throw bad("PROTOCOL", `a page begins with entry ${columns.first}, not ${this.#next}`);
    }
    if (columns.count === 0 && !columns.last) throw bad("PROTOCOL", "a page has no entries");
    if (this.#next + columns.count > this.#mostEntries()) {
      throw bad("LIMIT_EXCEEDED", "it has many more entries than were offered");
    }
    const wanted = new Uint8Array(Math.ceil(columns.count / 8));
    const roots: ManifestRoot[] = [];
    const large: LargeFile[] = [];
    const refused: RefusedEntry[] = [];
    let refusedLeaves = 0;
    for (const entry of readEntries(columns)) {
      const verdict = this.#check(entry);
      const at = entry.id - columns.first;
      if (typeof verdict === "object") refused.push(verdict);
      else if (verdict === "wanted") wanted[at >> 3]! |= 1 << (at & 7);
      if (verdict === "wanted" && entry.kind === "file" && entry.size >= LARGE_BYTES) {
        const path = [...this.#directories.path(entry.parent), decodeName(entry.name)];
        large.push({ entry: entry.id, size: entry.size, path });
      }
      const isRefused = typeof verdict === "object" || verdict === "below_refused";
      if (isRefused && entry.kind !== "directory") refusedLeaves++;
      if (entry.parent === undefined && !isRefused && (verdict === "wanted" || entry.kind === "directory")) {
        roots.push({ entry: entry.id, name: decodeName(entry.name) as EntryName, kind: entry.kind });
      }
    }
    this.#next += columns.count;
    this.#ended = columns.last;
    return { wanted, roots, large, refused, refusedLeaves };
  }

  #check(entry: Entry): "wanted" | "unwanted" | "below_refused" | RefusedEntry {
    this.#checkOffered(entry);
    const name = parseName(entry.name, { platform: "posix" });
    const above = entry.parent === undefined ? undefined : this.#directories.get(entry.parent);
    const { depth } = this.#directories.place({
      id: entry.id,
      parent: entry.parent,
      nameBytes: entry.name.length,
    });
    if (entry.parent === undefined && ++this.#roots > MAX_MANIFEST_ROOTS) {
      throw bad("LIMIT_EXCEEDED", "it has too many roots");
    }
    const inherited = above?.flag ?? 0;
    const refusal = (inherited & REFUSED) === 0 ? this.#refusal(entry, name, depth) : undefined;
    const isRefused = refusal !== undefined || (inherited & REFUSED) !== 0;
    const isWanted = !isRefused && ((inherited & WANTED) !== 0 || this.#matches(entry, name));
    if (entry.kind === "directory") {
      const flag = isRefused ? REFUSED : isWanted ? WANTED : 0;
      this.#directories.add({ id: entry.id, parent: entry.parent, name: entry.name, flag });
    }
    if (refusal !== undefined) {
      // Someone who takes a part need not hear of what was left out anyway.
      return this.#matches(entry, name) || (inherited & WANTED) !== 0 ? refusal : "below_refused";
    }
    if (isRefused) return "below_refused";
    if (!isWanted) return "unwanted";
    if (entry.kind === "file" || entry.kind === "stream") this.#wantedFiles++;
    this.#wantedBytes += entry.size;
    return "wanted";
  }

  #refusal(entry: Entry, name: EntryName, depth: number): RefusedEntry | undefined {
    const refuse = (code: ErrorCode, message: (path: string) => string) => {
      const path = [...this.#directories.path(entry.parent), name].join("/");
      return { entry: entry.id, path, code, message: message(printable(path)) };
    };
    try {
      parseName(entry.name, { platform: this.#platform });
    } catch (error) {
      if (!isWormholeError(error, "UNSUPPORTED")) throw error;
      return refuse(error.code, () => error.message);
    }
    // The link's own root does not count: a link may not leave the directory that was sent.
    const climb = Math.max(0, depth - 1);
    if (entry.kind !== "symlink" || this.#unsafeLinks) return undefined;
    if (safeLinkTarget(entry.target, climb, { platform: this.#platform })) return undefined;
    const state = "it leads out of what was sent";
    return refuse("PATH_ESCAPES", (path) => `Cannot take the symbolic link "${path}": ${state}`);
  }

  #matches(entry: Entry, name: EntryName): boolean {
    if (this.#globs.length === 0) return true;
    let path: string[] | undefined;
    return this.#globs.some((glob) => {
      if (glob.anywhere) return glob.matches([name]);
      path ??= [...this.#directories.path(entry.parent), name];
      return glob.matches(path);
    });
  }

  #checkOffered(entry: Entry): void {
    if ((entry.kind === "stream") !== (this.#offer.kind === "stream")) {
      throw bad("PROTOCOL", `entry ${entry.id} is not what was offered`);
    }
    if (entry.kind === "stream" && (entry.id !== 0 || entry.parent !== undefined)) {
      throw bad("PROTOCOL", "it has more than the one stream that was offered");
    }
    this.#bytes += entry.size;
    const { totals, counting } = this.#offer;
    if (!counting && this.#bytes > 2 * totals.bytes + SLACK_BYTES) {
      throw bad("LIMIT_EXCEEDED", "it has many more bytes than were offered");
    }
    if (this.#bytes > Number.MAX_SAFE_INTEGER) throw bad("LIMIT_EXCEEDED", "its sizes add up to too much");
  }

  #mostEntries(): number {
    const { totals, counting } = this.#offer;
    if (counting) return MAX_ENTRIES;
    const offered = totals.files + totals.directories + totals.symlinks;
    return Math.min(MAX_ENTRIES, 2 * offered + SLACK_ENTRIES);
  }
}

function bad(code: ErrorCode, state: string): WormholeError {
  return new WormholeError(code, `Cannot accept the list of files: ${state}`);
}
