/**
 * The side of a sync session that has the folder: answers what the other machine asks, in the order in which it asks, and does
 * nothing outside of the folders that it may synchronize. wire/spec/sync.md.
 */
import { sameBytes } from "../../base/bytes.ts";
import type { Clock } from "../../base/clock.ts";
import { isWormholeError, WormholeError } from "../../base/errors.ts";
import { decodeName, encodeName } from "../../base/names.ts";
import { hashBuffer } from "../../native/hash.ts";
import type { Way } from "../../peers/mod.ts";
import {
  MAX_PAGE_IDS,
  MAX_PATHS_BYTES,
  MAX_SCAN_PROBLEMS,
  MAX_STAGED_PATH_BYTES,
  MAX_TEXT_BYTES,
  type SyncMessage,
  type SyncMessageOf,
} from "../../wire/mod.ts";
import {
  type Done,
  type Failure,
  isFailure,
  type Problem,
  type Scanned,
  type Staged,
  type Step,
} from "../end.ts";
import { diskFailure, type OwnFolder } from "../own_folder.ts";
import type { Paged } from "../page_store.ts";
import { encodePage, PAGE_ID_BYTES } from "../pages.ts";
import { STAMP_BYTES } from "../snapshot.ts";
import { FolderWatch } from "../watch.ts";
import type { LocalEnd } from "../local_end.ts";
import type { LocksBelow } from "../locks_below.ts";
import { type SyncChannel, unexpected } from "./channel.ts";
import { parsePath } from "./checks.ts";
import { failureColumns, filesOf, u32Column, u32s } from "./columns.ts";
import { overDataLink } from "./data_link.ts";
import { Incoming } from "./incoming.ts";
import { Outgoing } from "./outgoing.ts";
import { pageMessage } from "./page_forms.ts";
import type { PageCache } from "./page_cache.ts";
import type { ServedLocks } from "./serve_locks.ts";
import type { NextDataLink, TransferSettings } from "./settings.ts";

/** A folder that another machine may synchronize. */
export interface Served {
  /** Its real path. */
  readonly place: string;
  /** What there is a right to. */
  readonly way: Way;
  /** Gives which root it is, if it was ever synchronized. */
  identity(): Promise<string | undefined>;
  /** Locks it and gives what runs work with. @throws {WormholeError} BUSY; what the disk says. */
  begin(options: SyncMessageOf<"begin">, about: { signal: AbortSignal }): Promise<ServedRun>;
}

/** A locked folder for the length of one run; with `dry_run` nothing was made in it. */
export interface ServedRun extends AsyncDisposable {
  readonly end: LocalEnd;
  /** Absent in a dry run of a folder that was never synchronized. */
  readonly own?: OwnFolder;
  readonly cache: PageCache;
  readonly locks: LocksBelow;
  readonly isDryRun: boolean;
  /** What the other machine has said that it is going to do. */
  readonly way: Way;
  /** The run came to its end. */
  finish(): Promise<void>;
}

/** What {@linkcode serveFolder} needs. */
export interface ServeOptions {
  readonly channel: SyncChannel;
  readonly nextLink: NextDataLink;
  readonly settings: TransferSettings;
  /** Gives a folder by what the other machine calls it. @throws {WormholeError} REFUSED, NOT_FOUND and its kin. */
  find(path: string): Promise<Served>;
  readonly locks: ServedLocks;
  readonly clock: Clock;
  /** A run came to its end, which the other side has been told. */
  onRunEnded?(): Promise<void>;
}

/**
 * Answers until the session ends.
 *
 * @throws {WormholeError} PROTOCOL, LIMIT_EXCEEDED, HOSTILE_NAME when the other machine breaks the rules; CONNECTION_LOST
 * and its kin.
 */
export async function serveFolder(options: ServeOptions): Promise<void> {
  await using session = new Session(options);
  for (;;) await session.answer(await options.channel.next());
}

