import { WormholeError } from "../../base/errors.ts";
import { pairMachines } from "../../pair/mod.ts";
import { peerNameFrom } from "../../peers/mod.ts";
import type { Context } from "../context.ts";
import type { PairArgs } from "../table.ts";
import { AGENT, confirmVerifier, peerEvent } from "../transfer_show.ts";
import { shownPeer } from "./peers.ts";

/** Begins like a code; no name does. */
const CODE = /^\s*\d+[\s-]/;

/**
 * Runs `wormhole pair`.
 *
 * @throws {WormholeError} USAGE when the arguments contradict each other, or nobody can be asked about the verifier; what
 * `pairMachines` throws.
 */
export async function run(context: Context<PairArgs>): Promise<void> {
  const { args, config, settings, output, terminal, clock, signal } = context;
  const { code, name } = wanted(args);
  if (!args.yes && !terminal.interactive) {
    throw new WormholeError(
      "USAGE",
      "Cannot ask whether the verifiers are the same: there is no terminal; give --yes to go without",
    );
  }
  const { peer, isMutual } = await pairMachines({
    ...code !== undefined && { code },
    ...name !== undefined && { name },
    words: args.words,
    calledItself: peerNameFrom(args.as ?? Deno.hostname()),
    folders: settings.folders,
    agent: AGENT,
    hub: config.signalServer,
    ...args.peer !== undefined && { peer: args.peer },
    port: config.port,
    forceTcp: config.forceTcp,
    portMapping: config.portMapping,
    ...args.timeout !== undefined && { timeoutMs: args.timeout },
    confirm: (verifier) => {
      if (!args.yes) return confirmVerifier(verifier, context);
      output.emit({ event: "verifier", verifier });
      return Promise.resolve(true);
    },
    onEvent: (event) => {
      if (event.type === "code") {
        const hub = config.signalServer === "" ? null : config.signalServer;
        const { code, port = null } = event;
        output.emit({ event: "code", code, hub, port, expires_at: null, command: "pair" });
      }
      const told = peerEvent(event);
      if (told) output.emit(told);
    },
    onWarning: (message) => output.emit({ event: "warning", message }),
    clock,
    signal,
  });
  output.emit({ event: "paired", ...shownPeer(peer) });
  if (isMutual) return;
  const message = "The other machine did not say that it keeps this one; if it does not know it, pair again.";
  output.emit({ event: "warning", message });
}

/** Tells names from codes. */
function wanted({ what, name, code }: PairArgs): { code?: string; name?: string } {
  if (what !== undefined && CODE.test(what)) return { code: what, ...name !== undefined && { name } };
  if (name !== undefined) {
    throw new WormholeError("USAGE", `Cannot pair: "${what}" is no code, so that there is one name too many`);
  }
  return { ...code !== undefined && { code }, ...what !== undefined && { name: what } };
}
