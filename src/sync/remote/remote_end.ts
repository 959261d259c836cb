/** A folder of another machine as one end, over a sync session; wire/spec/sync.md. */
import { concat, sameBytes } from "../../base/bytes.ts";
import { type ErrorCode, isWormholeError, WormholeError } from "../../base/errors.ts";
import { encodeName } from "../../base/names.ts";
import { hashBuffer } from "../../native/hash.ts";
import type { NativeQueue } from "../../native/queue.ts";
import {
  MAX_ASKED_PAGES,
  MAX_PATHS_BYTES,
  MAX_STEPS,
  type SyncMessage,
  type SyncMessageOf,
  type SyncMessageType,
} from "../../wire/mod.ts";
import type { Done, End, Failure, GivingEnd, Known, Problem, Scanned, Staged, Step } from "../end.ts";
import { LocalEnd } from "../local_end.ts";
import { differences } from "../page_patch.ts";
import type { NewPage } from "../page_store.ts";
import { basesFor, PAGE_ID_BYTES, rowsOf, snapshotOf } from "../pages.ts";
import type { Abilities } from "../policy.ts";
import { Snapshot, STAMP_BYTES, stampAt } from "../snapshot.ts";
import { overDataLink } from "./data_link.ts";
import { notSynchronized, type SyncChannel, unexpected } from "./channel.ts";
import { checkSnapshot } from "./checks.ts";
import { type FarLock, farLock } from "./far_locks.ts";
import { failuresOf, filesMessages, u32Column, u32s } from "./columns.ts";
import type { Incoming } from "./incoming.ts";
import type { PageCache } from "./page_cache.ts";
import { pageOf } from "./page_forms.ts";
import type { NextDataLink, TransferSettings } from "./settings.ts";
import { stateOf } from "./states.ts";

/** Options of {@linkcode RemoteEnd}. */
export interface RemoteEndOptions {
  readonly channel: SyncChannel;
  readonly nextLink: NextDataLink;
  readonly queue: NativeQueue;
  /** Gives what transfers work with, once one is needed. */
  settings(): Promise<TransferSettings>;
  /** What the folder looked like the last time. */
  readonly cache: PageCache;
  readonly abilities: Abilities;
  readonly exclude: readonly string[];
  /** ms since 1970. */
  readonly now: () => number;
  readonly signal?: AbortSignal;
}

/** What somebody has locked in the folder of the other machine. */
export interface LockedThere extends FarLock {
  /** When it ends unless it is renewed, by this machine's clock: ms since 1970. */
  readonly expiresMs: number;
}

/** See the top of this file. The session has begun (`begin`), and one call at a time is made. */
export class RemoteEnd implements GivingEnd {
  /** A transfer takes a moment to set up. */
  readonly stageBatch = 32_768;
  /** Changes are asked for in pieces that overlap. */
  readonly changeBatch = 32_768;
  readonly #options: RemoteEndOptions;
  readonly #incoming = new Map<LocalEnd, Incoming>();
  readonly #locked = new Map<string, LockedThere>();
  #moreLocked = 0;
  /** What the other side answers to the question of a scan that follows. */
  #ahead: { readonly rules: string; readonly scanned: Promise<SyncMessageOf<"scanned">> } | undefined;
  /** What its root wants to be left alone, as it said last. */
  #ignored: readonly string[] = [];

  constructor(options: RemoteEndOptions) {
    this.#options = options;
  }