class Session implements AsyncDisposable {
  readonly #options: ServeOptions;
  /** The folder that was looked at last, and what the other machine calls it. */
  #looked: { readonly path: string; readonly served: Served } | undefined;
  #run: ServedRun | undefined;
  #incoming: Incoming | undefined;
  #snapped: Paged | undefined;
  /** Rules of a scan whose outcome was known and told without it. */
  #later: { readonly rules: readonly string[]; readonly ids: Uint8Array } | undefined;
  /** Stays once it was asked for, so that no change between a run's look and the next question is missed. */
  #watch: { readonly place: string; readonly folder: FolderWatch } | undefined;
  #watching: { stop: AbortController; done: Promise<void> } | undefined;
  /** Keys of the locks that made the last run leave something. */
  #left: ReadonlySet<string> = new Set();

  constructor(options: ServeOptions) {
    this.#options = options;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#endWatch();
    this.#watch?.folder[Symbol.dispose]();
    await this.#run?.[Symbol.asyncDispose]();
  }

  /** Answers one request; one that cannot be done is refused and ends nothing. */
  async answer(message: SyncMessage): Promise<void> {
    const { channel } = this.#options;
    try {
      await this.#answer(message);
    } catch (given) {
      const error = diskFailure(given, `Cannot synchronize "${this.#looked?.served.place ?? ""}"`);
      if (channel.signal.aborted || !isWormholeError(error) || isBreach(error)) throw error;
      await channel.send({ type: "refused", code: error.code });
    }
  }

