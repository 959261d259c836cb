import { systemClock } from "../base/clock.ts";
import { isWormholeError, WormholeError } from "../base/errors.ts";
import { acrossLinks, type ReconnectEvent } from "../session/mod.ts";
import {
  type Progress,
  runProvider,
  type RunProviderOptions,
  type SendSource,
  Tally,
} from "../transfer/mod.ts";
import type { TransferOutcome } from "../transfer/mod.ts";
import type { PeerConnection } from "../transport/mod.ts";
import { encodeMessage } from "../wire/mod.ts";

/** Options of {@linkcode sendOverLinks}. */
export interface SendOverLinksOptions extends Omit<RunProviderOptions, "connection" | "source" | "signal"> {
  /** The session's first link. */
  readonly connection: PeerConnection;
  /** What is sent over the first link; disposed of by the caller. */
  readonly source: SendSource;
  /** Opens the same things again, for another link. */
  reopen(): Promise<SendSource>;
  /** How long a lost connection may be away, in ms; 0: its loss is the end. */
  readonly reconnectMs: number;
  onReconnect?(event: ReconnectEvent): void;
  onWarning?(sentence: string): void;
  readonly signal: AbortSignal;
}

/**
 * Sends over one link after the other, until everything has arrived.
 *
 * @throws {WormholeError} what `runProvider` and `acrossLinks` throw.
 */
export async function sendOverLinks(options: SendOverLinksOptions): Promise<TransferOutcome> {
  const { connection, source, reopen, reconnectMs, clock = systemClock, signal } = options;
  const tally = new Tally({ finds: false });
  let links = 0;
  let isLost = false;
  let begun = clock.monotonic();
  try {
    return await acrossLinks({
      connection,
      limitMs: reconnectMs,
      run: async (connection, moved) => {
        if (links++ > 0) {
          const now = clock.monotonic();
          tally.renew(now - begun);
          begun = now;
        }
        // What the first link used is used up; on another it is read anew, from where the receiver says.
        await using opened = links === 1 ? source : await openedFor(connection, reopen);
        const onProgress = (progress: Progress) => {
          if (progress.bytesWire > 0) moved();
          options.onProgress?.(tally.progress(progress));
        };
        const onOutcome = (outcome: TransferOutcome) => options.onOutcome?.(tally.outcome(outcome));
        const link = { connection, source: opened, isAgain: links > 1, onOutcome, onProgress };
        return tally.outcome(await runProvider({ ...options, ...link }));
      },
      onLost: (error) => {
        isLost = true;
        if (source.kind === "stream") throw unrepeatable(error);
      },
      ...options.onReconnect && { onEvent: (event: ReconnectEvent) => options.onReconnect!(event) },
      clock,
      signal,
    });
  } catch (error) {
    if (
      isLost && source.kind === "files" && (signal.aborted || isWormholeError(error, "CONNECTION_LOST"))
    ) {
      options.onWarning?.(
        "What arrived stays at the other side: send the same things again, with a new code, to go on.",
      );
    }
    throw error;
  }
}

/** Opens what is sent for another link; when it cannot be opened any more the other side is told, so that it ends too. */
async function openedFor(connection: PeerConnection, reopen: () => Promise<SendSource>): Promise<SendSource> {
  try {
    return await reopen();
  } catch (error) {
    const code = isWormholeError(error) ? error.code : "INTERNAL";
    await connection.send(encodeMessage({ type: "error", code })).catch(() => {}); // It may be gone again.
    await connection.close(code).catch(() => {});
    throw error;
  }
}

function unrepeatable(cause: WormholeError): WormholeError {
  const state = "the connection was lost, and standard input cannot be read again from its middle";
  return new WormholeError("CONNECTION_LOST", `Cannot send: ${state}`, { cause });
}
