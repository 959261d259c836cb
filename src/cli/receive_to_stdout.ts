import { WormholeError } from "../base/errors.ts";
import { join } from "../base/paths.ts";
import type { TransferOutcome } from "../transfer/mod.ts";
import { Interrupted } from "./exit.ts";

/**
 * Receives one file or text and writes it to `stdout` once it is complete and verified.
 *
 * @param receive Receives into the folder that it is given.
 * @throws {WormholeError} what `receive` throws; {@linkcode Interrupted} by SIGPIPE when nobody reads `stdout` any
 * more; NO_SPACE or IO when it cannot be written.
 */
export async function receiveToStdout(
  stdout: WritableStream<Uint8Array>,
  receive: (destination: string) => Promise<TransferOutcome>,
): Promise<TransferOutcome> {
  const folder = await Deno.makeTempDir({ prefix: "wormhole-" });
  try {
    const outcome = await receive(folder);
    if (outcome.text !== undefined) {
      await write(ReadableStream.from([new TextEncoder().encode(outcome.text)]), stdout);
    }
    for await (const entry of Deno.readDir(folder)) {
      if (!entry.isFile) continue;
      const file = await Deno.open(join(folder, entry.name));
      await write(file.readable, stdout);
    }
    return outcome;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Writes all of `content`, which is closed in any case. */
async function write(content: ReadableStream<Uint8Array>, stdout: WritableStream<Uint8Array>): Promise<void> {
  try {
    await content.pipeTo(stdout, { preventClose: true });
  } catch (cause) {
    if (cause instanceof Deno.errors.BrokenPipe) throw new Interrupted("SIGPIPE");
    const state = cause instanceof Error ? cause.message : String(cause);
    const full = (cause as { code?: unknown }).code === "ENOSPC";
    throw new WormholeError(full ? "NO_SPACE" : "IO", `Cannot write to standard output: ${state}`, { cause });
  }
}
