/** What `send` and `recv` show in the same way. */
import { WormholeError } from "../base/errors.ts";
import type { ReconnectEvent, SessionEvent } from "../session/mod.ts";
import type { Progress, TransferOutcome } from "../transfer/mod.ts";
import type { Context } from "./context.ts";
import type { Output, PeerEvent, ProgressEvent } from "./events.ts";
import { counted } from "./format.ts";
import { ProgressMeter } from "./progress.ts";
import { askYesNo } from "./prompt.ts";
import { VERSION } from "./version.ts";

/** How this program names itself to a peer. */
export const AGENT = `wormhole/${VERSION}`;

/** Hex digits of a receipt that people see: enough to compare two by eye. */
const RECEIPT_DIGITS = 16;

const RECEIPT_STATES = {
  agreed: "the same on both sides",
  differs: "another one on the other side",
  unconfirmed: "not confirmed by the other side",
} as const;

/** Gives the event for a session event that people and scripts want to know of. */
export function peerEvent(event: SessionEvent): PeerEvent | undefined {
  if (event.type !== "connected") return undefined;
  return { event: "peer", transport: event.kind, path: pathOf(event), remote: event.remote };
}

function pathOf({ direct }: { readonly direct: boolean }): PeerEvent["path"] {
  return direct ? "direct" : "relay";
}

/** Turns a transfer's progress into events, once it is connected. */
export class ProgressShow {
  readonly #output: Output;
  readonly #meter: ProgressMeter;
  #transport: ProgressEvent["transport"] = "quic";
  #path: ProgressEvent["path"] = "direct";

  constructor({ output, clock }: Pick<Context<unknown>, "output" | "clock">) {
    this.#output = output;
    this.#meter = new ProgressMeter(clock);
  }

  connected(event: { readonly kind: ProgressEvent["transport"]; readonly direct: boolean }): void {
    this.#transport = event.kind;
    this.#path = pathOf(event);
  }

  progress(progress: Progress): void {
    if (progress.phase === "counting" || progress.phase === "waiting") return;
    const counters = {
      bytes: progress.bytesDone,
      bytes_total: progress.bytesTotal ?? null,
      files: progress.filesDone,
      files_total: progress.filesTotal ?? null,
      name: null,
      transport: this.#transport,
      path: this.#path,
    };
    const { phase, bytesFound: found } = progress;
    const event = this.#meter.event(counters, { found, final: phase === "done" });
    if (event) this.#output.emit(event);
  }

  /** Tells of a lost connection, of the one that follows it, and of another path. */
  reconnect(event: ReconnectEvent): void {
    if (event.type === "connected") {
      this.connected(event);
      this.#output.emit({
        event: "peer",
        transport: event.kind,
        path: pathOf(event),
        remote: event.remote,
      });
      return;
    }
    const { attempt, waitMs, leftMs } = event;
    this.#output.emit({
      event: "reconnecting",
      attempt,
      wait_ms: Math.round(waitMs),
      left_ms: Math.round(leftMs),
    });
  }
}

/** Shows the verifier and asks whether the other side shows the same. */
export async function confirmVerifier(
  verifier: string,
  { output, terminal, signal }: Context<unknown>,
): Promise<boolean> {
  output.emit({ event: "verifier", verifier });
  output.pause();
  try {
    return await askYesNo("Does the other side show the same verifier?", {
      terminal,
      signal,
      fallback: false,
    });
  } finally {
    output.resume();
  }
}

/** Where a transfer went, and through what it is told. */
export type Telling =
  & { readonly direction: "send" | "recv"; readonly destination: string | null }
  & Pick<
    Context<unknown>,
    "output" | "log"
  >;

/** Runs a transfer that tells its outcome before it is quite over; what `finish` throws of it is thrown at the end. */
export async function finishing(
  transfer: (onOutcome: (outcome: TransferOutcome) => Promise<void>) => Promise<unknown>,
  finish: (outcome: TransferOutcome) => Promise<void>,
): Promise<void> {
  let failure: unknown;
  await transfer(async (outcome) => {
    try {
      await finish(outcome);
    } catch (error) {
      failure = error;
    }
  });
  if (failure !== undefined) throw failure;
}

/**
 * Tells how a transfer ended.
 *
 * @throws {WormholeError} PARTIAL when some entries failed, or the two sides' receipts differ.
 */
export function finish(outcome: TransferOutcome, telling: Telling): void {
  tellOutcome(outcome, telling);
  if (outcome.receipt?.state === "differs") {
    throw new WormholeError(
      "PARTIAL",
      "Cannot confirm the transfer: the two machines noted different lists of what was sent; " +
        "compare the files with --checksum and wormhole verify",
    );
  }
  if (outcome.failedCount > 0) {
    const verb = telling.direction === "send" ? "send" : "receive";
    throw new WormholeError(
      "PARTIAL",
      `Cannot ${verb} everything: ${outcome.failedCount} failed, the rest arrived`,
    );
  }
}

/** Tells how a transfer ended, well or not. */
export function tellOutcome(
  outcome: TransferOutcome,
  { direction, destination, output, log }: Telling,
): void {
  const { receipt } = outcome;
  for (const { path, code, message } of outcome.failed) {
    output.emit({ event: "file_failed", name: path, code, message });
  }
  const unlisted = outcome.failedCount - outcome.failed.length;
  if (unlisted > 0) output.emit({ event: "warning", message: `${counted(unlisted, "more entry")} failed` });
  output.emit({
    event: "done",
    direction,
    kind: outcome.kind,
    bytes: outcome.bytes,
    files: outcome.files,
    skipped: outcome.skipped,
    failed: outcome.failedCount,
    duration_ms: Math.round(outcome.durationMs),
    bytes_on_wire: outcome.bytesWire,
    bytes_found: outcome.bytesFound,
    destination,
    receipt: receipt?.hash ?? null,
    receipt_agreed: receipt === undefined || receipt.state === "unconfirmed"
      ? null
      : receipt.state === "agreed",
  });
  if (receipt) log.info(`receipt ${receipt.hash.slice(0, RECEIPT_DIGITS)}, ${RECEIPT_STATES[receipt.state]}`);
}
