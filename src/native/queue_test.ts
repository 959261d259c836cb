import { NativeQueue } from "./queue.ts";
import { assertEquals, assertRejects } from "../base/testing.ts";

Deno.test("NativeQueue.call() gives an operation's result", async () => {
  await using queue = NativeQueue.open();
  const value = { text: "hé", bytes: new Uint8Array([1, 2]), number: 2 ** 40, list: [null, true] };
  assertEquals(await queue.call("queue.echo", value), value);
});

Deno.test("NativeQueue.call() grows its buffer for a large result", async () => {
  await using queue = NativeQueue.open();
  const bytes = new Uint8Array(1 << 20).fill(7);
  assertEquals(await queue.call("queue.echo", { bytes }), { bytes });
});

Deno.test("NativeQueue.call() rejects with the native error", async () => {
  await using queue = NativeQueue.open();
  await assertRejects(() => queue.call("queue.panic", {}), "INTERNAL", "on request");
  await assertRejects(() => queue.call("no.such", {}), "UNSUPPORTED");
});

Deno.test("NativeQueue.call() rejects with the signal's reason when aborted", async () => {
  await using queue = NativeQueue.open();
  const controller = new AbortController();
  const call = queue.call("queue.sleep", { ms: 60_000 }, { signal: controller.signal });
  controller.abort(new Error("enough"));
  await assertRejects(() => call, undefined, "enough");
});

Deno.test("NativeQueue.call() hands over the result of an aborted call that completed all the same", async () => {
  await using queue = NativeQueue.open();
  const controller = new AbortController();
  const { promise, resolve } = Promise.withResolvers<unknown>();
  // An echo is complete when it is first looked at, so the abort always comes too late.
  const call = queue.call("queue.echo", { handle: 7 }, { signal: controller.signal, orphaned: resolve });
  controller.abort(new Error("enough"));
  await assertRejects(() => call, undefined, "enough");
  assertEquals(await promise, { handle: 7 });
});

Deno.test("NativeQueue.close() ends pending calls", async () => {
  const queue = NativeQueue.open();
  const call = queue.call("queue.sleep", { ms: 60_000 });
  const rejected = assertRejects(() => call, "CLOSED");
  await queue.close();
  await rejected;
  await assertRejects(() => queue.call("queue.echo", {}), "CLOSED");
});