  abilities(): Promise<Abilities> {
    return Promise.resolve(this.#options.abilities);
  }

  async ignored(): Promise<string[]> {
    // The scan that is under way goes by what was said before it.
    if (this.#ahead !== undefined) return [...this.#ignored];
    const { rules, locks = [], more = 0 } = await this.#ask({ type: "ask_ignored" }, "ignored", {
      refusal: (code) => notSynchronized(code, LOCK_STATES[code]),
    });
    for (const told of locks) {
      const lock = farLock(told);
      this.#locked.set(lock.path, { ...lock, expiresMs: this.#options.now() + (lock.leftMs ?? 0) });
    }
    this.#moreLocked = Math.max(this.#moreLocked, more);
    this.#ignored = rules === "" ? [] : rules.split("\n");
    return [...this.#ignored];
  }

  /** What the other machine has told to be locked so far, by path below the root, and how many locks it did not tell of. */
  get locked(): { readonly locks: ReadonlyMap<string, LockedThere>; readonly more: number } {
    return { locks: this.#locked, more: this.#moreLocked };
  }

  async mark(exclude: readonly string[]): Promise<Uint8Array | undefined> {
    const rules = this.#rules(exclude);
    const asked = this.#ask({ type: "scan", exclude: rules }, "scanned");
    this.#ahead = { rules, scanned: asked };
    const scanned = await asked;
    return scanned.problems.length + scanned.more === 0 ? scanned.digest : undefined;
  }

  #rules(exclude: readonly string[]): string {
    return [...exclude, ...this.#options.exclude].join("\n");
  }

  async scan({ exclude = [] }: Known): Promise<Scanned> {
    for (const incoming of this.#incoming.values()) incoming.begin();
    const rules = this.#rules(exclude);
    const ahead = this.#ahead;
    this.#ahead = undefined;
    // One question at a time.
    const told = await ahead?.scanned;
    const scanned = told !== undefined && ahead?.rules === rules
      ? told
      : await this.#ask({ type: "scan", exclude: rules }, "scanned");
    const snapshot = await this.#snapshot(scanned);
    const problems = scanned.problems.map(({ path, code }): Problem => {
      const shown = new TextDecoder().decode(path);
      return { path: shown, code, message: `Cannot synchronize "${shown}": ${stateOf(code)}` };
    });
    if (scanned.more > 0) {
      const message =
        `Cannot synchronize ${scanned.more} more entries of the other side: they cannot be read there`;
      problems.push({ path: ".", code: "IO", message });
    }
    return { snapshot, problems, isEmpty: scanned.is_empty, isKnown: true };
  }

  async space(): Promise<number> {
    return (await this.#ask({ type: "ask_space" }, "space")).bytes;
  }

  async stage(files: readonly Staged[], from: End): Promise<Map<number, Failure>> {
    if (!(from instanceof LocalEnd)) {
      throw new WormholeError(
        "UNSUPPORTED",
        "Cannot copy between two other machines: one folder has to be here",
      );
    }
    const settings = await this.#options.settings();
    const { Outgoing }: typeof import("./outgoing.ts") = await import("./outgoing.ts" as string);
    const asked = this.#stage("push", files);
    asked.catch(() => {}); // Met below.
    // While the other side looks what of it came earlier: mostly nothing did.
    const outgoing = await Outgoing.open(from, files, { ...settings, isOwn: true });
    const { failed, held } = await asked;
    outgoing.keep(files.filter(({ slot }) => !failed.has(slot) && !held.has(slot)));
    for (const [slot, failure] of outgoing.failed) failed.set(slot, failure);
    const { staged } = await this.#transfer(
      !outgoing.isEmpty,
      (connection, signal) => outgoing.send(connection, { signal }),
    );
    for (const [slot, failure] of staged) if (!failed.has(slot)) failed.set(slot, failure);
    return failed;
  }

  async give(files: readonly Staged[], to: LocalEnd): Promise<Map<number, Failure>> {
    let incoming = this.#incoming.get(to);
    if (incoming === undefined) {
      const { Incoming }: typeof import("./incoming.ts") = await import("./incoming.ts" as string);
      this.#incoming.set(to, incoming = new Incoming(to, await this.#options.settings()));
    }
    const receiver = incoming;
    const held = await receiver.held(files);
    const wanted = files.filter(({ slot }) => !held.has(slot));
    const failed = new Map<number, Failure>();
    if (wanted.length > 0) {
      for (const [slot, failure] of (await this.#stage("pull", wanted)).failed) failed.set(slot, failure);
      const coming = wanted.filter(({ slot }) => !failed.has(slot));
      const { staged } = await this.#transfer(
        coming.length > 0,
        (connection, signal) => receiver.receive(connection, coming, { signal }),
      );
      for (const [slot, failure] of staged) failed.set(slot, failure);
    }
    const taken = await receiver.take(files.filter(({ slot }) => !failed.has(slot)));
    for (const [slot, failure] of taken) failed.set(slot, failure);
    return failed;
  }

  async change(steps: readonly Step[]): Promise<Done[]> {
    const { channel, signal } = this.#options;
    const done: Done[] = [];
    const asked: (readonly Step[])[] = [];
    const answered = async () => {
      const some = asked.shift()!;
      const answer = await channel.expect("changed");
      if (answer.stamps.length !== STAMP_BYTES * some.length) throw unexpected("changed");
      const failed = failuresOf(answer, (index) => some[index]?.path);
      for (const index of some.keys()) {
        const stamp = stampAt(answer.stamps, index).slice();
        done.push(failed.get(index) ?? (stamp.some((byte) => byte !== 0) ? { stamp } : {}));
      }
    };
    try {
      for (let at = 0; at < steps.length;) {
        signal?.throwIfAborted();
        const some = firstThatFit(steps.slice(at, at + MAX_STEPS));
        at += some.length;
        await channel.send({ type: "change", steps: some.map(stepFields) });
        asked.push(some);
        // While the other side makes these changes, the next ones are on their way.
        if (asked.length === CHANGES_AT_ONCE) await answered();
      }
      while (asked.length > 0) await answered();
      return done;
    } catch (error) {
      // A question is refused by itself: what was asked after it is answered, too, before anything else is.
      while (!signal?.aborted && asked.shift() !== undefined) {
        await channel.next().catch(() => asked.splice(0));
      }
      throw error;
    }
  }

  async flush(): Promise<void> {
    await this.#ask({ type: "flush" }, "flushed");
  }

  /** The run came to its end: nothing that arrived and was not placed is wanted any more. */
  async end(): Promise<void> {
    for (const incoming of this.#incoming.values()) await incoming.clear();
    await this.#ask({ type: "end", done: true }, "ended");
  }

  async #ask<T extends SyncMessageType>(
    message: SyncMessage,
    answer: T,
    about: Parameters<SyncChannel["expect"]>[1] = {},
  ): Promise<SyncMessageOf<T>> {
    const { channel, signal } = this.#options;
    signal?.throwIfAborted();
    await channel.send(message);
    return await channel.expect(answer, about);
  }

  /** Names the files; gives those that need not travel. */
  async #stage(
    way: "push" | "pull",
    files: readonly Staged[],
  ): Promise<{ failed: Map<number, Failure>; held: Set<number> }> {
    const { channel } = this.#options;
    await channel.send({ type: "stage", way, files: files.length });
    for (const message of filesMessages(files)) await channel.send(message);
    const ready = await channel.expect("ready");
    const paths = new Map(files.map(({ slot, path }) => [slot, path]));
    return { failed: failuresOf(ready, (slot) => paths.get(slot)), held: new Set(u32s(ready.held)) };
  }

  /** Has a transfer on a link of its own, if there is something to transfer; gives what the other side says of it. */
  async #transfer(
    isWanted: boolean,
    run: Parameters<typeof overDataLink>[1],
  ): Promise<{ staged: Map<number, Failure> }> {
    const { channel, nextLink, signal } = this.#options;
    await channel.send({ type: "go", link: isWanted });
    try {
      if (isWanted) await overDataLink({ channel, nextLink, ...signal && { signal } }, run);
    } catch (error) {
      // Somebody wrote to a file just now: what came before it counts, and the next round sees to the rest.
      if (!isWormholeError(error, "SOURCE_CHANGED")) throw error;
    }
    const answer = await channel.expect("staged");
    return { staged: failuresOf(answer, (slot) => `slot ${slot}`) };
  }

  /** Gets those pages that are not known here. */
  async #snapshot({ entries, pages, digest }: SyncMessageOf<"scanned">): Promise<Snapshot> {
    const { cache, channel, queue } = this.#options;
    const old = cache.ids();
    let ids: Uint8Array = old;
    if (ids.length !== pages * PAGE_ID_BYTES || !sameBytes(hashBuffer(ids), digest)) {
      ids = await this.#ids(pages, digest);
    }
    const parts: (Uint8Array | undefined)[] = [];
    // What comes is held until all is there, so it must not be more than what was announced.
    let rows = 0;
    const take = (page: Uint8Array) => {
      rows += rowsOf(page) ?? Infinity;
      if (rows > entries) throw unexpected("page");
      return page;
    };
    for (let at = 0; at < pages; at++) {
      const page = cache.page(idAt(ids, at));
      parts.push(page && take(page));
    }
    const likes = new Map<number, NewPage["like"]>();
    const missing = [...parts.keys()].filter((at) => parts[at] === undefined);
    const bases = missing.length === 0 ? [] : basesFor(ids, old);
    for (let at = 0; at < missing.length; at += MAX_ASKED_PAGES) {
      const some = missing.slice(at, at + MAX_ASKED_PAGES);
      const named = concat(...some.map((index) => bases[index] ?? NO_PAGE));
      await channel.send({ type: "ask_pages", pages: u32Column(some), bases: named });
      const coming: Promise<void>[] = [];
      for (const index of some) {
        const message = await channel.expect("page").catch(async (error) => {
          await Promise.all(coming); // What was wrong with an earlier one comes first.
          throw error;
        });
        const taken = (async () => {
          const base = bases[index] && cache.page(bases[index]);
          const page = await pageOf(queue, message, base);
          if (!sameBytes(hashBuffer(page), idAt(ids, index))) throw unexpected("page");
          parts[index] = take(page);
          const places = base && differences(page, base);
          if (places !== undefined) likes.set(index, { id: bases[index]!, places: () => places });
        })();
        taken.catch(() => {}); // Whoever waits for it is told.
        coming.push(taken);
        // Others come while one is made whole.
        if (coming.length === PAGES_AT_ONCE) await coming.shift();
      }
      await Promise.all(coming);
    }
    const whole = parts as Uint8Array[];
    const snapshot = snapshotOf(whole, 1);
    if (snapshot === undefined || snapshot.count !== entries) throw unexpected("page");
    checkSnapshot(snapshot);
    cache.save(
      ids as Uint8Array<ArrayBuffer>,
      whole.map((bytes, at) => {
        const like = likes.get(at);
        return { id: idAt(ids, at), bytes: () => bytes as Uint8Array<ArrayBuffer>, ...like && { like } };
      }),
    );
    return snapshot;
  }

  async #ids(pages: number, digest: Uint8Array): Promise<Uint8Array> {
    const { channel } = this.#options;
    await channel.send({ type: "ask_ids" });
    const all = new Uint8Array(pages * PAGE_ID_BYTES);
    for (let at = 0, isLast = false; !isLast;) {
      const { ids, last } = await channel.expect("ids");
      if (ids.length > all.length - at || (ids.length === 0 && !last)) throw unexpected("ids");
      all.set(ids, at);
      at += ids.length;
      isLast = last;
    }
    if (!sameBytes(hashBuffer(all), digest)) throw unexpected("ids");
    return all;
  }
}

