/**
 * `wormhole send`: offers files, standard input or a text under a new code and sends them to whoever has it.
 * It never prints and never asks; the command does.
 */
import { type Code, parseCode } from "../pairing/mod.ts";
import { APP_ID, type Machine, openMachine, openRendezvous } from "../session/mod.ts";
import type { TransferOutcome } from "../transfer/mod.ts";
import { type Meet, openSource, type SendOptions, serve } from "./serve.ts";

export { crowdFailure, type CrowdResult, isWhole, type ReceiverEnd } from "./crowd.ts";
export { MAX_RECEIVERS, sendMany, type SendManyOptions, type ShownCode } from "./many.ts";
export type { Content, SendOptions } from "./serve.ts";

/**
 * Sends, once, to one receiver: whoever has the code, or a machine that is known.
 *
 * @throws {WormholeError} NOT_FOUND and its kin for what cannot be read or a machine that is not known; what `hostSession` and `runProvider` throw;
 * TIMEOUT when nobody came in time; the signal's reason when aborted.
 */
export async function send(options: SendOptions): Promise<TransferOutcome> {
  const code = options.code === undefined ? undefined : parseCode(options.code);
  await using machine = await openMachine(options.folders);
  const known = options.to === undefined ? undefined : await machine.peers.find(options.to);
  if (options.remember !== undefined) await machine.peers.assertCanName(options.remember.name);
  await using source = await openSource(options, machine);
  return await serve(options, {
    machine,
    source,
    meet: meeting(options, machine, code),
    ...known && { known },
  });
}

/** Gives how a place to meet is opened, under `code` or a new one. */
function meeting(options: SendOptions, machine: Machine, code: Code | undefined): Meet {
  return ({ signal }) =>
    openRendezvous({
      appId: APP_ID,
      registry: machine.registry,
      lan: machine.lan,
      words: options.words,
      ...code && { code },
      ...options.hub === "" ? { port: options.port } : { hub: options.hub },
      ...options.onWarning && { onWarning: options.onWarning },
      ...signal && { signal },
    });
}
