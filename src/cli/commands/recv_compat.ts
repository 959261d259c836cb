import { PUBLIC_MAILBOX, receiveCompat } from "../../compat/mod.ts";
import { WormholeError } from "../../base/errors.ts";
import type { Context } from "../context.ts";
import type { RecvArgs } from "../table.ts";
import { finish, ProgressShow } from "../transfer_show.ts";
import { compatConnected, confirmCompat, relaysOf } from "../compat_show.ts";
import { askCode, assertCanAsk, decide, folder } from "./recv.ts";

/**
 * Runs `wormhole recv --compat`. `mustExist`: fails when nobody offers the code any more.
 *
 * @throws {WormholeError} USAGE when there is neither a code nor a terminal to ask for it; NOT_FOUND and NOT_DIRECTORY
 * for the folder; what `receiveCompat` throws.
 */
export async function runCompat(
  context: Context<RecvArgs>,
  options: { mustExist?: boolean } = {},
): Promise<void> {
  const { args, output, log } = context;
  if (args.code === undefined) assertCanAsk(context);
  if (args.stdout) {
    const { receiveToStdout } = await import("../receive_to_stdout.ts");
    const outcome = await receiveToStdout(
      context.stdout(),
      (destination) => receive(context, destination, options),
    );
    return finish(outcome, { direction: "recv", destination: null, output, log });
  }
  const destination = await folder(args.output ?? ".");
  const outcome = await receive(context, destination, options);
  if (outcome.text !== undefined) output.emit({ event: "text", text: outcome.text });
  const into = outcome.kind === "text" ? null : destination;
  finish(outcome, { direction: "recv", destination: into, output, log });
}

async function receive(
  context: Context<RecvArgs>,
  destination: string,
  { mustExist = false }: { mustExist?: boolean },
) {
  const { args, config, clock, signal, log } = context;
  const show = new ProgressShow(context);
  const code = args.code ?? await askCode(context);
  log.info(`the mailbox server is ${config.signalServer || PUBLIC_MAILBOX}`);
  try {
    return await receiveCompat({
      code,
      destination,
      hub: config.signalServer,
      mustExist,
      relays: relaysOf(args),
      ...args.timeout !== undefined && { timeoutMs: args.timeout },
      accept: (offer, about) => decide(offer, context, { gone: about.signal, mayPlace: false }),
      ...args.verify && { confirm: (verifier: string) => confirmCompat(verifier, context) },
      onConnected: (connected) => compatConnected(connected, { show, context }),
      onProgress: (progress) => show.progress(progress),
      clock,
      signal,
    });
  } catch (error) {
    if (!(error instanceof WormholeError) || error.code !== "TIMEOUT") throw error;
    throw new WormholeError(
      "TIMEOUT",
      `${error.message}; --compat is for codes of magic-wormhole clients only`,
      { cause: error },
    );
  }
}