const LOCK_STATES: Partial<Record<ErrorCode, string>> = {
  BUSY: "somebody has locked that folder, or one above it, there",
};

/** Messages of changes that the other side may have to answer at a time; wire/spec/sync.md §2. */
const CHANGES_AT_ONCE = 2;

/** Pages that are made whole at a time: each waits for another thread to decompress it. */
const PAGES_AT_ONCE = 16;

/** Stands for no page. */
const NO_PAGE = new Uint8Array(PAGE_ID_BYTES);

function idAt(ids: Uint8Array, page: number): Uint8Array<ArrayBuffer> {
  return ids.slice(PAGE_ID_BYTES * page, PAGE_ID_BYTES * (page + 1)) as Uint8Array<ArrayBuffer>;
}

type StepFields = SyncMessageOf<"change">["steps"][number];

function stepFields(step: Step): StepFields {
  const { path, ...rest } = step;
  return {
    path: encodeName(path),
    ...rest,
    ..."from" in rest && { from: encodeName(rest.from) },
    ..."keep" in rest && rest.keep !== undefined && { keep: encodeName(rest.keep) },
  } as StepFields;
}

function firstThatFit(steps: readonly Step[]): Step[] {
  let bytes = 0;
  const fitting = steps.findIndex((step, index) => {
    const { path, from, keep } = step as { path: string; from?: string; keep?: string };
    for (const each of [path, from, keep]) bytes += 3 * (each?.length ?? 0);
    bytes += 64;
    return bytes > MAX_PATHS_BYTES && index > 0;
  });
  return fitting < 0 ? [...steps] : steps.slice(0, fitting);
}
