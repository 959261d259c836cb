import { assertEquals, assertRejects, assertThrows } from "../base/testing.ts";
import { NativeQueue } from "../native/queue.ts";
import { MAX_MANIFEST_ROOTS, MAX_TEXT_BYTES } from "../wire/limits.ts";
import { SendSource } from "./source.ts";

const CHUNK_BYTES = 4 * 1024 * 1024;

Deno.test("SendSource.open() refuses what cannot be sent, and names it", async () => {
  await using queue = NativeQueue.open();
  const open = (paths: string[]) => () => SendSource.open(queue, { paths, chunkBytes: CHUNK_BYTES });
  await assertRejects(
    open(["/none/x\x1b[2J"]),
    "NOT_FOUND",
    'Cannot send "/none/x\\x1b[2J": there is no such file',
  );
  await assertRejects(
    open(["/dev/null"]),
    "UNSUPPORTED",
    'Cannot send "/dev/null": it is neither a file nor a folder',
  );
  await assertRejects(open(["-", "/"]), "INVALID_ARGUMENT", 'Cannot send "-": standard input is sent alone');
  const many = Array.from({ length: MAX_MANIFEST_ROOTS + 1 }, () => "/");
  await assertRejects(open(many), "LIMIT_EXCEEDED", "send the folder that they are in");
});

Deno.test("SendSource.ofText() counts bytes, not characters", () => {
  assertThrows(
    () => SendSource.ofText("é".repeat(MAX_TEXT_BYTES / 2 + 1)),
    "INVALID_ARGUMENT",
    "send it as a file",
  );
  assertEquals(SendSource.ofText("é".repeat(MAX_TEXT_BYTES / 2)).kind, "text");
});
