import { fromFileUrl } from "../base/paths.ts";
import { WormholeError } from "../base/errors.ts";
import { cacheFolder, extractLibrary, readEmbedded } from "./embedded.ts";
import { SYMBOLS } from "./symbols.ts";

/** The seam's version; `ffi/src/lib.rs` holds the same number. */
export const ABI_VERSION = 1;

/** The loaded library with its typed symbols. */
export type Library = Deno.DynamicLibrary<typeof SYMBOLS>;

let loaded: { library: Library; path: string } | undefined;

/**
 * Gives the native library, loading it at first use from `WORMHOLE_LIBRARY`, from inside a compiled
 * executable, or from `libs/<target>/`.
 *
 * It is never unloaded: closing a library while a nonblocking call is inside it crashes the process.
 *
 * @throws {WormholeError} NATIVE_LIBRARY when it is missing, unreadable or of another version.
 */
export function loadLibrary(): Library {
  loaded ??= locate();
  return loaded.library;
}

/**
 * Gives the path that {@linkcode loadLibrary} loads from, loading it if need be.
 *
 * @throws {WormholeError} NATIVE_LIBRARY as there.
 */
export function libraryPath(): string {
  loaded ??= locate();
  return loaded.path;
}

function locate(): { library: Library; path: string } {
  const given = Deno.env.get("WORMHOLE_LIBRARY");
  if (given) return open(given);
  const name = { windows: "wormhole_ffi.dll", darwin: "libwormhole_ffi.dylib" }[Deno.build.os as string] ??
    "libwormhole_ffi.so";
  if (Deno.build.standalone) return openEmbedded(name);
  return open(fromFileUrl(new URL(`../../libs/${Deno.build.target}/${name}`, import.meta.url)));
}

function openEmbedded(name: string): { library: Library; path: string } {
  const { path, temporary } = extractLibrary(readEmbedded(name), cacheFolder());
  try {
    return open(path);
  } finally {
    // A loaded library needs its file no longer, except on Windows, which refuses.
    if (temporary !== undefined && Deno.build.os !== "windows") {
      Deno.removeSync(temporary, { recursive: true });
    }
  }
}

function open(path: string): { library: Library; path: string } {
  let library: Library;
  try {
    library = Deno.dlopen(path, SYMBOLS);
  } catch (cause) {
    throw new WormholeError(
      "NATIVE_LIBRARY",
      `Cannot load the native library "${path}": ${cause instanceof Error ? cause.message : cause}`,
      { cause },
    );
  }
  const version = library.symbols.wh_abi_version();
  if (version !== ABI_VERSION) {
    library.close();
    throw new WormholeError(
      "NATIVE_LIBRARY",
      `Cannot use the native library "${path}": its version is ${version}, this program needs ${ABI_VERSION}`,
    );
  }
  return { library, path };
}
