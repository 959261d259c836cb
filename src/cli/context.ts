import type { Clock } from "../base/clock.ts";
import type { WormholeError } from "../base/errors.ts";
import type { Logger } from "../base/log.ts";
import type { LoadedConfig } from "../config/config.ts";
import type { Environment } from "../config/paths.ts";
import type { Config } from "../config/settings.ts";
import type { Output } from "./events.ts";
import type { Hangup } from "./hangup.ts";
import type { Terminal } from "./terminal.ts";

/** Everything a command gets; it touches nothing of the process but through this. */
export interface Context<Args> {
  readonly args: Args;
  /** The settings in force. */
  readonly config: Config;
  /** Where they come from, and this person's folders. */
  readonly settings: LoadedConfig;
  /** Why config.toml or a variable is not valid; only for commands that run nevertheless (`wiring.ts`). */
  readonly settingsProblem?: WormholeError;
  readonly output: Output;
  readonly log: Logger;
  /** Aborts with {@linkcode Interrupted} on Ctrl-C, termination, or when nobody reads standard output. */
  readonly signal: AbortSignal;
  /** What SIGHUP means while this command runs. */
  readonly hangup: Hangup;
  readonly clock: Clock;
  readonly env: Environment;
  readonly terminal: Terminal;
  /** Standard input, for `-`; opened when first read. */
  readonly stdin: () => ReadableStream<Uint8Array<ArrayBuffer>>;
  /** Standard output, for received data. */
  readonly stdout: () => WritableStream<Uint8Array>;
}

/** What each module in `commands/` exports as `run`. */
export type Run<Args> = (context: Context<Args>) => Promise<void>;
