import { anySignal } from "../../base/any_signal.ts";
import { WormholeError } from "../../base/errors.ts";
import { join } from "../../base/paths.ts";
import { completeWord } from "../../pairing/mod.ts";
import type { Peer } from "../../peers/mod.ts";
import { recv } from "../../recv/mod.ts";
import type { Acceptance, Offer, TransferFile, TransferOutcome } from "../../transfer/mod.ts";
import type { Context } from "../context.ts";
import { completeCode } from "../line_editor.ts";
import { askExisting, askLine, askYesNo } from "../prompt.ts";
import type { RecvArgs } from "../table.ts";
import { TransferSums } from "../transfer_sums.ts";
import { peerBook, remembering, shownPeer } from "./peers.ts";
import type { Attempt } from "./recv_others.ts";
import { AGENT, confirmVerifier, finish, finishing, peerEvent, ProgressShow } from "../transfer_show.ts";

/**
 * Runs `wormhole recv`.
 *
 * @throws {WormholeError} USAGE when there is neither a code nor a terminal to ask for it; NOT_FOUND and NOT_DIRECTORY
 * for the folder; what `recv` throws; PARTIAL when some entries failed.
 */
export async function run(context: Context<RecvArgs>): Promise<void> {
  const { args } = context;
  if (args.compat) {
    const { runCompat } = await import("./recv_compat.ts");
    return await runCompat(context);
  }
  if (args.transitRelay !== undefined) {
    throw new WormholeError("USAGE", "Cannot use --transit-relay: it is for --compat");
  }
  const { orFromOthers } = await import("./recv_others.ts");
  await orFromOthers(context, (attempt) => runOwn(context, attempt));
}

async function runOwn(context: Context<RecvArgs>, attempt: Attempt): Promise<void> {
  const { args, output, log } = context;
  const known = args.from === undefined ? undefined : await knownSender(args.from, context);
  if (args.stdout) {
    const { receiveToStdout } = await import("../receive_to_stdout.ts");
    const outcome = await receiveToStdout(
      context.stdout(),
      (destination) => receive(context, destination, { attempt, known }),
    );
    finish(outcome, { direction: "recv", destination: null, output, log });
    return;
  }
  const inbox = known?.rights.inbox;
  const destination = await folder(args.output ?? inbox ?? ".");
  // The right is for that folder, wherever else this is told to receive.
  const mayPlace = destination === inbox;
  const sums = args.checksum ? new TransferSums((name) => join(destination, name)) : undefined;
  const transfer = (onOutcome: (outcome: TransferOutcome) => Promise<void>) =>
    receive(context, destination, { attempt, known, mayPlace, onOutcome, ...sums && { sums } });
  await finishing(transfer, async (outcome) => {
    if (outcome.text !== undefined) output.emit({ event: "text", text: outcome.text });
    if (sums && outcome.kind === "text") {
      output.emit({ event: "warning", message: "a text is no file: there is no checksum of it" });
    } else await sums?.show(outcome.failed, context);
    const into = outcome.kind === "text" ? null : destination;
    finish(outcome, { direction: "recv", destination: into, output, log });
  });
  sums?.assertRead();
}

async function receive(
  context: Context<RecvArgs>,
  destination: string,
  { attempt, known, mayPlace = false, onOutcome, sums }: {
    attempt: Attempt;
    known: Peer | undefined;
    /** The sender may place things here without asking. */
    mayPlace?: boolean;
    onOutcome?: (outcome: TransferOutcome) => Promise<void>;
    sums?: TransferSums;
  },
): Promise<TransferOutcome> {
  const { args, config, settings, output, clock, signal } = context;
  if (args.code === undefined && known === undefined) assertCanAsk(context);
  const show = new ProgressShow(context);
  attempt.code = args.code;
  const ask = async () => attempt.code = await askCode(context);
  return await recv({
    ...known === undefined ? { code: args.code ?? ask } : { from: known },
    ...args.remember !== undefined && { remember: remembering(args.remember) },
    onRemembered: (peer) => output.emit({ event: "paired", ...shownPeer(peer) }),
    destination,
    folders: settings.folders,
    agent: AGENT,
    hub: config.signalServer,
    ...args.peer !== undefined && { peer: args.peer },
    transport: args.transport,
    forceTcp: config.forceTcp,
    portMapping: config.portMapping,
    maxStreams: config.maxStreams,
    poolBytes: config.bufferPoolSize,
    io: config.debugIo,
    only: args.only,
    reconnectMs: config.reconnect,
    ...args.timeout !== undefined && { timeoutMs: args.timeout },
    accept: (offer, about) => decide(offer, context, { gone: about.signal, mayPlace }),
    ...args.verify && { confirm: (verifier: string) => confirmVerifier(verifier, context) },
    onEvent: (event) => {
      if (event.type === "connected") show.connected(event);
      const peer = peerEvent(event);
      if (peer) output.emit(peer);
    },
    onLooking: () => context.log.info("looking for the sender on this network"),
    onFound: () => attempt.found = true,
    isOthers: async () => {
      const { isTheirs } = await import("./recv_others.ts");
      return attempt.code !== undefined && await isTheirs(attempt.code, context);
    },
    ...sums && { onFile: (file: TransferFile) => sums.add(file) },
    onReconnect: (event) => show.reconnect(event),
    onProgress: (progress) => show.progress(progress),
    // What goes to standard output is staged where nobody would look for it.
    resume: !args.stdout,
    ...config.keepChunks && !args.stdout && {
      keep: { cacheDir: config.cacheDir, maxChunks: config.dedupIndexSize, quota: config.storeQuota },
    },
    ...!args.stdout && { index: { cacheDir: config.cacheDir, maxChunks: config.dedupIndexSize } },
    dedup: config.dedup,
    ...onOutcome && { onOutcome },
    onKept: (bytes) => output.emit({ event: "kept", bytes, destination }),
    onWarning: (message) => output.emit({ event: "warning", message }),
    clock,
    signal,
  });
}

