import { SimulatedClock, systemClock } from "./clock.ts";
import { assertEquals, assertRejects } from "./testing.ts";

Deno.test("SimulatedClock.advance() runs due timers in order of time, then of creation", async () => {
  const clock = new SimulatedClock({ start: 1000 });
  const ran: string[] = [];
  clock.timer(20, () => ran.push("b"));
  clock.timer(10, () => ran.push("a"));
  clock.timer(20, () => ran.push("c"));
  clock.timer(21, () => ran.push("late"));
  await clock.advance(20);
  assertEquals(ran, ["a", "b", "c"]);
  assertEquals([clock.now(), clock.monotonic(), clock.pending], [1020, 20, 1]);
});

Deno.test("SimulatedClock.advance() sees timers that earlier ones set", async () => {
  const clock = new SimulatedClock();
  const times: number[] = [];
  const loop = (async () => {
    for (let turn = 0; turn < 3; turn++) {
      await clock.sleep(5);
      times.push(clock.monotonic());
    }
  })();
  await clock.advance(15);
  await loop;
  assertEquals(times, [5, 10, 15]);
});

Deno.test("SimulatedClock.timer() does not run when disposed", async () => {
  const clock = new SimulatedClock();
  let ran = false;
  {
    using _timer = clock.timer(1, () => ran = true);
  }
  await clock.advance(5);
  assertEquals(ran, false);
});

Deno.test("sleep() rejects with the signal's reason and leaves no timer", async () => {
  const clock = new SimulatedClock();
  const controller = new AbortController();
  const sleep = clock.sleep(1000, { signal: controller.signal });
  controller.abort(new Error("enough"));
  await assertRejects(() => sleep, undefined, "enough");
  assertEquals(clock.pending, 0);
  await assertRejects(() => systemClock.sleep(1000, { signal: controller.signal }), undefined, "enough");
});
