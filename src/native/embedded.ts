import { Buffer } from "node:buffer";
import { WormholeError } from "../base/errors.ts";
import { fromFileUrl, join } from "../base/paths.ts";

/** Folder next to the bundled program, inside the executable, that `scripts/compile` puts the library into. */
const EMBEDDED_FOLDER = "./native/";

/** The library as an executable carries it. */
export interface EmbeddedLibrary {
  /** File name, as the system's loader wants it. */
  name: string;
  bytes: Uint8Array;
  /** SHA-256 of `bytes` in hex, made by `scripts/compile`; names the cache folder. */
  sha256: string;
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
    bytes: Deno.readFileSync(join(folder, name)),
    sha256: Deno.readTextFileSync(join(folder, "SHA256")).trim(),
  };
}

/**
 * Puts `library` on disk: `<cache>/native/<sha256>/<name>`, written at first use.
 *
 * The folder belongs to this user alone (0700) and a file that is there already is used only when it is
 * byte for byte the embedded one, so nobody can leave a library there for us to load. Without a cache folder
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
    Deno.writeFileSync(path, library.bytes, { createNew: true, mode: 0o700 });
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

function extractInto(parent: string, { name, bytes, sha256 }: EmbeddedLibrary): string {
  const folder = join(parent, sha256);
  Deno.mkdirSync(folder, { recursive: true, mode: 0o700 });
  checkPrivate(folder);
  const path = join(folder, name);
  if (holds(path, bytes)) return path;
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

function holds(path: string, bytes: Uint8Array): boolean {
  try {
    const { isFile, size } = Deno.lstatSync(path);
    return isFile && size === bytes.length && Buffer.compare(Deno.readFileSync(path), bytes) === 0;
  } catch {
    return false;
  }
}
