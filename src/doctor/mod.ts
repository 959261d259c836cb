/**
 * Looks at what this machine offers to Wormhole, one finding after the other, in plain words.
 *
 * It never changes anything but a probe file that it removes at once, and never ends with a failure: whatever
 * a check throws becomes a finding.
 */
import type { WormholeError } from "../base/errors.ts";
import type { LoadedConfig } from "../config/config.ts";
import { checkCache, checkConfigFolder, checkKey, checkSettings, checkSpace } from "./disk.ts";
import { checkFileAccess, checkFuse, checkKernel, checkKernelTls } from "./kernel.ts";
import { checkHub, checkNetwork } from "./network.ts";
import { checkLibrary, checkProgram } from "./program.ts";

export { conclude, type Conclusion } from "./conclude.ts";
export { explain } from "./explain.ts";
export { filtering, isUnknown, natKind, type NetworkFacts, views } from "./facts.ts";
export { lookAtNetwork } from "./look_at_network.ts";

/** One thing that was looked at. */
export interface Finding {
  /** What was looked at: "UDP". */
  readonly name: string;
  /** ok; note: works without it; problem: something will not work. */
  readonly status: "ok" | "note" | "problem";
  /** What was found. */
  readonly text: string;
  /** What to do about it. */
  readonly advice?: string;
}

/** What the checks look at. */
export interface Surroundings {
  readonly settings: LoadedConfig;
  /** Why the settings are not valid. */
  readonly settingsProblem?: WormholeError;
  /** This program's version. */
  readonly version: string;
  /** Folder into which files would be received. */
  readonly folder: string;
  readonly signal?: AbortSignal;
}

type Check = (surroundings: Surroundings) => Promise<Finding[]> | Finding[];

const CHECKS: readonly (readonly [string, Check])[] = [
  ["program", checkProgram],
  ["library", checkLibrary],
  ["kernel", checkKernel],
  ["file access", checkFileAccess],
  ["kernel TLS", checkKernelTls],
  ["FUSE", checkFuse],
  ["network", checkNetwork],
  ["hub", checkHub],
  ["settings", checkSettings],
  ["config folder", checkConfigFolder],
  ["cache folder", checkCache],
  ["machine key", checkKey],
  ["space", checkSpace],
];

/** Gives the findings as they come; stops with the signal's reason. */
export async function* diagnose(surroundings: Surroundings): AsyncGenerator<Finding> {
  for (const [name, check] of CHECKS) {
    surroundings.signal?.throwIfAborted();
    try {
      yield* await check(surroundings);
    } catch (error) {
      surroundings.signal?.throwIfAborted();
      const reason = error instanceof Error ? error.message : String(error);
      yield { name, status: "problem", text: `this could not be checked: ${reason}` };
    }
  }
}
