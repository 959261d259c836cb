/** The locks of this machine as another one may see and take them over a session; wire/spec/locks.md. */
import { isWormholeError, WormholeError } from "../../base/errors.ts";
import { decodeName, encodeName } from "../../base/names.ts";
import { type HeldLock, type LockBook, lockedPath, type LockRequest, overlaps } from "../../locks/mod.ts";
import type { SharedFolder } from "../../peers/mod.ts";
import {
  MAX_LOCK_OWNER_BYTES,
  MAX_LOCK_TTL_MS,
  MAX_TARGET_BYTES,
  MAX_TOLD_LOCK_BYTES,
  MAX_TOLD_LOCKS,
  type SyncMessage,
  type SyncMessageOf,
  type ToldLock,
} from "../../wire/mod.ts";
import { absolutePath, isMissingIn, wayTo } from "./asked_path.ts";

/** What a machine asks about locks. */
export type LockQuestion = SyncMessageOf<"lock" | "renew" | "unlock" | "ask_locks">;

/** What {@linkcode ServedLocks} needs. */
export interface ServedLocksOptions {
  readonly book: LockBook;
  /** Key of the other machine, in hex. */
  readonly machine: string;
  /** Gives the folders that it has a right to just now. */
  folders(): Promise<readonly SharedFolder[]>;
  /** What a relative path is below. */
  readonly home: string;
  /** ms since 1970. */
  readonly now: () => number;
}

/** A lock without what it takes to renew it; or a request that waits. */
type Tellable = Omit<HeldLock, "key"> | Omit<LockRequest, "key">;

/** See the top of this file. */
export class ServedLocks {
  readonly #options: ServedLocksOptions;

  constructor(options: ServedLocksOptions) {
    this.#options = options;
  }

  /** Gives the answer to one question; what cannot be done is refused and ends nothing. */
  async answer(question: LockQuestion): Promise<SyncMessage> {
    try {
      return await this.#answer(question);
    } catch (error) {
      if (!isWormholeError(error)) throw error;
      return { type: "refused", code: error.code };
    }
  }

  /** Tells locks of a folder, with paths below it. */
  told(locks: ReadonlyMap<string, HeldLock>): { locks: ToldLock[]; more: number } {
    return firstThatFit([...locks].map(([path, lock]) => this.#told({ ...lock, path })));
  }

  /** Resolves as soon as one of the locks with these keys has ended. */
  ended(keys: ReadonlySet<string>, about: { signal: AbortSignal }): Promise<void> {
    return this.#options.book.ended(keys, about);
  }

  async #answer(question: LockQuestion): Promise<SyncMessage> {
    const { book } = this.#options;
    switch (question.type) {
      case "lock":
        return await this.#lock(question);
      case "renew": {
        const token = question.token.toHex();
        const lock = book.find(token);
        if (lock !== undefined) await this.#mayChange(lock.path);
        return this.#state("held", book.renew(token, { ttlMs: question.ttl_ms }));
      }
      case "unlock":
        return this.#state("ended", book.release(question.token.toHex()));
      case "ask_locks":
        return {
          type: "locks",
          ...firstThatFit((await this.#list(question.path)).map((lock) => this.#told(lock))),
        };
    }
  }

  async #lock(
    { token, path, shared, owner, ttl_ms: ttlMs, wait }: SyncMessageOf<"lock">,
  ): Promise<SyncMessage> {
    const { book, machine } = this.#options;
    const place = await this.#resolved(decodeName(path), "lock");
    await this.#mayChange(place);
    const asked = book.ask(
      { path: place, isShared: shared, owner, machine, ttlMs },
      { token: token.toHex(), waits: wait },
    );
    if (asked.is === "held") return this.#state("held", asked.lock);
    return this.#state(asked.is === "waiting" ? "waiting" : "busy", asked.by);
  }

  async #list(path: Uint8Array): Promise<HeldLock[]> {
    const { book, folders } = this.#options;
    const roots = (await folders()).map((folder) => folder.path);
    const wanted = path.length === 0 ? roots : [await this.#resolved(decodeName(path), "list")];
    // Of what lies beside its folders it learns nothing; what lies above them locks them.
    return book.list().filter((lock) => (
      roots.some((root) => overlaps(lock.path, root)) && wanted.some((one) => overlaps(lock.path, one))
    ));
  }

  /** Gives where `path` really is. @throws {WormholeError} REFUSED outside of what there is a right to, whatever is there. */
  async #resolved(path: string, use: "lock" | "list"): Promise<string> {
    const { folders, home } = this.#options;
    const all = await folders();
    const asked = absolutePath(path, { folders: all, home });
    if (asked === undefined) throw refused(use);
    // What a system makes of bytes that are no text may be another path.
    if (!asked.isWellFormed()) {
      throw new WormholeError("INVALID_ARGUMENT", `Cannot ${use} a path: it has bytes that are no text`);
    }
    const isThere = await Deno.realPath(asked).then(
      (place) => wayTo(all, place) !== undefined,
      () => undefined,
    );
    if (isThere === false || (isThere === undefined && !await isMissingIn(all, asked))) throw refused(use);
    const place = await lockedPath(asked);
    if (wayTo(all, place) === undefined) throw refused(use);
    return place;
  }

  async #mayChange(place: string): Promise<void> {
    const way = wayTo(await this.#options.folders(), place);
    if (way === undefined || way === "pull") throw refused("lock");
  }

  #state(state: "held" | "waiting" | "busy" | "ended", lock: Tellable): SyncMessage {
    return { type: "lock_state", state, lock: this.#told(lock) };
  }

  #told(lock: Tellable): ToldLock {
    const { path, owner, isShared, machine } = lock;
    const now = this.#options.now();
    return {
      path: encodeName(path),
      owner: firstBytes(owner, MAX_LOCK_OWNER_BYTES),
      shared: isShared,
      holder: machine === undefined ? "here" : machine === this.#options.machine ? "you" : "other",
      ..."acquiredMs" in lock && {
        age_ms: Math.max(0, Math.round(now - lock.acquiredMs)),
        left_ms: Math.min(MAX_LOCK_TTL_MS, Math.max(0, Math.round(lock.expiresMs - now))),
      },
    };
  }
}

function refused(verb: string): WormholeError {
  return new WormholeError("REFUSED", `Cannot ${verb}: there is no right to that`);
}

/** People here may have locked longer paths than a message takes, and more of them. */
function firstThatFit(locks: readonly ToldLock[]): { locks: ToldLock[]; more: number } {
  let bytes = 0;
  const some = locks.filter(({ path }) => path.length > 0 && path.length <= MAX_TARGET_BYTES).slice(
    0,
    MAX_TOLD_LOCKS,
  );
  const end = some.findIndex(({ path, owner }) => {
    bytes += path.length + new TextEncoder().encode(owner).length + 64;
    return bytes > MAX_TOLD_LOCK_BYTES;
  });
  const told = end < 0 ? some : some.slice(0, end);
  return { locks: told, more: locks.length - told.length };
}

/** Gives the beginning of `text`, cut between characters. */
function firstBytes(text: string, bytes: number): string {
  const whole = text.toWellFormed();
  return whole.slice(0, new TextEncoder().encodeInto(whole, new Uint8Array(bytes)).read);
}
