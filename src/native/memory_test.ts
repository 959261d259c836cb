import { assertTrue } from "../base/testing.ts";
import { giveMemoryBack } from "./memory.ts";
import { NativeQueue } from "./queue.ts";

Deno.test("giveMemoryBack() leaves little of what nobody has any more", async () => {
  await using queue = NativeQueue.open();
  await giveMemoryBack(queue);
  // Not the process's size: others may run in it.
  const before = Deno.memoryUsage().external;
  const bytes = held().reduce((sum, { length }) => sum + length, 0);
  const most = Deno.memoryUsage().external - before;
  assertTrue(most > bytes / 2, `${most} bytes more`);
  await giveMemoryBack(queue);
  const left = Deno.memoryUsage().external - before;
  assertTrue(left < bytes / 4, `${left} bytes are left`);
});

/** In a function of its own: what a block had is held as long as its function runs. */
function held(): Uint8Array[] {
  return Array.from({ length: 16 }, () => new Uint8Array(512 * 1024).fill(1));
}
