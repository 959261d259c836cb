import type { Context } from "../context.ts";
import type { ConfigPathArgs } from "../table.ts";

/** Prints the path of config.toml. */
export function run({ settings, output }: Context<ConfigPathArgs>): Promise<void> {
  output.print(`${settings.file}\n`);
  return Promise.resolve();
}
