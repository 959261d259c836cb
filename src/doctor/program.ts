import { ABI_VERSION, libraryPath, loadLibrary } from "../native/library.ts";
import type { Finding, Surroundings } from "./mod.ts";

/** Oldest and newest Deno that the program is built for; README. */
const OLDEST_DENO = [2, 6];

/** Reports the program's version and the Deno under it. */
export function checkProgram({ version }: Surroundings): Finding[] {
  const [major = 0, minor = 0] = Deno.version.deno.split(".").map(Number);
  const old = major < OLDEST_DENO[0]! || (major === OLDEST_DENO[0] && minor < OLDEST_DENO[1]!);
  return [{
    name: "program",
    status: old ? "problem" : "ok",
    text: `Wormhole ${version} on Deno ${Deno.version.deno}, ${Deno.build.target}`,
    advice: old ? `Use Deno ${OLDEST_DENO.join(".")} or newer; scripts/wormhole installs one.` : undefined,
  }];
}

/** Reports whether the native library loads and fits. */
export function checkLibrary(): Finding[] {
  try {
    loadLibrary();
    return [{ name: "library", status: "ok", text: `loaded, interface ${ABI_VERSION} ("${libraryPath()}")` }];
  } catch (error) {
    return [{
      name: "library",
      status: "problem",
      text: error instanceof Error ? error.message : String(error),
      advice: "Build it with scripts/bootstrap, or install Wormhole again.",
    }];
  }
}
