import { isWormholeError } from "../../base/errors.ts";
import {
  crowdFailure,
  type CrowdResult,
  type ReceiverEnd,
  sendMany,
  type SendManyOptions,
} from "../../send/mod.ts";
import type { Context } from "../context.ts";
import type { Output, OutputEvent, ReceiverSummary } from "../events.ts";
import { asFailure } from "../exit.ts";
import type { SendArgs } from "../table.ts";
import { confirmVerifier, peerEvent, ProgressShow, tellOutcome } from "../transfer_show.ts";
import { sendOptions, showCode, sumsFor } from "./send.ts";

/**
 * Runs `wormhole send --receivers`.
 *
 * @throws {WormholeError} what `sendMany` throws; what ended a code for whoever has it; PARTIAL when some receivers failed
 * or did not get everything, and what they failed with where all failed alike.
 */
export async function runMany(context: Context<SendArgs>, receivers: number | "any"): Promise<void> {
  const { args, output, log } = context;
  const shows = new Map<number, ProgressShow>();
  const show = (receiver: number) => {
    const known = shows.get(receiver) ?? new ProgressShow({ ...context, output: outputOf(receiver, output) });
    shows.set(receiver, known);
    return known;
  };
  const sums = sumsFor(context);
  const result = await sendMany({
    ...sendOptions(context, sums),
    receivers,
    maxGuesses: args.guesses,
    onCodes: (codes) => {
      for (const [i, { code, port, expiresInMs }] of codes.entries()) {
        const event = receivers === "any"
          ? { receivers, guesses: args.guesses, words: code.split("-").length - 1 }
          : { receiver: i + 1, receivers };
        showCode({ code, port: port ?? null, expiresInMs, ...event }, context);
      }
    },
    ...args.verify && { confirm: asker(context) },
    onEvent: (event, receiver) => {
      if (event.type === "connected") show(receiver).connected(event);
      const peer = peerEvent(event);
      if (peer) output.emit({ ...peer, receiver });
    },
    onReconnect: (event, receiver) => show(receiver).reconnect(event),
    onProgress: (progress, receiver) => show(receiver).progress(progress),
    onEnd: (end) => tellEnd(end, context),
    onWrongGuess: (wrong) => output.emit({ event: "wrong_guess", wrong, allowed: args.guesses }),
    onGone: (error) => log.info("somebody came and went", { reason: asFailure(error).message }),
  });
  // What some receivers failed to take was sent nevertheless.
  // Ctrl-C is how a code for whoever has it ends: the list comes nevertheless.
  await sums?.show([], { output });
  output.emit(summary(result));
  const failure = crowdFailure(result);
  if (failure !== undefined) throw failure;
  sums?.assertRead();
}

/** Gives `output` for what concerns one receiver. */
function outputOf(receiver: number, output: Output): Output {
  return { ...output, emit: (event) => output.emit({ ...event, receiver } as OutputEvent) };
}

function tellEnd(end: ReceiverEnd, { output, log, signal }: Context<SendArgs>): void {
  const { receiver } = end;
  if ("outcome" in end) {
    const own = outputOf(receiver, output);
    return tellOutcome(end.outcome, { direction: "send", destination: null, output: own, log });
  }
  // Who interrupts everything need not be told so once for each; the summary has it.
  if (signal.aborted) return;
  const { code, message } = asFailure(end.error);
  output.emit({ event: "receiver_failed", receiver, code, message });
}

function summary({ ends }: CrowdResult) {
  const receivers = ends.map((end): ReceiverSummary => {
    const { receiver } = end;
    if ("error" in end) {
      const { code, message } = asFailure(end.error);
      return { receiver, files: 0, bytes: 0, failed: 0, code, message };
    }
    const { files, bytes, failedCount: failed, receipt } = end.outcome;
    const differs = receipt?.state === "differs";
    return {
      receiver,
      files,
      bytes,
      failed,
      code: differs || failed > 0 ? "PARTIAL" : null,
      message: differs ? "its receipt differs" : null,
    };
  });
  const failed = receivers.filter(({ code }) => code !== null).length;
  return { event: "receivers", served: receivers.length - failed, failed, receivers } as const;
}

/** Asks one question after the other, however many come at once. */
function asker(context: Context<SendArgs>): NonNullable<SendManyOptions["confirm"]> {
  let last: Promise<unknown> = Promise.resolve();
  return (verifier, receiver) => {
    const output = receiver === undefined ? context.output : outputOf(receiver, context.output);
    const answer = last.then(() => confirmVerifier(verifier, { ...context, output }));
    last = answer.catch((error) => {
      if (!isWormholeError(error)) throw error;
    });
    last.catch(() => {}); // Whoever asked has it.
    return answer;
  };
}
