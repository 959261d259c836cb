import { assertEquals, assertRejects } from "../base/testing.ts";
import { join } from "../base/paths.ts";
import type { TransferOutcome } from "../transfer/mod.ts";
import { exitCode } from "./exit.ts";
import { receiveToStdout } from "./receive_to_stdout.ts";

const OUTCOME = { kind: "files", failed: [], failedCount: 0 } as unknown as TransferOutcome;

function sinkThat(write: (bytes: Uint8Array) => void): WritableStream<Uint8Array> {
  return new WritableStream({ write });
}

Deno.test("receiveToStdout() writes what came and removes it from the disk", async () => {
  const written: number[] = [];
  let folder = "";
  await receiveToStdout(sinkThat((bytes) => void written.push(...bytes)), async (destination) => {
    folder = destination;
    await Deno.writeFile(join(destination, "file"), new Uint8Array([1, 2, 3]));
    return OUTCOME;
  });
  assertEquals(written, [1, 2, 3]);
  await assertRejects(() => Deno.stat(folder), undefined, "No such file");
});

Deno.test("receiveToStdout() ends as SIGPIPE would when nobody reads any more", async () => {
  const closed = sinkThat(() => {
    throw new Deno.errors.BrokenPipe("Broken pipe (os error 32)");
  });
  for (const text of [undefined, "text"]) {
    const error = await receiveToStdout(closed, async (destination) => {
      if (text !== undefined) return { ...OUTCOME, text };
      await Deno.writeFile(join(destination, "file"), new Uint8Array([1]));
      return OUTCOME;
    }).catch((error) => error);
    assertEquals(exitCode(error), 141, text);
  }
});

Deno.test("receiveToStdout() says that a disk behind standard output is full", async () => {
  const full = sinkThat(() => {
    throw Object.assign(new Error("No space left on device (os error 28)"), { code: "ENOSPC" });
  });
  await assertRejects(
    () => receiveToStdout(full, () => Promise.resolve({ ...OUTCOME, text: "text" })),
    "NO_SPACE",
  );
});
