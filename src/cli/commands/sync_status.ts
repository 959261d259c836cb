import { join } from "../../base/paths.ts";
import { firstLines } from "../../live/mod.ts";
import type { Context } from "../context.ts";
import type { SyncStatusEvent } from "../events_sync.ts";
import { socketFolder } from "../sync_live.ts";
import type { SyncStatusArgs } from "../table.ts";

/** How long one is waited for, in ms: it answers at once unless it is stopped. */
const PATIENCE_MS = 2000;

/** Runs `wormhole sync status`. @throws what the disk says. */
export async function run(context: Context<SyncStatusArgs>): Promise<void> {
  const { output, clock, signal } = context;
  const folder = socketFolder(context);
  const names = await Array.fromAsync(Deno.readDir(folder), ({ name }) => name).catch(() => []);
  for (const name of names.filter((name) => name.endsWith(".sock")).sort()) {
    const path = join(folder, name);
    const options = { clock, signal, timeoutMs: PATIENCE_MS, lines: 1 };
    let isLeft = false;
    const [line] = await Array.fromAsync(firstLines(path, options)).catch(async (error) => {
      // A process that was killed left it, or has just ended.
      isLeft = error instanceof Deno.errors.ConnectionRefused || error instanceof Deno.errors.NotFound;
      if (isLeft) await Deno.remove(path).catch(() => {});
      return [];
    });
    signal.throwIfAborted();
    if (isLeft) continue;
    const status = line === undefined ? undefined : parsed(line);
    if (status === undefined) {
      output.emit({ event: "warning", message: `Cannot ask "${path}": it does not answer` });
    } else output.emit(status);
  }
}

function parsed(line: string): SyncStatusEvent | undefined {
  try {
    const status = JSON.parse(line);
    return status?.event === "sync_status" ? status : undefined;
  } catch {
    return undefined;
  }
}
