import type { Clock } from "../base/clock.ts";
import { isWormholeError, WormholeError } from "../base/errors.ts";
import { dirname, join } from "../base/paths.ts";
import { ReaderQueue } from "./queue.ts";

/** Readers at a time; more are turned away. */
const MAX_READERS = 64;

/** What a reader may be behind, in bytes, beside what the system holds for it. */
const MAX_BEHIND_BYTES = 1024 * 1024;

/** How long readers get at the end for what they have not read yet, in ms. */
const LAST_MS = 500;

/** Rest after the system could not give a connection, in ms: it has run out of something that others must give back. */
const PAUSE_MS = 100;

/** Longest path of a socket on Linux, in bytes (unix(7): 108 with a zero). */
const MAX_PATH_BYTES = 107;

/** Options of {@linkcode EventSocket.open}. */
export interface EventSocketOptions {
  /** Absolute; its folder must be there. */
  readonly path: string;
  readonly clock: Clock;
  /** Gives the lines with which everybody who connects begins. */
  greeting(): readonly string[];
}

interface Reader {
  readonly connection: Deno.Conn;
  readonly queue: ReaderQueue;
  readonly done: Promise<unknown>;
}

/** A socket on which events are told. Dispose it to remove it. */
export class EventSocket implements AsyncDisposable {
  readonly path: string;
  readonly #options: EventSocketOptions;
  readonly #listener: Deno.UnixListener;
  readonly #inode: number | null;
  readonly #readers = new Set<Reader>();
  readonly #accepting: Promise<void>;
  readonly #closing = new AbortController();

  private constructor(options: EventSocketOptions, listener: Deno.UnixListener, inode: number | null) {
    this.path = options.path;
    this.#options = options;
    this.#listener = listener;
    this.#inode = inode;
    this.#accepting = this.#accept();
  }

  /**
   * Opens a socket (mode 0600) at a path where nothing is, or what a program left that ended.
   *
   * @throws {WormholeError} ADDRESS_IN_USE while somebody answers there; ALREADY_EXISTS when it is something else;
   * NAME_TOO_LONG; what the disk says.
   */
  static async open(options: EventSocketOptions): Promise<EventSocket> {
    const { path } = options;
    try {
      await mustBeFree(path);
      // Made where nobody else gets in, so that it is never open to others.
      const hidden = await Deno.makeTempDir({ dir: dirname(path), prefix: "." });
      try {
        const made = join(hidden, "s");
        if (Math.max(byteLength(made), byteLength(path)) > MAX_PATH_BYTES) {
          throw failure("NAME_TOO_LONG", path, `a socket's path has at most ${MAX_PATH_BYTES - 20} bytes`);
        }
        const listener = Deno.listen({ transport: "unix", path: made });
        try {
          await Deno.chmod(made, 0o600);
          const { ino } = await Deno.lstat(made);
          await Deno.rename(made, path);
          return new EventSocket(options, listener, ino);
        } catch (error) {
          listener.close();
          throw error;
        }
      } finally {
        await Deno.remove(hidden, { recursive: true });
      }
    } catch (cause) {
      if (isWormholeError(cause) || !(cause instanceof Error)) throw cause;
      const code = cause instanceof Deno.errors.PermissionDenied
        ? "PERMISSION_DENIED"
        : cause instanceof Deno.errors.NotFound
        ? "NOT_FOUND"
        : "IO";
      throw failure(code, path, cause.message, cause);
    }
  }

  /** How many read just now. */
  get readers(): number {
    return this.#readers.size;
  }

  /** Tells everybody; `line` ends with a line break. Never waits. */
  tell(line: string): void {
    if (this.#readers.size === 0) return;
    const bytes = new TextEncoder().encode(line);
    for (const reader of this.#readers) if (!reader.queue.push(bytes)) this.#drop(reader);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closing.signal.aborted) return;
    this.#closing.abort();
    this.#listener.close();
    await this.#accepting;
    for (const { queue } of this.#readers) queue.end();
    const all = Promise.all([...this.#readers].map(({ done }) => done));
    const stop = new AbortController();
    await Promise.race([all, this.#options.clock.sleep(LAST_MS, stop).catch(() => {})]);
    stop.abort();
    for (const reader of this.#readers) this.#drop(reader);
    // Another program may have made its own there.
    const there = await Deno.lstat(this.path).catch(() => undefined);
    if (there?.ino === this.#inode) await Deno.remove(this.path).catch(() => {});
  }

  async #accept(): Promise<void> {
    const { signal } = this.#closing;
    while (!signal.aborted) {
      try {
        const connection = await this.#listener.accept();
        if (this.#readers.size >= MAX_READERS) connection.close();
        else this.#greet(connection);
      } catch {
        // Out of file descriptors, or somebody who left again; the listener itself is sound. Or it was closed.
        await this.#options.clock.sleep(PAUSE_MS, { signal }).catch(() => {});
      }
    }
  }

  #greet(connection: Deno.Conn): void {
    const queue = new ReaderQueue({ maxBytes: MAX_BEHIND_BYTES });
    // Before anything else can happen, so that nothing is told twice or not at all.
    queue.push(new TextEncoder().encode(this.#options.greeting().join("")));
    const reader: Reader = {
      connection,
      queue,
      done: feed(connection, queue).then(() => this.#drop(reader)),
    };
    this.#readers.add(reader);
    void untilClosed(connection).then(() => this.#drop(reader));
  }

  #drop(reader: Reader): void {
    if (!this.#readers.delete(reader)) return;
    reader.queue.end();
    reader.connection.close();
  }
}

async function feed(connection: Deno.Conn, queue: ReaderQueue): Promise<void> {
  try {
    for (let bytes = await queue.next(); bytes !== undefined; bytes = await queue.next()) {
      for (let at = 0; at < bytes.length;) at += await connection.write(bytes.subarray(at));
    }
  } catch {
    // It does not read any more.
  }
}

/** What readers say is of no interest; that they are gone is. */
async function untilClosed(connection: Deno.Conn): Promise<void> {
  const nothing = new Uint8Array(256);
  try {
    while (await connection.read(nothing) !== null);
  } catch {
    // It was dropped.
  }
}

async function mustBeFree(path: string): Promise<void> {
  const there = await Deno.lstat(path).catch((error) => {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  });
  if (there === undefined) return;
  if (!there.isSocket) throw failure("ALREADY_EXISTS", path, "something else is there");
  const answers = await Deno.connect({ transport: "unix", path }).then((connection) => {
    connection.close();
    return true;
  }, () => false);
  if (answers) throw failure("ADDRESS_IN_USE", path, "another program uses it");
}

function byteLength(path: string): number {
  return new TextEncoder().encode(path).length;
}

function failure(
  code: "NAME_TOO_LONG" | "ALREADY_EXISTS" | "ADDRESS_IN_USE" | "PERMISSION_DENIED" | "NOT_FOUND" | "IO",
  path: string,
  state: string,
  cause?: Error,
): WormholeError {
  return new WormholeError(code, `Cannot open the socket "${path}": ${state}`, { cause });
}
