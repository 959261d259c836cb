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

/** From a command's name to its code. */
export const WIRING: Readonly<Record<CommandName, Wire>> = {
  send: { load: () => import("./commands/send.ts") },
  recv: { load: () => import("./commands/recv.ts") },
  pair: { load: () => import("./commands/pair.ts") },
  "peers list": { load: () => import("./commands/peers_list.ts") },
  "peers rename": { load: () => import("./commands/peers_rename.ts") },
  "peers forget": { load: () => import("./commands/peers_forget.ts") },
  "peers rights": { load: () => import("./commands/peers_rights.ts") },
  sync: { load: () => import("./commands/sync.ts") },
  "sync serve": { load: () => import("./commands/sync_serve.ts") },
  "sync conflicts": { load: () => import("./commands/sync_conflicts.ts") },
  "sync status": { load: () => import("./commands/sync_status.ts") },
  "sync restore": { load: () => import("./commands/sync_restore.ts") },
  "job add": { load: () => import("./commands/job_add.ts") },
  "job list": { load: () => import("./commands/job_list.ts") },
  "job run": { load: () => import("./commands/job_run.ts") },
  "job remove": { load: () => import("./commands/job_remove.ts") },
  "job log": { load: () => import("./commands/job_log.ts") },
  lock: { load: () => import("./commands/lock.ts") },
  "lock list": { load: () => import("./commands/lock_list.ts") },
  "lock renew": { load: () => import("./commands/lock_renew.ts") },
  "lock release": { load: () => import("./commands/lock_release.ts") },
  transfers: { load: () => import("./commands/transfers.ts") },
  copy: { load: () => import("./commands/copy.ts") },
  verify: { load: () => import("./commands/verify.ts") },
  "store stats": { load: () => import("./commands/store_stats.ts") },
  "store verify": { load: () => import("./commands/store_verify.ts") },
  "store gc": { load: () => import("./commands/store_gc.ts") },
  "store clear": { load: () => import("./commands/store_clear.ts") },
  hub: { load: () => import("./commands/hub.ts") },
  "hub status": { load: () => import("./commands/hub_status.ts") },
  "config show": { load: () => import("./commands/config_show.ts") },
  "config set": { load: () => import("./commands/config_set.ts"), withoutSettings: true },
  "config path": { load: () => import("./commands/config_path.ts"), withoutSettings: true },
  doctor: { load: () => import("./commands/doctor.ts"), withoutSettings: true },
  completions: { load: () => import("./commands/completions.ts"), withoutSettings: true },
  man: { load: () => import("./commands/man.ts"), withoutSettings: true },
  version: { load: () => import("./commands/version.ts"), withoutSettings: true },
  help: { load: () => import("./commands/help.ts"), withoutSettings: true },
};

/** Tells why a command may not run with these settings; undefined when it may. */
export function settingsFault(wire: Wire, problem: WormholeError | undefined): WormholeError | undefined {
  return wire.withoutSettings ? undefined : problem;
}
