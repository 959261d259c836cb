import type { Context } from "../context.ts";
import { helpText } from "../help.ts";
import type { HelpArgs } from "../table.ts";

/** Explains the program or a command. */
export function run({ args, output, terminal }: Context<HelpArgs>): Promise<void> {
  output.print(helpText(args.command.join(" "), terminal.columns()));
  return Promise.resolve();
}
