import { WormholeError } from "../../base/errors.ts";
import { decodeName } from "../../base/names.ts";
import { type CompatContent, PUBLIC_MAILBOX, sendCompat } from "../../compat/mod.ts";
import { compatConnected, confirmCompat, relaysOf } from "../compat_show.ts";
import type { Context } from "../context.ts";
import type { SendArgs } from "../table.ts";
import { finish, ProgressShow } from "../transfer_show.ts";
import { showCode } from "./send.ts";

/**
 * Runs `wormhole send --compat`.
 *
 * @throws {WormholeError} USAGE when it is not one text, file or folder; what `sendCompat` throws.
 */
export async function runCompat(context: Context<SendArgs>): Promise<void> {
  const { args, config, output, clock, signal, log } = context;
  const show = new ProgressShow(context);
  log.info(`the mailbox server is ${config.signalServer || PUBLIC_MAILBOX}`);
  const outcome = await sendCompat({
    content: contentOf(args),
    hub: config.signalServer,
    relays: relaysOf(args),
    ...args.code !== undefined && { code: args.code },
    words: args.words,
    ...args.timeout !== undefined && { timeoutMs: args.timeout },
    ...args.verify && { confirm: (verifier: string) => confirmCompat(verifier, context) },
    onCode: (code, expiresInMs) =>
      showCode({ code, port: null, client: "magic-wormhole", expiresInMs }, context),
    onOffer: ({ name, files, directories, bytes }) =>
      output.emit({
        event: "offer",
        direction: "send",
        kind: "files",
        names: [name],
        files,
        directories,
        bytes,
      }),
    onLeftOut: ({ paths, count }) => {
      const named = paths.map((path) => `"${decodeName(path)}"`).join(", ");
      const more = count > paths.length ? ` and ${count - paths.length} more` : "";
      output.emit({
        event: "warning",
        message: `Left out, since magic-wormhole sends files and folders only: ${named}${more}`,
      });
    },
    onConnected: (connected) => compatConnected(connected, { show, context }),
    onProgress: (progress) => show.progress(progress),
    clock,
    signal,
  });
  finish(outcome, { direction: "send", destination: null, output, log });
}

function contentOf({ text, path }: SendArgs): CompatContent {
  if (text !== undefined && path.length === 0) return { text };
  if (text === undefined && path.length === 1 && path[0] !== "-") return { path: path[0]! };
  throw new WormholeError(
    "USAGE",
    "Cannot use --compat: magic-wormhole clients take one file, one folder or one --text at a time",
  );
}
