import { CONFIG_KEYS, SETTINGS } from "../../config/settings.ts";
import type { ValueType } from "../../config/values.ts";
import type { Context } from "../context.ts";
import type { ConfigShowArgs } from "../table.ts";

/** Lists every setting with its value and where it comes from. */
export function run({ args, config, settings, output }: Context<ConfigShowArgs>): Promise<void> {
  for (const key of CONFIG_KEYS) {
    const { name, type } = SETTINGS[key];
    const value = config[key];
    // Scripts get plain numbers, people the spelling that config.toml takes.
    const shown = args.json || typeof value === "boolean"
      ? value
      : (type as ValueType<unknown>).format(value);
    const number = typeof value === "number" && shown === String(value);
    output.emit({ event: "setting", name, value: number ? value : shown, source: settings.sources[key] });
  }
  return Promise.resolve();
}
