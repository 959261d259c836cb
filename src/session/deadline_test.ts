import { SimulatedClock } from "../base/clock.ts";
import { WormholeError } from "../base/errors.ts";
import { assertEquals, assertRejects } from "../base/testing.ts";
import { withDeadline } from "./deadline.ts";

const late = (cause: unknown) => new WormholeError("TIMEOUT", "too late", { cause });

/** Never ends by itself. */
function forever(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
}

Deno.test("withDeadline() gives the result, or the failure, that comes in time", async () => {
  const clock = new SimulatedClock();
  assertEquals(await withDeadline(() => Promise.resolve(7), { ms: 10, late, clock }), 7);
  const failed = () => withDeadline(() => Promise.reject(new Error("broken")), { ms: 10, late, clock });
  await assertRejects(failed, undefined, "broken");
});

Deno.test("withDeadline() aborts and throws what late() makes when the time is up", async () => {
  const clock = new SimulatedClock();
  const running = assertRejects(() => withDeadline(forever, { ms: 10, late, clock }), "TIMEOUT");
  await clock.advance(10);
  await running;
});

Deno.test("withDeadline() throws the caller's reason when the caller aborts", async () => {
  const controller = new AbortController();
  const { signal } = controller;
  const run = () => withDeadline(forever, { ms: 10, late, clock: new SimulatedClock(), signal });
  const running = assertRejects(run, undefined, "enough");
  controller.abort(new Error("enough"));
  await running;
});
