import type { WormholeError } from "../base/errors.ts";
import type { Context } from "./context.ts";
import type { CommandName } from "./table.ts";

/** How a command is found and what it needs. */
export interface Wire {
  /** Loads the command's module; only the one that runs is loaded. */
  // deno-lint-ignore no-explicit-any -- the table ties a name to its arguments, this map cannot
  readonly load: () => Promise<{ run(context: Context<any>): Promise<void> }>;
  /** Runs even when config.toml is not valid; {@linkcode Context.settingsProblem} then says why. */
  readonly withoutSettings?: boolean;
}

/**
 * From a command's name to its code. What is imported `as string` is no part of the graph that Deno reads before it starts: all
 * commands together are 300 modules, which cost every command 10 ms of CPU (bench/copy.ts). `deno bundle` sees through it.
 */
export const WIRING: Readonly<Record<CommandName, Wire>> = {
  send: { load: () => import("./commands/send.ts" as string) },
  recv: { load: () => import("./commands/recv.ts" as string) },
  pair: { load: () => import("./commands/pair.ts" as string) },
  "peers list": { load: () => import("./commands/peers_list.ts" as string) },
  "peers rename": { load: () => import("./commands/peers_rename.ts" as string) },
  "peers forget": { load: () => import("./commands/peers_forget.ts" as string) },
  "peers rights": { load: () => import("./commands/peers_rights.ts" as string) },
  sync: { load: () => import("./commands/sync.ts" as string) },
  "sync serve": { load: () => import("./commands/sync_serve.ts" as string) },
  "sync conflicts": { load: () => import("./commands/sync_conflicts.ts" as string) },
  "sync status": { load: () => import("./commands/sync_status.ts" as string) },
  "sync restore": { load: () => import("./commands/sync_restore.ts" as string) },
  "job add": { load: () => import("./commands/job_add.ts" as string) },
  "job list": { load: () => import("./commands/job_list.ts" as string) },
  "job run": { load: () => import("./commands/job_run.ts" as string) },
  "job remove": { load: () => import("./commands/job_remove.ts" as string) },
  "job log": { load: () => import("./commands/job_log.ts" as string) },
  lock: { load: () => import("./commands/lock.ts" as string) },
  "lock list": { load: () => import("./commands/lock_list.ts" as string) },
  "lock renew": { load: () => import("./commands/lock_renew.ts" as string) },
  "lock release": { load: () => import("./commands/lock_release.ts" as string) },
  transfers: { load: () => import("./commands/transfers.ts" as string) },
  copy: { load: () => import("./commands/copy.ts" as string) },
  verify: { load: () => import("./commands/verify.ts" as string) },
  "store stats": { load: () => import("./commands/store_stats.ts" as string) },
  "store verify": { load: () => import("./commands/store_verify.ts" as string) },
  "store gc": { load: () => import("./commands/store_gc.ts" as string) },
  "store clear": { load: () => import("./commands/store_clear.ts" as string) },
  hub: { load: () => import("./commands/hub.ts" as string) },
  "hub status": { load: () => import("./commands/hub_status.ts" as string) },
  "config show": { load: () => import("./commands/config_show.ts" as string) },
  "config set": { load: () => import("./commands/config_set.ts" as string), withoutSettings: true },
  "config path": { load: () => import("./commands/config_path.ts" as string), withoutSettings: true },
  doctor: { load: () => import("./commands/doctor.ts" as string), withoutSettings: true },
  completions: { load: () => import("./commands/completions.ts" as string), withoutSettings: true },
  man: { load: () => import("./commands/man.ts" as string), withoutSettings: true },
  version: { load: () => import("./commands/version.ts" as string), withoutSettings: true },
  help: { load: () => import("./commands/help.ts" as string), withoutSettings: true },
};

/** Tells why a command may not run with these settings; undefined when it may. */
export function settingsFault(wire: Wire, problem: WormholeError | undefined): WormholeError | undefined {
  return wire.withoutSettings ? undefined : problem;
}
