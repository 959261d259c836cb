import type { Context } from "../context.ts";
import type { VersionArgs } from "../table.ts";
import { VERSION } from "../version.ts";

/** Prints the version. */
export function run({ output }: Context<VersionArgs>): Promise<void> {
  output.print(`wormhole ${VERSION}\n`);
  return Promise.resolve();
}
