import type { Clock } from "../base/clock.ts";
import { WormholeError } from "../base/errors.ts";
import { basename, dirname, join } from "../base/paths.ts";
import { hashBuffer } from "../native/hash.ts";
import { Database } from "../store/database.ts";
import {
  type Asked,
  type HeldLock,
  type LockRequest,
  LockTable,
  MAX_LOCKS,
  overlaps,
  type WaitingRequest,
} from "./table.ts";

/** Unguessable: 128 random bits. */
const TOKEN_BYTES = 16;

/** How often somebody who waits looks, in ms. */
const LOOK_MS = 200;

/** How often is looked whether a lock has ended, in ms: nobody stands there and waits. */
const ENDED_LOOK_MS = 1000;

/** Times as text would sort wrongly; a key is the hash of a token, so that whoever reads the file has none. */
const MIGRATIONS = [
  `
  CREATE TABLE locks (
    key TEXT PRIMARY KEY, path TEXT NOT NULL, shared INTEGER NOT NULL, owner TEXT NOT NULL, ttl_ms REAL NOT NULL,
    ticket INTEGER, since_ms REAL NOT NULL, expires_ms REAL
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
`,
  `
  ALTER TABLE locks ADD COLUMN machine TEXT;
`,
];

interface Row {
  readonly key: string;
  readonly path: string;
  readonly shared: number;
  readonly owner: string;
  readonly ttl_ms: number;
  /** null: it is held. */
  readonly ticket: number | null;
  readonly since_ms: number;
  readonly expires_ms: number | null;
  /** null: it is of this machine. */
  readonly machine: string | null;
}

/** A lock with what it takes to renew and release it. */
export interface OwnLock extends Omit<HeldLock, "key"> {
  /** 32 hex digits. */
  readonly token: string;
}

/** Gives a token that nobody guesses: 32 hex digits. */
export function newToken(): string {
  return crypto.getRandomValues(new Uint8Array(TOKEN_BYTES)).toHex();
}

/** The locks of this person on this machine, and of others that ask over a session. Processes may use it at the same time. */
export class LockBook implements Disposable {
  readonly #path: string;
  readonly #clock: Clock;
  #database: Database | undefined;

  /** Uses `locks.db` in `dir`, which is made with the first lock. */
  constructor(dir: string, { clock }: { clock: Clock }) {
    this.#path = join(dir, "locks.db");
    this.#clock = clock;
  }

  /**
   * Locks a path; see {@linkcode lockedPath} for what it must be like. Waits its turn for `waitMs` where somebody is in the way.
   *
   * @throws {WormholeError} BUSY naming who is; as `LockTable.request`; what the disk says; the signal's reason.
   */
  async acquire(
    request: Omit<LockRequest, "key">,
    { waitMs, signal }: { waitMs: number; signal?: AbortSignal },
  ): Promise<OwnLock> {
    const token = newToken();
    const end = this.#clock.monotonic() + waitMs;
    let asked = this.ask(request, { token, waits: waitMs > 0 });
    try {
      while (asked.is === "waiting" && this.#clock.monotonic() < end) {
        await this.#clock.sleep(LOOK_MS, signal === undefined ? {} : { signal });
        asked = this.ask(request, { token, waits: true });
      }
    } finally {
      if (asked.is === "waiting") this.#change((table, now) => table.release(keyOf(token), now));
    }
    if (asked.is === "held") return own(asked.lock, token);
    throw busy(request.path, asked.by);
  }

