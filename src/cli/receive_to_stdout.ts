import { join } from "../base/paths.ts";
import type { TransferOutcome } from "../transfer/mod.ts";

/**
 * Receives one file or text and writes it to `stdout` once it is complete and verified.
 *
 * @param receive Receives into the folder that it is given.
 */
export async function receiveToStdout(
  stdout: WritableStream<Uint8Array>,
  receive: (destination: string) => Promise<TransferOutcome>,
): Promise<TransferOutcome> {
  const folder = await Deno.makeTempDir({ prefix: "wormhole-" });
  try {
    const outcome = await receive(folder);
    if (outcome.text !== undefined) {
      const writer = stdout.getWriter();
      await writer.write(new TextEncoder().encode(outcome.text));
      writer.releaseLock();
    }
    for await (const entry of Deno.readDir(folder)) {
      if (!entry.isFile) continue;
      using file = await Deno.open(join(folder, entry.name));
      await file.readable.pipeTo(stdout, { preventClose: true });
    }
    return outcome;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}
