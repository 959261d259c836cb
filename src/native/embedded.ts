import { Buffer } from "node:buffer";
import { WormholeError } from "../base/errors.ts";
import { fromFileUrl, join } from "../base/paths.ts";

/** Folder next to the bundled program, inside the executable, that `scripts/compile` puts the library into. */
const EMBEDDED_FOLDER = "./native/";

/**
 * Age at which a file's times tell whether it was changed again: they are in whole ms here, and of some file systems in
 * whole seconds.
 */
const SETTLED_MS = 2_000;

/** The library as an executable carries it. */
export interface EmbeddedLibrary {
  /** File name, as the system's loader wants it. */
  name: string;
  /** SHA-256 of the library in hex, made by `scripts/compile`; names the cache folder. */
  sha256: string;
  /** Gives the library; takes some 100 ms, so it is only asked for when it is needed. */
  bytes(): Uint8Array;
}

/** Where {@linkcode extractLibrary} put the library. */
export interface Extracted {
  path: string;
  /** Folder to remove once the library is loaded, when there was no cache folder. */
  temporary?: string;
}

/** Gives the library inside this executable (`Deno.build.standalone`). */
export function readEmbedded(name: string): EmbeddedLibrary {
  const folder = fromFileUrl(new URL(EMBEDDED_FOLDER, Deno.mainModule));
  return {
    name,
    sha256: Deno.readTextFileSync(join(folder, "SHA256")).trim(),
    // Compressed, since the runtime reads the whole executable's contents at every start. Loaded here for the same reason.
    bytes: () => unzip(packed(folder, name)),
  };
}

function packed(folder: string, name: string): Uint8Array {
  const place = read(join(folder, "PLACE"));
  if (place === undefined) return Deno.readFileSync(join(folder, `${name}.gz`));
  const [offset, length] = place.split(" ").map(Number);
  return readRange("/proc/self/exe", { offset: offset!, length: length! });
}

/** Reads a part of a file. @throws {WormholeError} NATIVE_LIBRARY when it ends before. */
export function readRange(
  path: string,
  { offset, length }: { offset: number; length: number },
): Uint8Array<ArrayBuffer> {
  using file = Deno.openSync(path, { read: true });
  file.seekSync(offset, Deno.SeekMode.Start);
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length;) {
    const count = file.readSync(bytes.subarray(at));
    if (count === null) {
      throw new WormholeError(
        "NATIVE_LIBRARY",
        `Cannot read the native library from "${path}": it is cut off`,
      );
    }
    at += count;
  }
  return bytes;
}

/** Takes what an import of node:process would load, 10 ms of every start, only when it is needed. */
function unzip(bytes: Uint8Array): Uint8Array {
  const { process } = globalThis as unknown as { process: typeof import("node:process") };
  return process.getBuiltinModule("node:zlib").gunzipSync(bytes);
}

/**
 * Puts `library` on disk: `<cache>/native/<sha256>/<name>`, written at first use.
 *
 * The folder belongs to this user alone (0700) and a file that is there already is used only when it is
 * byte for byte the embedded one, so nobody can leave a library there for us to load. Once that was found, a note
 * beside it says of which file, so that it need not be read again until it is replaced or changed. Without a cache folder
 * that can be written (no HOME, read-only) the library goes to a new folder of random name, `temporary`.
 *
 * @throws {WormholeError} NATIVE_LIBRARY when it can be written nowhere.
 */
export function extractLibrary(library: EmbeddedLibrary, cacheFolder: string | undefined): Extracted {
  if (cacheFolder !== undefined) {
    try {
      return { path: extractInto(join(cacheFolder, "native"), library) };
    } catch {
      // The temporary folder below serves as well; only its failure is one.
    }
  }
  try {
    const temporary = Deno.makeTempDirSync({ prefix: "wormhole-" });
    const path = join(temporary, library.name);
    Deno.writeFileSync(path, library.bytes(), { createNew: true, mode: 0o700 });
    return { path, temporary };
  } catch (cause) {
    throw new WormholeError(
      "NATIVE_LIBRARY",
      `Cannot unpack the native library: ${cause instanceof Error ? cause.message : cause}`,
      { cause },
    );
  }
}

