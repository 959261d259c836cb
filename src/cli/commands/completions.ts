import { completionScript } from "../completions.ts";
import type { Context } from "../context.ts";
import type { CompletionsArgs } from "../table.ts";

/** Prints the completions for a shell. */
export function run({ args, output }: Context<CompletionsArgs>): Promise<void> {
  output.print(completionScript(args.shell));
  return Promise.resolve();
}
