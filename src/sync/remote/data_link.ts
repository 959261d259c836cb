import { anySignal } from "../../base/any_signal.ts";
import type { PeerConnection } from "../../transport/mod.ts";
import type { SyncChannel } from "./channel.ts";
import type { NextDataLink } from "./settings.ts";

/** Runs a transfer on a link of its own, for no longer than the session lasts. @throws what ends either. */
export async function overDataLink(
  { channel, nextLink, signal }: {
    readonly channel: Pick<SyncChannel, "signal">;
    readonly nextLink: NextDataLink;
    readonly signal?: AbortSignal;
  },
  run: (connection: PeerConnection, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const either = anySignal(channel.signal, signal);
  const connection = await nextLink({ signal: either });
  try {
    await run(connection, either);
  } finally {
    await connection.close().catch(() => {}); // It may have ended by itself.
  }
}
