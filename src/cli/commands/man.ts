import type { Context } from "../context.ts";
import { manPage } from "../man.ts";
import type { ManArgs } from "../table.ts";

/** Prints the manual page. */
export function run({ output }: Context<ManArgs>): Promise<void> {
  output.print(manPage());
  return Promise.resolve();
}
