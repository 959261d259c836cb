import { WormholeError } from "../base/errors.ts";
import { join } from "../base/paths.ts";

/** Most bytes of an entry that are read. */
const MAX_ENTRY_BYTES = 4096;

const NAME = /^([1-9]\d{0,8})\.json$/;

/** Most senders to one machine that are looked at. */
const MAX_KNOWN = 16;

/** A sender of this person on this machine. */
export interface LocalSender {
  nameplate: string;
  /** Its mailbox on the loopback interface. */
  url: URL;
  pid: number;
}

/**
 * A private folder with one small file per sender of this person on this machine, so that a receiver finds it
 * without any network. Entries of processes that are gone are removed when met.
 */
export class LocalRegistry {
  readonly #folder: string;

  /** Uses `folder`, such as `$XDG_RUNTIME_DIR/wormhole/rendezvous`; it is made when the first entry is. */
  constructor(folder: string) {
    this.#folder = folder;
  }

  /**
   * Enters a sender of this process until disposed; undefined when the nameplate is taken.
   *
   * @throws {WormholeError} IO when the folder cannot be used, PERMISSION_DENIED when others could write to it.
   */
  async register(nameplate: string, url: string): Promise<AsyncDisposable | undefined> {
    await this.#makeFolder();
    if (await this.find(nameplate) !== undefined) return undefined;
    return await this.#write(nameplate, url);
  }

  /** Gives the living sender of `nameplate`; undefined when there is none. */
  async find(nameplate: string): Promise<LocalSender | undefined> {
    const path = this.#path(nameplate);
    let text: string;
    try {
      const { size, isFile } = await Deno.lstat(path);
      if (!isFile || size > MAX_ENTRY_BYTES) return undefined;
      text = await Deno.readTextFile(path);
    } catch {
      return undefined; // Gone, or not ours to read: there is no sender to be found here.
    }
    const sender = parseEntry(nameplate, text);
    if (sender !== undefined && await isAlive(sender.pid)) return sender;
    // An entry that is being written is empty for a moment and must stay.
    if (sender !== undefined) await remove(path);
    return undefined;
  }

  /** Gives the nameplates of all living senders. */
  async nameplates(): Promise<string[]> {
    const found: string[] = [];
    try {
      for await (const { name } of Deno.readDir(this.#folder)) {
        const nameplate = NAME.exec(name)?.[1];
        if (nameplate !== undefined && await this.find(nameplate) !== undefined) found.push(nameplate);
      }
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) {
        throw new WormholeError("IO", `Cannot read "${this.#folder}": ${reason(error)}`);
      }
    }
    return found;
  }

  /**
   * Enters a sender for a machine that knows it, until disposed; several processes may enter one `entry` (hex digits).
   *
   * @throws {WormholeError} as {@linkcode LocalRegistry.register}.
   */
  async registerKnown(entry: string, url: string): Promise<AsyncDisposable> {
    await this.#makeFolder();
    for (let number = 1;; number++) {
      const made = await this.#write(`known-${entry}-${Deno.pid}-${number}`, url);
      if (made !== undefined) return made;
    }
  }

  /** Gives the living senders of `entry`. */
  async findKnown(entry: string): Promise<LocalSender[]> {
    const found: LocalSender[] = [];
    try {
      for await (const { name } of Deno.readDir(this.#folder)) {
        if (!name.startsWith(`known-${entry}-`) || !name.endsWith(".json")) continue;
        const sender = await this.find(name.slice(0, -".json".length));
        if (sender !== undefined) found.push(sender);
        if (found.length === MAX_KNOWN) break;
      }
    } catch {
      return found; // No folder, or not ours to read: there is no sender to be found here.
    }
    return found;
  }

  async #write(name: string, url: string): Promise<AsyncDisposable | undefined> {
    const path = this.#path(name);
    try {
      await Deno.writeTextFile(path, JSON.stringify({ url, pid: Deno.pid }), {
        createNew: true,
        mode: 0o600,
      });
    } catch (cause) {
      if (cause instanceof Deno.errors.AlreadyExists) return undefined;
      throw new WormholeError("IO", `Cannot write "${path}": ${reason(cause)}`, { cause });
    }
    return { [Symbol.asyncDispose]: () => remove(path) };
  }

  #path(nameplate: string): string {
    return join(this.#folder, `${nameplate}.json`);
  }

  async #makeFolder(): Promise<void> {
    try {
      await Deno.mkdir(this.#folder, { recursive: true, mode: 0o700 });
      const { mode, uid, isDirectory } = await Deno.lstat(this.#folder);
      if (!isDirectory || (uid !== null && uid !== Deno.uid()) || (mode !== null && (mode & 0o022) !== 0)) {
        throw new WormholeError(
          "PERMISSION_DENIED",
          `Cannot use "${this.#folder}": other people can write to it`,
        );
      }
    } catch (cause) {
      if (cause instanceof WormholeError) throw cause;
      throw new WormholeError("IO", `Cannot make "${this.#folder}": ${reason(cause)}`, { cause });
    }
  }
}

function parseEntry(nameplate: string, text: string): LocalSender | undefined {
  try {
    const { url, pid } = JSON.parse(text);
    const parsed = new URL(url);
    if (parsed.protocol !== "ws:" || !Number.isInteger(pid) || pid < 1) return undefined;
    return { nameplate, url: parsed, pid };
  } catch {
    return undefined;
  }
}

async function isAlive(pid: number): Promise<boolean> {
  try {
    if (Deno.build.os === "linux" && (await Deno.lstat(`/proc/${pid}`)).isDirectory) return true;
  } catch {
    // It may be hidden from us, or there is no such folder.
  }
  // Loading it takes 10 ms, which is a tenth of a short command.
  const { default: process } = await import("node:process");
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as { code?: string }).code !== "ESRCH"; // EPERM: it lives, but is not ours.
  }
}

async function remove(path: string): Promise<void> {
  try {
    await Deno.remove(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

function reason(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
