import { anySignal } from "../base/any_signal.ts";
import { type Clock, systemClock, type Timer } from "../base/clock.ts";
import { isWormholeError, WormholeError } from "../base/errors.ts";
import { acrossLinks, type ReconnectEvent } from "../session/mod.ts";
import {
  type Acceptance,
  type Offer,
  type Progress,
  runGetter,
  type RunGetterOptions,
  Tally,
  tellDone,
  type TransferOutcome,
} from "../transfer/mod.ts";

/** Options of {@linkcode receiveOverLinks}; the connection is the session's first link. */
export interface ReceiveOverLinksOptions extends RunGetterOptions {
  /** How long a lost connection may be away, in ms; 0: its loss is the end. */
  readonly reconnectMs: number;
  onReconnect?(event: ReconnectEvent): void;
  readonly clock?: Clock;
}

/** How long a receiver that has everything tries to tell a sender whose connection was lost, in ms. */
const TELL_MS = 20_000;

/**
 * Receives over one link after the other, until everything has arrived. The person is asked once; a sender that offers
 * something else on another link is refused, and what arrived before stays as it is.
 *
 * @throws {WormholeError} what `runGetter` and `acrossLinks` throw.
 */
export async function receiveOverLinks(options: ReceiveOverLinksOptions): Promise<TransferOutcome> {
  const { connection, journal, reconnectMs, clock = systemClock, signal } = options;
  const tally = new Tally({ finds: true });
  let decided: { offer: Offer; acceptance: Acceptance } | undefined;
  let kept = 0;
  let links = 0;
  let isOffered = false;
  let begun = clock.monotonic();
  /** Everything is in place, and the sender may not know. */
  let placed: TransferOutcome | undefined;
  const enough = new AbortController();
  let timer: Timer | undefined;
  const accept: RunGetterOptions["accept"] = async (offer, about) => {
    isOffered = true;
    if (decided !== undefined) {
      if (!isSame(offer, decided.offer)) throw otherOffer();
      return decided.acceptance;
    }
    const acceptance = await options.accept(offer, about);
    decided = { offer, acceptance };
    return acceptance;
  };
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
        const onProgress = (progress: Progress) => {
          if (progress.bytesWire > 0) moved();
          options.onProgress?.(tally.progress(progress));
        };
        const onKept = (bytes: number) => void (kept = bytes);
        const onOutcome = (outcome: TransferOutcome) => options.onOutcome?.(tally.outcome(outcome));
        isOffered = false;
        if (placed !== undefined) {
          await tellDone({ ...options, connection, outcome: placed });
          return placed;
        }
        try {
          const link = { connection, accept, onKept, onOutcome, onProgress };
          const outcome = tally.outcome(await runGetter({ ...options, ...link }));
          const isTold = outcome.receipt?.state !== "unconfirmed";
          // A sender of standard input has ended with the connection.
          if (isTold || reconnectMs === 0 || outcome.kind === "stream") return outcome;
          placed = outcome;
        } catch (error) {
          throw links > 1 && !isOffered && isWormholeError(error, "REFUSED") ? unknownSession(error) : error;
        }
        timer = clock.timer(TELL_MS, () => enough.abort());
        throw new WormholeError("CONNECTION_LOST", "Cannot tell the sender that everything has arrived");
      },
      onLost: (error) => {
        if (placed !== undefined) return;
        if (decided?.offer.kind === "stream") throw unrepeatable(error);
        if (links > 1 || decided?.offer.kind !== "files" || journal !== undefined) return;
        options.onWarning?.(
          "What has arrived cannot be kept here: it comes again once there is a connection.",
        );
      },
      ...options.onReconnect && { onEvent: (event: ReconnectEvent) => options.onReconnect!(event) },
      clock,
      signal: anySignal(signal, enough.signal),
    });
  } catch (error) {
    // What is in place is in place, whoever knows of it.
    if (placed !== undefined) return placed;
    if (kept > 0) options.onKept?.(kept);
    throw error;
  } finally {
    timer?.cancel();
  }
}

/** Tells whether the same things are offered; what is in them may have changed. */
function isSame(a: Offer, b: Offer): boolean {
  return a.kind === b.kind && a.text === b.text && a.more === b.more && a.roots.length === b.roots.length &&
    a.roots.every(({ name, kind }, i) => name === b.roots[i]!.name && kind === b.roots[i]!.kind);
}

function otherOffer(): WormholeError {
  const state = "after the connection was lost the other side offers something else than before";
  return new WormholeError("REFUSED", `Cannot go on: ${state}`);
}

/** The sender's machine takes the link and closes it: its program is another one by now. */
function unknownSession(cause: WormholeError): WormholeError {
  const state = "after the connection was lost the sender does not know this transfer any more";
  return new WormholeError("REFUSED", `Cannot go on: ${state}`, { cause });
}

function unrepeatable(cause: WormholeError): WormholeError {
  const state =
    "the connection was lost, and the sender cannot read its standard input again from the middle";
  return new WormholeError("CONNECTION_LOST", `Cannot receive: ${state}`, { cause });
}