/** Gives the folder for files that can be made again; undefined when the environment names none. */
export function cacheFolder(): string | undefined {
  const given = Deno.env.get("WORMHOLE_CACHE_DIR");
  if (given) return given;
  if (Deno.build.os === "windows") {
    const local = Deno.env.get("LOCALAPPDATA");
    return local ? join(local, "wormhole") : undefined;
  }
  const xdg = Deno.env.get("XDG_CACHE_HOME");
  // A relative XDG_CACHE_HOME is to be ignored (XDG Base Directory Specification).
  if (xdg?.startsWith("/")) return join(xdg, "wormhole");
  const home = Deno.env.get("HOME");
  if (!home?.startsWith("/")) return undefined;
  return join(home, Deno.build.os === "darwin" ? "Library/Caches" : ".cache", "wormhole");
}

function extractInto(parent: string, { name, sha256, ...library }: EmbeddedLibrary): string {
  const folder = join(parent, sha256);
  Deno.mkdirSync(folder, { recursive: true, mode: 0o700 });
  checkPrivate(folder);
  const path = join(folder, name);
  const note = `${path}.checked`;
  const found = identify(path);
  if (found !== undefined && read(note) === found.text) return path;
  const bytes = library.bytes();
  if (holds(path, bytes)) {
    if (found !== undefined && Date.now() - found.changedAt > SETTLED_MS) {
      vouch(path, { note, text: found.text });
    }
    return path;
  }
  const temporary = `${path}.${crypto.randomUUID()}`;
  try {
    Deno.writeFileSync(temporary, bytes, { createNew: true, mode: 0o700 });
    Deno.renameSync(temporary, path);
  } catch (error) {
    try {
      Deno.removeSync(temporary);
    } catch {
      // It was never made, or already renamed.
    }
    // Windows refuses to replace a library that another wormhole has loaded at this moment.
    if (!holds(path, bytes)) throw error;
  }
  return path;
}

/** Refuses a folder that is a link, or that somebody else owns or can write to. */
function checkPrivate(folder: string): void {
  const { isDirectory, isSymlink, uid, mode } = Deno.lstatSync(folder);
  const refused = !isDirectory || isSymlink ||
    (uid !== null && uid !== Deno.uid()) || (mode !== null && (mode & 0o022) !== 0);
  if (refused && Deno.build.os !== "windows") {
    throw new WormholeError("NATIVE_LIBRARY", `Cannot use "${folder}": it is not this user's alone`);
  }
}

/** Tells one state of one file from every other, as far as the system does; undefined where it does not. */
function identify(path: string): { text: string; changedAt: number } | undefined {
  try {
    const { isFile, dev, ino, size, mtime, ctime } = Deno.lstatSync(path);
    if (!isFile || ino === null || mtime === null || ctime === null) return undefined;
    // Nobody can set the last one.
    return { text: [dev, ino, size, +mtime, +ctime].join(" "), changedAt: +ctime };
  } catch {
    return undefined;
  }
}

function read(note: string): string | undefined {
  try {
    return Deno.readTextFileSync(note);
  } catch {
    return undefined;
  }
}

/** Notes that the file was found to be right. Without the note the next start looks again, so it may fail. */
function vouch(path: string, { note, text }: { note: string; text: string }): void {
  try {
    // After a power cut the note must not be there without what it vouches for.
    using file = Deno.openSync(path, { read: true });
    file.syncSync();
    Deno.writeTextFileSync(`${note}.${Deno.pid}`, text, { mode: 0o600 });
    Deno.renameSync(`${note}.${Deno.pid}`, note);
  } catch { /* as said */ }
}

function holds(path: string, bytes: Uint8Array): boolean {
  try {
    const { isFile, size } = Deno.lstatSync(path);
    return isFile && size === bytes.length && Buffer.compare(Deno.readFileSync(path), bytes) === 0;
  } catch {
    return false;
  }
}
