import { setInFile, settingKey } from "../../config/edit.ts";
import { SETTINGS } from "../../config/settings.ts";
import type { Context } from "../context.ts";
import type { ConfigSetArgs } from "../table.ts";

/** Changes one setting in config.toml. */
export async function run({ args, settings, output, env }: Context<ConfigSetArgs>): Promise<void> {
  await setInFile(settings.file, args.key, args.value);
  const { env: variable } = SETTINGS[settingKey(args.key)];
  if (env(variable)) {
    output.emit({
      event: "warning",
      message: `the environment variable ${variable} is set and wins over the file`,
    });
  }
}
