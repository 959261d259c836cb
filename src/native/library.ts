import { fromFileUrl } from "../base/paths.ts";
import { WormholeError } from "../base/errors.ts";
import { SYMBOLS } from "./symbols.ts";

/** The seam's version; `ffi/src/lib.rs` holds the same number. */
export const ABI_VERSION = 1;

/** The loaded library with its typed symbols. */
export type Library = Deno.DynamicLibrary<typeof SYMBOLS>;

let loaded: Library | undefined;

/**
 * Gives the native library, loading it at first use from `WORMHOLE_LIBRARY` or `libs/<target>/`.
 *
 * It is never unloaded: closing a library while a nonblocking call is inside it crashes the process.
 *
 * @throws {WormholeError} NATIVE_LIBRARY when it is missing, unreadable or of another version.
 */
export function loadLibrary(): Library {
  loaded ??= open(libraryPath());
  return loaded;
}

/** Gives the path that {@linkcode loadLibrary} uses. */
export function libraryPath(): string {
  const given = Deno.env.get("WORMHOLE_LIBRARY");
  if (given) return given;
  const name = { windows: "wormhole_ffi.dll", darwin: "libwormhole_ffi.dylib" }[Deno.build.os as string] ??
    "libwormhole_ffi.so";
  return fromFileUrl(new URL(`../../libs/${Deno.build.target}/${name}`, import.meta.url));
}

function open(path: string): Library {
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
  return library;
}