  async #answer(message: SyncMessage): Promise<void> {
    const { channel } = this.#options;
    switch (message.type) {
      case "look":
        return await this.#find(message);
      case "begin":
        return await this.#begin(message);
      case "ask_ignored":
        return await this.#sendIgnored();
      case "scan":
        return await this.#scan(message);
      case "ask_ids":
        return await this.#sendIds();
      case "ask_pages":
        return await this.#sendPages(message);
      case "ask_space":
        return await channel.send({ type: "space", bytes: Math.floor(await this.#begun().end.space()) });
      case "stage":
        return await this.#stage(message);
      case "change":
        return await this.#change(message);
      case "flush":
        await this.#mayWrite().end.flush();
        return await channel.send({ type: "flushed" });
      case "end":
        return await this.#end(message);
      case "watch":
        return this.#follow();
      case "lock":
      case "renew":
      case "unlock":
      case "ask_locks":
        return await channel.send(await this.#options.locks.answer(message));
      default:
        throw unexpected(message.type);
    }
  }

  async #find({ path }: SyncMessageOf<"look">): Promise<void> {
    if (this.#run !== undefined) throw unexpected("look");
    await this.#endWatch();
    const called = decodeName(path);
    const served = await this.#options.find(called);
    const identity = await served.identity();
    this.#looked = { path: called, served };
    await this.#options.channel.send({
      type: "looked",
      place: encodeName(served.place),
      ...identity !== undefined && { identity: Uint8Array.fromHex(identity) },
      ...served.way !== "both" && { way: served.way },
    });
  }

  async #begin(message: SyncMessageOf<"begin">): Promise<void> {
    const { channel, settings } = this.#options;
    const looked = this.#looked;
    if (looked === undefined || this.#run !== undefined) throw unexpected("begin");
    await this.#endWatch();
    // The right may be another one since, and so may be where the path leads.
    const served = await this.#options.find(looked.path);
    const { way = "both" } = message;
    if (served.place !== looked.served.place || (served.way !== "both" && served.way !== way)) {
      throw new WormholeError("REFUSED", "Cannot synchronize: there is no right to do that with the folder");
    }
    const run = this.#run = await served.begin(message, channel);
    this.#incoming = new Incoming(run.end, settings);
    this.#snapped = this.#later = undefined;
    const abilities = await run.end.abilities();
    await channel.send({
      type: "begun",
      ...run.own && { identity: Uint8Array.fromHex(run.own.identity) },
      folds_case: abilities.foldsCase,
      normalizes: abilities.normalizes,
      permissions: abilities.permissions,
      symlinks: abilities.symlinks,
    });
  }

  async #sendIgnored(): Promise<void> {
    const { end, locks } = this.#begun();
    const rules = (await end.ignored()).join("\n");
    if (new TextEncoder().encode(rules).length > MAX_TEXT_BYTES) {
      throw new WormholeError("LIMIT_EXCEEDED", "Cannot send the ignore file: it is too long");
    }
    const told = this.#options.locks.told(locks.seen);
    await this.#options.channel.send({
      type: "ignored",
      rules,
      ...told.locks.length > 0 && { locks: told.locks },
      ...told.more > 0 && { more: told.more },
    });
  }

  async #scan({ exclude }: SyncMessageOf<"scan">): Promise<void> {
    const { end, cache } = this.#begun();
    this.#incoming!.begin();
    this.#snapped = this.#later = undefined;
    const rules = exclude === "" ? [] : exclude.split("\n");
    const mark = await end.mark(rules);
    const known = mark && cache.marked(mark);
    if (known !== undefined) {
      const ids = cache.ids();
      this.#later = { rules, ids };
      return await this.#tellScanned({ ...known, ids, problems: [] });
    }
    const { snapped, isKnown, ...scanned } = await this.#look(rules);
    const { ids, snapshot: { count: entries } } = snapped;
    if (mark !== undefined && isKnown) cache.keepMark(mark, { entries, isEmpty: scanned.isEmpty });
    await this.#tellScanned({ ...scanned, ids, entries });
  }

  async #tellScanned({ entries, ids, isEmpty, problems }: {
    entries: number;
    ids: Uint8Array;
    isEmpty: boolean;
    problems: readonly Problem[];
  }): Promise<void> {
    const told = firstThatFit(problems);
    await this.#options.channel.send({
      type: "scanned",
      entries,
      pages: ids.length / PAGE_ID_BYTES,
      digest: hashBuffer(ids),
      is_empty: isEmpty,
      problems: told.map(({ path, code }) => ({ path: encodeName(path), code })),
      more: problems.length - told.length,
    });
  }

  /** Looks at everything, and keeps what is told of it. */
  async #look(rules: readonly string[]): Promise<Omit<Scanned, "snapshot"> & { snapped: Paged }> {
    const { end, cache } = this.#begun();
    const { snapshot, ...scanned } = await end.scan({ snapshot: cache.snapshot(), side: 0, exclude: rules });
    // Their bytes are made again when they are asked for: mostly none are.
    const snapped = this.#snapped = cache.saveSnapshot(snapshot);
    return { ...scanned, snapped };
  }

  async #sendIds(): Promise<void> {
    const { ids } = this.#later ?? await this.#scanned();
    const most = MAX_PAGE_IDS * PAGE_ID_BYTES;
    for (let at = 0;; at += most) {
      const last = at + most >= ids.length;
      await this.#options.channel.send({ type: "ids", ids: ids.subarray(at, at + most), last });
      if (last) return;
    }
  }

  async #sendPages({ pages: asked, bases }: SyncMessageOf<"ask_pages">): Promise<void> {
    const { channel, settings } = this.#options;
    const { snapshot, starts } = await this.#scanned();
    const { cache } = this.#begun();
    if (bases.length !== PAGE_ID_BYTES * asked.length / 4) throw unexpected("ask_pages");
    // Others are made while one is sent.
    const coming: Promise<SyncMessageOf<"page">>[] = [];
    const next = async () => await channel.send(await coming.shift()!);
    for (const [i, index] of u32s(asked).entries()) {
      const [from, to] = [starts[index], starts[index + 1]];
      if (from === undefined || to === undefined) throw unexpected("ask_pages");
      const base = cache.page(
        bases.slice(PAGE_ID_BYTES * i, PAGE_ID_BYTES * (i + 1)) as Uint8Array<ArrayBuffer>,
      );
      const message = pageMessage(settings.queue, encodePage(snapshot, from, to), base);
      message.catch(() => {}); // Whoever sends it is told.
      coming.push(message);
      if (coming.length === PAGES_AT_ONCE) await next();
    }
    while (coming.length > 0) await next();
  }

  async #stage({ way, files: count }: SyncMessageOf<"stage">): Promise<void> {
    const { channel, settings } = this.#options;
    const run = way === "push" ? this.#mayWrite() : this.#mayRead();
    const files: Staged[] = [];
    for (let pathBytes = 0; files.length < count;) {
      const message = await channel.expect("files");
      if ((pathBytes += message.paths.length) > MAX_STAGED_PATH_BYTES) {
        throw new WormholeError("LIMIT_EXCEEDED", "Cannot copy for the other side: its paths are too long");
      }
      files.push(...filesOf(message));
    }
    if (files.length > count || new Set(files.map(({ slot }) => slot)).size < count) {
      throw unexpected("files");
    }
    // What is sent, or serves as older version, is what the scan saw.
    if (this.#later !== undefined) await this.#scanned();
    if (way === "pull") {
      const outgoing = await Outgoing.open(run.end, files, settings);
      await this.#ready(outgoing.failed, new Set());
      return await this.#staged(
        !outgoing.isEmpty,
        (connection, signal) => outgoing.send(connection, { signal }),
      );
    }
    const incoming = this.#incoming!;
    const held = await incoming.held(files);
    await this.#ready(new Map(), held);
    const coming = files.filter(({ slot }) => !held.has(slot));
    await this.#staged(
      true,
      (connection, signal) => incoming.receive(connection, coming, { signal }),
      () => incoming.take(files),
    );
  }

  async #ready(failed: ReadonlyMap<number, Failure>, held: ReadonlySet<number>): Promise<void> {
    await this.#options.channel.send({ type: "ready", ...failureColumns(failed), held: u32Column(held) });
  }

  /** Has the transfer that the other side announces, and says what has come of it. */
  async #staged(
    isPossible: boolean,
    transfer: Parameters<typeof overDataLink>[1],
    take: () => Promise<ReadonlyMap<number, Failure>> = () => Promise.resolve(new Map()),
  ): Promise<void> {
    const { channel } = this.#options;
    const { link } = await channel.expect("go");
    if (link && !isPossible) throw unexpected("go");
    try {
      if (link) await overDataLink(this.#options, transfer);
    } catch (error) {
      if (!isWormholeError(error, "SOURCE_CHANGED")) throw error;
    }
    await channel.send({ type: "staged", ...failureColumns(await take()) });
  }

  async #change({ steps }: SyncMessageOf<"change">): Promise<void> {
    const { end } = this.#mayWrite();
    const done = await end.change(steps.map(stepOf));
    const stamps = new Uint8Array(STAMP_BYTES * done.length);
    const failed = new Map<number, Failure>();
    for (const [index, each] of done.entries()) set(stamps, failed, index, each);
    await this.#options.channel.send({ type: "changed", stamps, ...failureColumns(failed) });
  }

  async #end({ done }: SyncMessageOf<"end">): Promise<void> {
    const run = this.#begun();
    if (done && !run.isDryRun) {
      // What arrived was for somebody who may change the folder.
      if (run.way !== "pull") await this.#incoming!.clear();
      await run.finish();
    }
    this.#left = new Set(run.locks.keys);
    this.#run = this.#incoming = undefined;
    this.#snapped = this.#later = undefined;
    await run[Symbol.asyncDispose]();
    await this.#options.channel.send({ type: "ended" });
    await this.#options.onRunEnded?.();
  }

  /** Tells once that something has changed; the next look or beginning ends it. */
  #follow(): void {
    const { channel, clock } = this.#options;
    const place = this.#looked?.served.place;
    if (place === undefined || this.#run !== undefined || this.#watching) throw unexpected("watch");
    if (this.#watch?.place !== place) {
      this.#watch?.folder[Symbol.dispose]();
      this.#watch = { place, folder: FolderWatch.open({ roots: [place], intervalMs: WATCH_MS, clock }) };
    }
    const { folder } = this.#watch;
    const stop = new AbortController();
    const { signal } = stop;
    const left = this.#left;
    const follow = async () => {
      // Whoever left something for a lock wants to know when it ends.
      const free = left.size === 0 ? undefined : this.#options.locks.ended(left, { signal }).then(() => {
        this.#left = new Set();
        folder.touch();
      });
      free?.catch(() => {}); // `stop` ends it; what else goes wrong, the next run meets.
      try {
        await folder.next(signal);
        await channel.send({ type: "news" });
      } catch (error) {
        // The session is over, which whoever reads hears.
        if (!signal.aborted && !isWormholeError(error)) throw error;
      }
    };
    this.#watching = { stop, done: follow() };
  }

  async #endWatch(): Promise<void> {
    const watching = this.#watching;
    this.#watching = undefined;
    watching?.stop.abort(new WormholeError("CLOSED", "Cannot watch any more: a run begins"));
    await watching?.done;
  }

  #begun(): ServedRun {
    if (this.#run === undefined) throw unexpected("a request");
    return this.#run;
  }

  #mayWrite(): ServedRun {
    const run = this.#begun();
    if (run.isDryRun || run.way === "pull") throw unexpected("a change");
    return run;
  }

  #mayRead(): ServedRun {
    const run = this.#begun();
    if (run.way === "push") throw unexpected("a request for content");
    return run;
  }

  async #scanned(): Promise<Paged> {
    const later = this.#later;
    this.#later = undefined;
    if (later !== undefined && !sameBytes((await this.#look(later.rules)).snapped.ids, later.ids)) {
      throw new WormholeError("SOURCE_CHANGED", "Cannot go on: what was known of the folder was damaged");
    }
    if (this.#snapped === undefined) throw unexpected("a request");
    return this.#snapped;
  }
}

/** Pages that are made at a time: each waits for another thread to compress it. */
const PAGES_AT_ONCE = 16;

/** Longest time between two words of a watch, in ms: who asked looks at everything now and then by itself. */
const WATCH_MS = 24 * 60 * 60 * 1000;

/** What no honest program does; the session ends with it. */
function isBreach(error: WormholeError): boolean {
  return ["PROTOCOL", "LIMIT_EXCEEDED", "HOSTILE_NAME", "CORRUPT", "CONNECTION_LOST", "PEER_FROZEN", "CLOSED"]
    .includes(error.code);
}

function set(stamps: Uint8Array, failed: Map<number, Failure>, index: number, done: Done): void {
  if (isFailure(done)) failed.set(index, done);
  else if (done.stamp !== undefined) stamps.set(done.stamp, STAMP_BYTES * index);
}

/** Gives a step whose paths are checked. @throws {WormholeError} PROTOCOL when a field is missing; as `parsePath`. */
function stepOf({ do: verb, slot, was, mode, ...given }: SyncMessageOf<"change">["steps"][number]): Step {
  const path = parsePath(given.path);
  const from = given.from && parsePath(given.from), keep = given.keep && parsePath(given.keep);
  switch (verb) {
    case "make":
      if (mode !== undefined) return { do: verb, path, mode };
      break;
    case "put":
      if (slot !== undefined) return { do: verb, path, slot, ...was && { was }, ...keep && { keep } };
      break;
    case "take":
      if (was !== undefined) return { do: verb, path, was };
      break;
    case "drop":
      return { do: verb, path };
    case "move":
      if (from !== undefined && was !== undefined) return { do: verb, path, from, was };
      break;
    case "mode":
      if (was !== undefined && mode !== undefined) return { do: verb, path, was, mode };
  }
  throw new WormholeError("PROTOCOL", `Cannot read a message: the step "${verb}" lacks a field`);
}

function firstThatFit(problems: readonly Problem[]): readonly Problem[] {
  let bytes = 0;
  const some = problems.slice(0, MAX_SCAN_PROBLEMS);
  const end = some.findIndex(({ path }) => (bytes += encodeName(path).length + 16) > MAX_PATHS_BYTES);
  return end < 0 ? some : some.slice(0, end);
}