/** Finds the machine before anything is waited for, and tells who is. */
async function knownSender(from: string, context: Context<RecvArgs>): Promise<Peer> {
  const { args, env, output } = context;
  if (args.code !== undefined && args.code !== env("WORMHOLE_CODE")) {
    throw new WormholeError("USAGE", "Cannot use a code and --from at once");
  }
  const peer = await peerBook(context).find(from);
  output.emit({ event: "waiting", direction: "recv", name: peer.name });
  return peer;
}

/** Fails where nobody can be asked for the code. @throws {WormholeError} USAGE. */
export function assertCanAsk({ terminal }: Context<RecvArgs>): void {
  if (terminal.interactive) return;
  throw new WormholeError("USAGE", "Cannot receive: give the code that send shows, or set WORMHOLE_CODE");
}

/** Asks for the code; Tab completes its words. */
export async function askCode({ terminal, signal }: Context<RecvArgs>): Promise<string> {
  return await askLine("Code:", { terminal, signal, complete: completeCode(completeWord) });
}

/** Shows the offer and lets the person, or the flags, decide. */
export async function decide(
  offer: Offer,
  context: Context<RecvArgs>,
  { gone, mayPlace }: { gone: AbortSignal; mayPlace: boolean },
): Promise<Acceptance> {
  const { args, output, terminal } = context;
  output.emit({
    event: "offer",
    direction: "recv",
    kind: offer.kind,
    names: offer.roots.map(({ name }) => name),
    files: offer.totals.files,
    directories: offer.totals.directories,
    bytes: offer.counting ? null : offer.kind === "text" ? textBytes(offer) : offer.totals.bytes,
  });
  if (
    args.stdout &&
    (offer.more > 0 || offer.roots.some(({ kind }) => kind === "directory" || kind === "symlink") ||
      offer.roots.length > 1)
  ) {
    throw new WormholeError(
      "USAGE",
      "Cannot write what is offered to standard output: it is not a single file",
    );
  }
  const policy = args.overwrite ? "overwrite" : args.rename ? "rename" : args.skip ? "skip" : undefined;
  // A text has nothing to place, and --stdout says itself where everything goes.
  if (args.yes || args.stdout || offer.kind === "text") return { accept: true, existing: policy };
  if (mayPlace) return { accept: true, existing: policy ?? "rename" };
  if (!terminal.interactive) {
    throw new WormholeError("USAGE", "Cannot ask whether to accept: there is no terminal; give --yes");
  }
  output.pause();
  try {
    const signal = anySignal(context.signal, gone);
    const taken = offer.roots.find(({ exists }) => exists);
    if (taken !== undefined && policy === undefined) {
      const answer = await askExisting(taken.name, { terminal, signal });
      return answer === "cancel" ? { accept: false } : { accept: true, existing: answer };
    }
    const accept = await askYesNo("Receive this?", { terminal, signal, fallback: true });
    return accept ? { accept, existing: policy } : { accept };
  } finally {
    output.resume();
  }
}

function textBytes({ text = "" }: Offer): number {
  return new TextEncoder().encode(text).length;
}

/** Gives the real path of the folder, which is checked the code is used up. */
export async function folder(path: string): Promise<string> {
  const info = await Deno.stat(path).catch((cause) => {
    const [code, state] = cause instanceof Deno.errors.PermissionDenied
      ? ["PERMISSION_DENIED", "permission denied"] as const
      : ["NOT_FOUND", "there is no such folder"] as const;
    throw new WormholeError(code, `Cannot receive into "${path}": ${state}`, { cause });
  });
  if (!info.isDirectory) {
    throw new WormholeError("NOT_DIRECTORY", `Cannot receive into "${path}": it is not a folder`);
  }
  return await Deno.realPath(path);
}
