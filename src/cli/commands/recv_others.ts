/** `wormhole recv` with a code of a magic-wormhole client, without `--compat`: how it is noticed, and what is done then. */
import { isWormholeError, WormholeError } from "../../base/errors.ts";
import { isOffered } from "../../compat/mod.ts";
import type { Context } from "../context.ts";
import { longName } from "../definition.ts";
import { flagsOf, RECV_COMMAND, type RecvArgs } from "../table.ts";

/** The code that `recv` was given, and how far it got with it. */
export class Attempt {
  /** As it was given or typed; undefined before. */
  code: string | undefined;
  /** Whether the other side was found: from then on the code's words are at stake, and nothing else may be tried. */
  found = false;
}

/**
 * Does `own`; when the hub has nobody of ours with that code but a magic-wormhole client, receives from that.
 *
 * @throws {WormholeError} what `own` and `recv --compat` throw; USAGE for flags that mean nothing to such a client, before
 * anything is done about the code.
 */
export async function orFromOthers(
  context: Context<RecvArgs>,
  own: (attempt: Attempt) => Promise<void>,
): Promise<void> {
  const attempt = new Attempt();
  try {
    return await own(attempt);
  } catch (error) {
    const { code, found } = attempt;
    // Not after anything was said about the code's words: that would be a second guess for whoever runs the hub.
    if (!isWormholeError(error, "CODE_NOT_FOUND") || found || code === undefined) throw error;
    if (!await isTheirs(code, context)) throw error;
    await receive(code, context);
  }
}

/** Tells whether a magic-wormhole client at the hub of the settings offers the code's number. */
export async function isTheirs(
  code: string,
  { args, config, signal, log }: Context<RecvArgs>,
): Promise<boolean> {
  // Without a hub that the person named nobody is asked.
  if (config.signalServer === "" || args.peer !== undefined || args.from !== undefined) return false;
  try {
    return await isOffered({ hub: config.signalServer, code, signal });
  } catch (error) {
    signal.throwIfAborted();
    log.debug("the hub does not say whose codes it has", { error });
    return false;
  }
}

async function receive(code: string, context: Context<RecvArgs>): Promise<void> {
  const { args, output } = context;
  const meaningless = Object.entries(flagsOf(RECV_COMMAND)).find(([key, { fallback }]) =>
    RECV_COMMAND.flags.compat.conflicts!.includes(longName(key)) &&
    JSON.stringify(args[key as keyof RecvArgs]) !== JSON.stringify(fallback) &&
    args[key as keyof RecvArgs] !== false
  );
  if (meaningless !== undefined) {
    throw new WormholeError(
      "USAGE",
      `Cannot use --${
        longName(meaningless[0])
      }: the code is of a magic-wormhole client, which cannot do that`,
    );
  }
  output.emit({
    event: "warning",
    message: "the code is of a magic-wormhole client: receiving as with --compat",
  });
  const { runCompat } = await import("./recv_compat.ts");
  await runCompat({ ...context, args: { ...args, code } }, { mustExist: true });
}
