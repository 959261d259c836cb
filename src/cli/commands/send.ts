import { WormholeError } from "../../base/errors.ts";
import { decodeName } from "../../base/names.ts";
import { send, type SendOptions } from "../../send/mod.ts";
import type { SendSource, TransferFile, TransferOutcome } from "../../transfer/mod.ts";
import type { Context } from "../context.ts";
import type { CodeEvent } from "../events.ts";
import type { SendArgs } from "../table.ts";
import { TransferSums } from "../transfer_sums.ts";
import { peerBook, remembering, shownPeer } from "./peers.ts";
import { AGENT, confirmVerifier, finish, finishing, peerEvent, ProgressShow } from "../transfer_show.ts";

/**
 * Runs `wormhole send`.
 *
 * @throws {WormholeError} USAGE when the arguments do not say what to send; what `send` throws; PARTIAL when some
 * entries failed.
 */
export async function run(context: Context<SendArgs>): Promise<void> {
  const { args, output } = context;
  if (args.compat) {
    const { runCompat } = await import("./send_compat.ts");
    return await runCompat(context);
  }
  if (args.transitRelay !== undefined) {
    throw new WormholeError("USAGE", "Cannot use --transit-relay: it is for --compat");
  }
  if (args.receivers !== undefined) {
    const { runMany } = await import("./send_many.ts");
    return await runMany(context, args.receivers);
  }
  const { to } = args;
  if (to !== undefined) await assertMaySend(to, context);
  const show = new ProgressShow(context);
  const sums = sumsFor(context);
  const transfer = (onOutcome: (outcome: TransferOutcome) => Promise<void>) =>
    send({
      ...sendOptions(context, sums),
      ...to !== undefined && { to },
      ...args.remember !== undefined && { remember: remembering(args.remember) },
      onRemembered: (peer) => output.emit({ event: "paired", ...shownPeer(peer) }),
      ...args.verify && { confirm: (verifier: string) => confirmVerifier(verifier, context) },
      onEvent: (event) => {
        if (event.type === "code") {
          const { code, port, expiresInMs } = event;
          showCode({ code, port: port ?? null, expiresInMs }, context);
        } else if (event.type === "connected") show.connected(event);
        const peer = peerEvent(event);
        if (peer) output.emit(peer);
      },
      onOutcome,
      onReconnect: (event) => show.reconnect(event),
      onProgress: (progress) => show.progress(progress),
    });
  await finishing(transfer, async (outcome) => {
    await sums?.show(outcome.failed, context);
    finish(outcome, { direction: "send", destination: null, output, log: context.log });
  });
  sums?.assertRead();
}

/** Tells who is waited for, once it is clear that it may get anything. */
async function assertMaySend(to: string, context: Context<SendArgs>): Promise<void> {
  const { args, output, terminal } = context;
  const { name, rights } = await peerBook(context).find(to);
  if (!terminal.interactive && !args.yes && !rights.receive) {
    throw new WormholeError(
      "USAGE",
      `Cannot send to "${name}" without asking: it has no right to receive; give --yes, or the right once with ` +
        `wormhole peers rights ${name} --receive`,
    );
  }
  output.emit({ event: "waiting", direction: "send", name });
}

/**
 * Gives what collects checksums where they are wanted.
 *
 * @throws {WormholeError} USAGE when what is sent has none.
 */
export function sumsFor({ args }: Context<SendArgs>): TransferSums | undefined {
  if (!args.checksum) return undefined;
  const why = args.text !== undefined
    ? "a text is no file"
    : args.path.includes("-")
    ? "standard input can be read only once; the receiver can use it"
    : undefined;
  if (why === undefined) return new TransferSums();
  throw new WormholeError("USAGE", `Cannot use --checksum: ${why}`);
}

/** Gives what one receiver and several have in common. */
export function sendOptions(context: Context<SendArgs>, sums: TransferSums | undefined) {
  const { args, config, settings, output, clock, signal } = context;
  return {
    content: contentOf(args, config),
    folders: settings.folders,
    agent: AGENT,
    ...args.code !== undefined && args.to === undefined && { code: args.code },
    words: args.words,
    hub: config.signalServer,
    port: config.port,
    transport: args.transport,
    forceTcp: config.forceTcp,
    portMapping: config.portMapping,
    minStreams: config.minStreams,
    maxStreams: config.maxStreams,
    poolBytes: config.bufferPoolSize,
    chunkBytes: config.bulkChunkSize,
    compression: args.compress,
    compressionLevel: config.compressionLevel,
    reconnectMs: config.reconnect,
    index: { cacheDir: config.cacheDir, maxChunks: config.dedupIndexSize },
    ...args.timeout !== undefined && { timeoutMs: args.timeout },
    onSource: (source: SendSource) => {
      sums?.below(new Map(source.roots.map(({ name }, i) => [decodeName(name), args.path[i]!])));
      offer(source, context);
    },
    ...sums && { onFile: (file: TransferFile) => sums.add(file) },
    onWarning: (message: string) => output.emit({ event: "warning", message }),
    clock,
    signal,
  } satisfies SendOptions;
}

function contentOf(
  args: SendArgs,
  config: Context<SendArgs>["config"],
): Parameters<typeof send>[0]["content"] {
  if (args.text !== undefined) {
    if (args.path.length > 0) throw new WormholeError("USAGE", "Cannot send files and --text at once");
    return { text: args.text };
  }
  if (args.path.length === 0) {
    throw new WormholeError(
      "USAGE",
      "Cannot send: give the path of a file or folder, - for standard input, or --text",
    );
  }
  if (args.name !== undefined && !args.path.includes("-")) {
    throw new WormholeError(
      "USAGE",
      "Cannot use --name: it names standard input, and - is not among the paths",
    );
  }
  return {
    files: {
      paths: args.path,
      exclude: args.exclude,
      ignoreFiles: args.ignoreFiles,
      chunkBytes: config.bulkChunkSize,
      io: config.debugIo,
      ...args.name !== undefined && { stdinName: args.name },
    },
  };
}

/** Tells what is sent as soon as it is counted, or that it is still being counted. */
function offer(source: SendSource, { output }: Context<SendArgs>): void {
  if (source.kind === "text") return;
  const names = source.roots.map(({ name }) => new TextDecoder().decode(name));
  source.counted.then(({ totals }) =>
    output.emit({
      event: "offer",
      direction: "send",
      kind: source.kind,
      names,
      files: totals.files,
      directories: totals.directories,
      bytes: source.kind === "stream" ? null : totals.bytes,
    })
  ).catch(() => {}); // The transfer reports why it could not be counted.
}

/** Shows a code in every way that was asked for. */
export function showCode(
  { code, expiresInMs, ...about }: Omit<CodeEvent, "event" | "hub" | "expires_at"> & {
    expiresInMs: number | undefined;
  },
  context: Context<SendArgs>,
): void {
  const { args, config, output, env, terminal, clock } = context;
  const expires_at = expiresInMs === undefined ? null : new Date(clock.now() + expiresInMs).toISOString();
  const hub = config.signalServer === "" ? null : config.signalServer;
  output.emit({ event: "code", code, hub, expires_at, ...about });
  if (args.qr) {
    import("../qr.ts").then(async ({ qrCode }) => {
      output.pause();
      terminal.write(`${await qrCode(code, { colours: terminal.canRedraw })}\n`);
      output.resume();
    });
  }
  if (args.copy) {
    import("../clipboard.ts").then(({ copyToClipboard }) => copyToClipboard(code, { env, terminal })).catch(
      (error) =>
        output.emit({ event: "warning", message: error instanceof Error ? error.message : String(error) }),
    );
  }
}