  /**
   * Asks for a lock by a token of one's own ({@linkcode newToken}), and again how it stands: twice is as good as once. `waits`: as
   * {@linkcode LockTable.request}; without it a place in the queue is given up.
   *
   * @throws {WormholeError} as `LockTable.request`; INVALID_ARGUMENT when the token is that of another path; what the disk says.
   */
  ask(
    request: Omit<LockRequest, "key">,
    { token, waits }: { token: string; waits: boolean },
  ): Asked {
    const key = keyOf(token);
    return this.#change((table, now) => {
      const asked = table.ask(key, now) ?? table.request({ ...request, key }, { now, waits });
      const { held, waiting } = table.state;
      const known = [...held, ...waiting].find((one) => one.key === key);
      if (known !== undefined && known.path !== request.path) {
        throw new WormholeError(
          "INVALID_ARGUMENT",
          `Cannot lock "${request.path}": its token is another lock's`,
        );
      }
      if (asked.is !== "waiting" || waits) return asked;
      table.release(key, now);
      return { is: "refused", by: asked.by };
    });
  }

  /** Gives the lock that has this token; undefined when it is not held. */
  find(token: string): HeldLock | undefined {
    const key = keyOf(token);
    return this.list().find((lock) => lock.key === key);
  }

  /** Resolves as soon as one of the locks with these keys is not held any more. Rejects with the signal's reason. */
  async ended(keys: ReadonlySet<string>, { signal }: { signal: AbortSignal }): Promise<void> {
    while (keys.difference(new Set(this.list().map(({ key }) => key))).size === 0) {
      await this.#clock.sleep(ENDED_LOOK_MS, { signal });
    }
  }

  /** Makes a lock last `ttlMs` from now on. @throws {WormholeError} NOT_FOUND when it is not held any more. */
  renew(token: string, { ttlMs }: { ttlMs: number }): OwnLock {
    const lock = this.#change((table, now) => table.renew(keyOf(token), { now, ttlMs }));
    if (lock === undefined) throw gone("renew");
    return own(lock, token);
  }

  /** Gives up a lock. @throws {WormholeError} NOT_FOUND when it is not held any more. */
  release(token: string): HeldLock {
    const lock = this.#change((table, now) => table.release(keyOf(token), now));
    if (lock === undefined) throw gone("release");
    return lock;
  }

  /** Takes the locks on `path` itself from whoever has them; gives them. */
  breakAt(path: string): HeldLock[] {
    return this.#change((table, now) =>
      table.state.held.filter((lock) => lock.path === path)
        .flatMap(({ key }) => table.release(key, now) ?? [])
    );
  }

  /** Gives all locks that are held, or those that have something to do with `path`. */
  list(path?: string): HeldLock[] {
    // What nobody ever locked needs no file.
    if (this.#database === undefined && !isThere(this.#path)) return [];
    const table = this.#table();
    table.advance(this.#clock.now());
    const all = table.state.held.toSorted((a, b) => a.path < b.path ? -1 : 1);
    return path === undefined ? all : all.filter((lock) => overlaps(lock.path, path));
  }

  [Symbol.dispose](): void {
    this.#database?.[Symbol.dispose]();
  }

  #change<T>(decide: (table: LockTable, now: number) => T): T {
    if (this.#database === undefined) Deno.mkdirSync(dirname(this.#path), { recursive: true, mode: 0o700 });
    const database = this.#open();
    return database.transaction(() => {
      const table = this.#table();
      const result = decide(table, this.#clock.now());
      const { held, waiting, nextTicket } = table.state;
      database.run("DELETE FROM locks");
      for (const lock of held) this.#insert(lock, null, lock.acquiredMs, lock.expiresMs);
      for (const request of waiting) this.#insert(request, request.ticket, request.seenMs, null);
      database.run("INSERT OR REPLACE INTO counters VALUES ('ticket', ?)", nextTicket);
      return result;
    });
  }

  #table(): LockTable {
    const database = this.#open();
    const rows = database.all<Row>(`SELECT * FROM locks ORDER BY ticket, since_ms LIMIT ${MAX_LOCKS}`);
    const next = database.get<{ value: number }>("SELECT value FROM counters WHERE name = 'ticket'");
    const held: HeldLock[] = [], waiting: WaitingRequest[] = [];
    for (const { key, path, shared, owner, machine, ttl_ms: ttlMs, ticket, since_ms, expires_ms } of rows) {
      const request = { key, path, isShared: shared !== 0, owner, ...machine !== null && { machine }, ttlMs };
      if (ticket !== null) waiting.push({ ...request, ticket, seenMs: since_ms });
      else if (expires_ms !== null) held.push({ ...request, acquiredMs: since_ms, expiresMs: expires_ms });
    }
    return new LockTable({ held, waiting, nextTicket: next?.value ?? 1 });
  }

  #insert(request: LockRequest, ticket: number | null, sinceMs: number, expiresMs: number | null): void {
    const { key, path, isShared, owner, machine = null, ttlMs } = request;
    this.#open().run(
      "INSERT INTO locks VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
      key,
      path,
      isShared ? 1 : 0,
      owner,
      ttlMs,
      ticket,
      sinceMs,
      expiresMs,
      machine,
    );
  }

  #open(): Database {
    return this.#database ??= Database.open(this.#path, {
      what: "the locks",
      migrations: MIGRATIONS,
      // They end by themselves anyhow.
      expendable: true,
      onReplaced: () => {},
    });
  }
}

/**
 * Gives the path that stands for `path` in locks: absolute, and where it really is; it need not exist.
 *
 * @throws {WormholeError} INVALID_ARGUMENT for bytes that are no text; what the disk says.
 */
export async function lockedPath(path: string): Promise<string> {
  if (/[\ud800-\udfff]/u.test(path)) {
    throw new WormholeError(
      "INVALID_ARGUMENT",
      `Cannot lock ${JSON.stringify(path)}: it has bytes that are no text`,
    );
  }
  let above = path.startsWith("/") ? path : join(Deno.cwd(), path);
  const missing: string[] = [];
  for (;;) {
    try {
      return join(await Deno.realPath(above), ...missing);
    } catch (cause) {
      const isMissing = cause instanceof Deno.errors.NotFound && dirname(above) !== above;
      if (isMissing && ![".", ".."].includes(basename(above))) {
        missing.unshift(basename(above));
        above = dirname(above);
        continue;
      }
      const state = cause instanceof Error ? cause.message : String(cause);
      const code = cause instanceof Deno.errors.PermissionDenied ? "PERMISSION_DENIED" : "IO";
      throw new WormholeError(code, `Cannot lock "${path}": ${state}`, { cause });
    }
  }
}

function keyOf(token: string): string {
  return hashBuffer(new TextEncoder().encode(token)).toHex();
}

function own({ key: _key, ...lock }: HeldLock, token: string): OwnLock {
  return { ...lock, token };
}

function busy(path: string, by: LockRequest): WormholeError {
  const what = by.path === path ? "it" : `"${by.path}"`;
  const until = "expiresMs" in by ? ` until ${new Date((by as HeldLock).expiresMs).toISOString()}` : "";
  const state = "expiresMs" in by
    ? `${by.owner} has locked ${what}${until}`
    : `${by.owner} waits for ${what}`;
  return new WormholeError("BUSY", `Cannot lock "${path}": ${state}`);
}

function gone(verb: string): WormholeError {
  return new WormholeError(
    "NOT_FOUND",
    `Cannot ${verb} the lock: it has ended, or there never was one with that token`,
  );
}

function isThere(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
