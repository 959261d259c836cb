import { WormholeError } from "../../base/errors.ts";
import { placeOf, restore, type Version, versionsOf } from "../../sync/mod.ts";
import type { Context } from "../context.ts";
import type { VersionEvent } from "../events_sync.ts";
import type { SyncRestoreArgs } from "../table.ts";

/**
 * Runs `wormhole sync restore`.
 *
 * @throws {WormholeError} NOT_FOUND when there is no such version; INVALID_ARGUMENT for a time that is none; what the disk
 * says.
 */
export async function run({ args, output, clock }: Context<SyncRestoreArgs>): Promise<void> {
  const { path, ms } = parsed(args.path);
  const place = await placeOf(path);
  if (args.list) {
    for (const version of await versionsOf(place)) output.emit(event(version, false));
    return;
  }
  output.emit(event(await restore(place, { now: clock.now(), ...ms !== undefined && { ms } }), true));
}

/** `PATH@TIME`; an `@` that no time follows belongs to the path. */
function parsed(given: string): { path: string; ms?: number } {
  const at = given.lastIndexOf("@");
  const time = given.slice(at + 1);
  if (at <= 0 || !/^\d{4}-\d\d-\d\d/.test(time)) return { path: given };
  const ms = Date.parse(time);
  if (Number.isNaN(ms)) {
    throw new WormholeError(
      "INVALID_ARGUMENT",
      `Cannot restore "${given}": "${time}" is no time such as 2026-11-21T14:00`,
    );
  }
  return { path: given.slice(0, at), ms };
}

function event({ path: name, ms, kind, size: bytes }: Version, restored: boolean): VersionEvent {
  return { event: "version", name, displaced_at: new Date(ms).toISOString(), kind, bytes, restored };
}
